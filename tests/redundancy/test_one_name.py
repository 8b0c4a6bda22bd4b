"""A theorem has one name: listing it gives its code, proof, tests and page, and nothing else."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from proofs_check.rooms import rooms
from redundancy.bounds.ledger import theorems
from redundancy.certificates.certificate import registered

ROOT = Path(__file__).parents[2]
if not (ROOT / "docs").is_dir():
    pytest.skip("the documentation is not part of the source distribution", allow_module_level=True)

IDS = [record.id for record in theorems() if record.function.startswith("redundancy.")]
DRAWN = random.Random(15).sample(IDS, 5)
PLACES = ("redundancy", "estimators", "extraction", "proofs_check", "tests", "docs/theorems", "examples/theorems")
FILES = [path.relative_to(ROOT) for place in PLACES for path in sorted((ROOT / place).rglob("*")) if path.is_file()]
FILES = [path for path in FILES if path.suffix in (".py", ".md", ".svg", ".json") and "__pycache__" not in path.parts]
# Files that say of another theorem that it is used, or which id it had.
CITING = re.compile(r"uses=|earlier\(|_arrow\(|\.theorem\b|find\(|check_claims|statements_of|^\s*>>>|``")


def named(topic):
    """Files that carry the name of a theorem."""
    return [p for p in FILES if topic in re.split(r"[/.]|test_bounds_|test_|theorem_points_", p.as_posix())]


def kinds(topic):
    places = {
        "code": rf"redundancy/(bounds/{topic}\.py|{topic}/\w+\.py)",
        "proof": rf"proofs_check/{topic}/\w+\.py",
        "test": rf"tests/redundancy/test_(bounds_)?{topic}(_\w+)?\.py",
        "page": rf"docs/theorems/{topic}\.(md|svg)",
        "points": rf"examples/theorems/theorem_points_{topic}\.py",
    }
    return {
        p: next((kind for kind, form in places.items() if re.fullmatch(form, p.as_posix())), "") for p in named(topic)
    }


@pytest.mark.parametrize("theorem", DRAWN)
def test_listing_the_name_gives_code_proof_test_and_page_and_nothing_else(theorem):
    topic, function = theorem.split(".")
    found = kinds(topic)
    assert {"code", "proof", "page"} <= set(found.values())
    assert [p for p in FILES if re.fullmatch(rf"test_(bounds_)?{topic}(_\w+)?\.py", p.name)], (
        "no test is named after it"
    )
    assert [path for path, kind in found.items() if not kind] == []
    page = (ROOT / "docs" / "theorems" / f"{topic}.md").read_text(encoding="utf-8")
    assert f"**`{theorem}`**" in page
    assert registered()[theorem].__name__ == function


@pytest.mark.parametrize("theorem", DRAWN)
def test_what_is_said_of_a_theorem_stands_in_its_room(theorem):
    """In code an id is written in the files of its theorem; elsewhere only where it is cited or called."""
    topic = theorem.split(".")[0]
    own = {path.as_posix() for path in named(topic)}
    elsewhere = []
    for path in FILES:
        if path.suffix == ".py" and path.parts[0] in ("redundancy", "proofs_check") and path.as_posix() not in own:
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
            elsewhere += [
                (path.as_posix(), line.strip())
                for line in lines
                if f'"{theorem}"' in line
                and path.name != "former_ids.py"
                and not CITING.search(line)
                and path.parts[1] != "certificates"
            ]
    assert elsewhere == []


def test_every_file_of_bounds_has_its_room_page_and_tests():
    topics = {theorem.split(".")[0] for theorem in IDS}
    assert topics <= set(rooms())
    assert topics <= {path.stem for path in FILES if path.parts[:2] == ("docs", "theorems")}
    tests = {path.name for path in FILES if path.name.startswith("test_")}
    assert [t for t in topics if not any(re.fullmatch(rf"test_(bounds_)?{t}(_\w+)?\.py", name) for name in tests)] == []
