"""The drawings of docs/architecture.md are those of the code as it is."""

import importlib

import pytest

from support import ROOT, load_script


@pytest.fixture(scope="module")
def rooms():
    return load_script("docs/_ext/rooms.py")


@pytest.mark.parametrize("name", ["rooms.svg", "data_flow.svg"])
def test_drawings_are_up_to_date(rooms, name):
    drawn = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
    assert drawn == rooms.DRAWINGS[name](), "run python docs/_ext/rooms.py"


def test_every_room_is_drawn_and_stands_above_what_it_imports(rooms):
    for package in rooms.PACKAGES:
        graph = rooms.arrows(package)
        floors = rooms.floors(graph)
        assert sorted(room for floor in floors for room in floor) == sorted(graph)
        height = {room: -k for k, floor in enumerate(floors) for room in floor}
        assert all(height[room] >= height[other] for room, others in graph.items() for other in others)


def test_floors_of_a_known_house(rooms):
    graph = {"a": {"b", "c"}, "b": {"d"}, "c": {"b"}, "d": {"e"}, "e": {"d"}}
    assert rooms.floors(graph) == [["a"], ["c"], ["b"], ["d", "e"]]


def test_names_in_the_data_flow_exist(rooms):
    for _, _, _, code in rooms.STATIONS.values():
        module, name = code.split(":")
        assert callable(getattr(importlib.import_module(module), name))
    assert {name for pair in rooms.FLOWS for name in pair} == set(rooms.STATIONS)


def test_packages_import_downward_only(rooms):
    """The arrows of the text: redundancy <- estimators <- extraction, redundancy <- proofs_check."""
    above = {"redundancy": (), "estimators": ("redundancy",), "extraction": ("estimators", "redundancy")}
    above["proofs_check"] = ("redundancy",)
    for package in rooms.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            used = {name.split(".")[0] for name in rooms.imports_of(path)} & set(rooms.PACKAGES)
            assert used <= {package, *above[package]}, path
