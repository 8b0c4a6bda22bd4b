"""Results as tables: every class with records also goes to pandas, polars, CSV and a notebook, whole and escaped."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import pkgutil
import sys

import numpy as np
import pytest

import estimators
import extraction
import proofs_check
import redundancy
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.errors import MissingExtraError
from redundancy.files.tabular import Tabular, flat_rows
from redundancy.pid import broja

OPTIONAL = {"triton", "ray", "lmms_eval", "lm_eval", "openai"}  # modules of ours that need one of them


class Table(Tabular):
    def __init__(self, *rows):
        self.rows = list(rows)

    def to_records(self):
        return self.rows


def test_intervals_become_two_columns_and_all_rows_have_all_columns():
    rows = flat_rows(
        [
            {"plan": "a", "accuracy_interval": (0.1, 0.2), "assumes": ["x", "y"]},
            {"plan": "b", "accuracy_interval": None, "n": np.int64(3)},
        ]
    )
    assert rows == [
        {"plan": "a", "accuracy_interval_lower": 0.1, "accuracy_interval_upper": 0.2, "assumes": "x; y", "n": None},
        {"plan": "b", "accuracy_interval_lower": None, "accuracy_interval_upper": None, "assumes": None, "n": 3},
    ]


def test_a_name_with_a_value_beside_an_interval_of_it_is_kept():
    rows = flat_rows([{"x_interval": (0, 1)}, {"x_interval": "unknown"}])
    assert rows[1]["x_interval"] == "unknown"


def test_csv_is_read_back():
    table = Table({"a": 1.5, "b": 'with "quotes", and\nlines'}, {"a": None, "b": "z"})
    back = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert back == [{"a": "1.5", "b": 'with "quotes", and\nlines'}, {"a": "", "b": "z"}]


def test_html_escapes_and_says_what_it_left_out():
    html = Table(*({"<b>": "<script>alert(1)</script>", "v": 1 / 3} for _ in range(43)))._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert html.count("<tr>") == 41
    assert "3 more rows" in html
    assert ">0.33333<" in html


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_hold_the_records(library):
    pytest.importorskip(library, reason=f"{library} is not installed; to_records and to_csv need no library")
    table = broja([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])
    frame = getattr(table, f"to_{library}")()
    (row,) = flat_rows(table.to_records())
    assert list(frame.columns) == list(row)
    assert frame["synergistic_lower"][0] == row["synergistic_lower"] == pytest.approx(1.0, abs=1e-8)
    mixed = Table({"x": 1, "w": []}, {"x": 2.5, "w": ["a"]}, {"y": "late"})
    assert len(getattr(mixed, f"to_{library}")()) == 3


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        Table({"a": 1}).to_pandas()


def test_statistics_are_a_table(tmp_path):
    from redundancy.figures.sources import profile_records
    from redundancy.statistics.from_states import statistics_from_states

    rng = np.random.default_rng(0)
    states = rng.standard_normal((3, 4, 6, 8))  # images, depths, tokens, features
    statistics = statistics_from_states(
        list(states), groups=[np.array(["vision"] * 4 + ["words"] * 2)] * 3, sample_ids=["a", "b", "c"]
    )
    rows = {(r["layer"], r["group"]): r for r in statistics.to_records()}
    before, after = states[:, 1, :4], states[:, 2, :4]
    cosine = (before * after).sum(-1) / np.linalg.norm(before, axis=-1) / np.linalg.norm(after, axis=-1)
    assert rows[2, "vision"]["mean_distance"] == pytest.approx((1 - cosine).mean(), rel=1e-6)
    assert rows[2, "vision"]["mean_norm"] == pytest.approx(np.linalg.norm(after, axis=-1).mean(), rel=1e-6)
    assert {group for _, group in rows} == {"vision", "words", "text", "all"}
    drawn = {
        (r["layer"], r["group"]): r["mean_norm"] for r in profile_records(statistics)
    }  # one meaning in figures, too
    assert drawn
    assert all(rows[place]["mean_norm"] == norm for place, norm in drawn.items())


def test_a_certificate_is_a_table():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 4))
    certificate = LayerPairCertificate.from_arrays(x, x + 0.1, ids=np.arange(40))
    assert len(list(csv.DictReader(io.StringIO(certificate.to_csv())))) == len(certificate.statements)
    assert certificate.statements[0]._repr_html_().count("<tr>") == 2


def test_every_class_with_records_is_a_table():
    """A result that can be listed can also be handed to pandas and shown in a notebook."""
    plain = []
    for package in (redundancy, estimators, extraction, proofs_check):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            try:
                module = importlib.import_module(info.name)
            except ModuleNotFoundError as error:
                if error.name not in OPTIONAL:
                    raise
                continue
            for name, thing in inspect.getmembers(module, inspect.isclass):
                lists = hasattr(thing, "to_record") or hasattr(thing, "to_records")
                if lists and thing.__module__ == info.name and not issubclass(thing, Tabular):
                    plain.append(f"{info.name}.{name}")
    assert not plain


def test_the_plain_repr_of_large_results_is_one_line():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 4))
    pair = LayerPairCertificate.from_arrays(x, x + 0.1, ids=np.arange(40))
    for result in (pair, *pair.statements):
        assert "\n" not in repr(result)
        assert len(repr(result)) < 160
        assert type(result).__name__ in repr(result)
