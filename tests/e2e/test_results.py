"""Every class of results shows itself, is a table, is saved and loaded to the last bit, and is drawn if it can be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

import estimators
import extraction.study
import redundancy.figures
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tabular import Tabular
from support.results import RESULTS

# No interval and no curve: tables and records only.
NOT_DRAWN = {"HolmVerdict", "MemoryUse", "SampleSize", "TheoremRecord"}


def classes(base: type = Tabular) -> dict[str, type]:
    """All result classes by name; a dataclass with slots leaves its draft behind, hence the dictionary."""
    found = {}
    for cls in base.__subclasses__():
        if cls.__module__.split(".")[0] in {"redundancy", "estimators", "extraction", "proofs_check"}:
            found[cls.__name__] = cls
        found |= classes(cls)
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    class Made(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            self[name] = RESULTS[name](tmp_path_factory.mktemp(name))
            return self[name]

    return Made()


def test_every_class_is_here(results: dict[str, Any]) -> None:
    assert all(type(results[name]).__name__ == name for name in RESULTS)
    assert set(classes()) == set(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_shown_in_a_line_and_as_html(results: dict[str, Any], name: str) -> None:
    result = results[name]
    line = repr(result)
    assert line.startswith(f"{name}(")
    assert "\n" not in line
    assert len(line) <= 240
    html = result._repr_html_()
    assert "<table" in html
    assert html.count("<tr") == html.count("</tr>") >= 2


@pytest.mark.parametrize("name", RESULTS)
def test_a_table_of_plain_values(results: dict[str, Any], name: str) -> None:
    rows = results[name].to_records()
    assert rows
    frame = results[name].to_pandas()
    assert len(frame) == len(rows) == len(results[name].to_polars())
    assert results[name].to_csv().count("\r\n") >= len(rows) + 1


@pytest.mark.parametrize("name", RESULTS)
def test_saved_and_loaded_to_the_last_bit(results: dict[str, Any], name: str, tmp_path: Path) -> None:
    result, path = results[name], tmp_path / "with space \u00e9.json"
    result.save(path)
    again = type(result).load(path)
    assert type(again) is type(result)
    assert again.to_csv() == result.to_csv()
    if name != "HarvestStatistics":  # safetensors orders its header anew each time
        again.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == path.read_bytes()
    with pytest.raises(StoreError):
        type(result).load(tmp_path / "none")


def altered(text: str) -> str:
    """The same JSON with one digit changed outside the digest."""
    body = json.loads(text)
    stated = body.pop("digest")
    inner = json.dumps(body)
    digits = [m.start() for m in re.finditer(r"(?<=[ \[])[0-8](?=[.,\d\]}])", inner)]
    at = digits[len(digits) // 2]
    return json.dumps({**json.loads(inner[:at] + str(int(inner[at]) + 1) + inner[at + 1 :]), "digest": stated})


@pytest.mark.parametrize("name", sorted(set(RESULTS) - {"HarvestStatistics"}))
def test_an_altered_file_is_refused(results: dict[str, Any], name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    results[name].save(path)
    path.write_text(altered(path.read_text()))
    with pytest.raises(StoreError):
        type(results[name]).load(path)


@pytest.mark.parametrize("name", RESULTS)
def test_drawn_on_given_axes_or_refused_in_a_sentence(results: dict[str, Any], name: str) -> None:
    result, given = results[name], redundancy.figures.axes()
    if name in NOT_DRAWN:
        with pytest.raises(InvalidInputError, match="need an interval with finite ends"):
            result.plot()
        return
    assert result.plot(given) is given
    assert given.get_ylabel() or given.get_yticklabels()
    assert isinstance(result.plot(), Axes)


def test_floats_that_json_has_no_word_for_come_back(results: dict[str, Any]) -> None:
    table = extraction.study.SweepTable(records=({"a": float("inf"), "b": [1, (2.5, None)], 3: "x"},))
    assert type(table).from_json(table.to_json()) == table
    batch = results["BrojaBatch"]
    again = type(batch).from_json(batch.to_json())
    np.testing.assert_array_equal(again.iterations, batch.iterations, strict=True)


def test_what_cannot_be_stored_is_refused() -> None:
    table = extraction.study.SweepTable(records=({"a": {1, 2}},))
    with pytest.raises(InvalidInputError, match="got set"):
        table.to_json()


def test_a_file_chooses_no_class_of_its_own(results: dict[str, Any]) -> None:
    """A class inside a result is one that the annotations of its fields name, whatever the file says."""
    from redundancy.files.digested import seal

    body = json.loads(results["EntropyEstimate"].to_json())
    del body["digest"]
    for name in ("Path", "os.system", "SweepTable", ""):
        body["fields"]["interval"] = {"@": name, "fields": {"lower": 0.0, "upper": 1.0}}
        with pytest.raises(StoreError, match="lacks"):
            estimators.EntropyEstimate.from_json(seal(body))


def test_intervals_are_drawn_where_they_are(results: dict[str, Any]) -> None:
    result = results["FourRedundancies"]
    ax = result.plot()
    rows = result.to_records()
    own = [row for row in rows if row["unit"] == "bits"]
    drawn = [tuple(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == "|"]
    assert drawn == [(row["lower"], row["upper"]) for row in own]
    assert len(ax.get_yticklabels()) == len(rows)
