"""Comparing two runs by their logs: formats, joins, exact tests, guarantees under clusters, and the command."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from redundancy.comparison import Comparison, RunLog, compare, read_log
from redundancy.errors import InvalidInputError, SkipItError, StoreError


def log(scores, *, units=None, tasks=None, source="run", **fields):
    n = len(scores)
    given = {"inputs": ("",) * n, "targets": ("",) * n, **fields}
    return RunLog(
        source=source,
        metric="exact_match",
        tasks=("",) * n if tasks is None else tuple(tasks),
        keys=tuple(map(str, range(n))),
        scores=tuple(map(float, scores)),
        units=tuple(map(str, range(n) if units is None else units)),
        **given,
    )


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


LMMS = {"doc_id": 0, "target": "red", "filtered_resps": "red", "input_media": ["0.png"], "input": "what?"}
LM_EVAL = {"doc_id": 0, "doc": {}, "target": "4", "filter": "none", "metrics": ["acc_norm"], "prompt_hash": "ab"}


@given(st.integers(1, 300), st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.02, 0.1, 0.3]))
def test_one_answer_per_unit_is_tested_as_scipy_tests_it(n, lost, won, risk):
    lost, won = min(lost, n), min(won, max(0, n - lost))
    base = [1.0] * lost + [0.0] * won + [1.0] * (n - lost - won)
    treated = [0.0] * lost + [1.0] * won + [1.0] * (n - lost - won)
    found = compare(log(base), log(treated), risk=risk).overall
    assert (found.n_lost, found.n_won, found.test) == (lost, won, "binomial")
    assert found.p_certified == pytest.approx(binomtest(lost, n, risk, alternative="less").pvalue, rel=1e-9)
    assert found.p_refuted == pytest.approx(binomtest(lost, n, risk, alternative="greater").pvalue, rel=1e-9)
    ends = binomtest(lost, n).proportion_ci(0.9, "exact")
    assert found.loss_lower == pytest.approx(ends.low, abs=1e-7)
    assert found.loss_upper == pytest.approx(ends.high, abs=1e-7)
    assert found.loss_lower <= found.loss <= found.loss_upper
    if lost + won:
        assert found.p_mcnemar == pytest.approx(binomtest(lost, lost + won).pvalue, rel=1e-9)
    assert found.difference_lower <= found.treated_score - found.base_score <= found.difference_upper


def test_a_verdict_is_wrong_at_most_as_often_as_it_says_when_questions_share_images():
    rng, wrong, n_runs = np.random.default_rng(20), {"units": 0, "questions": 0}, 300
    for _ in range(n_runs):  # 40 images of 10 questions; an image loses all or nothing, and a tenth of them lose
        lost = np.repeat(rng.random(40) < 0.10, 10)
        base, treated = np.ones(400), 1.0 - lost
        images = np.repeat(np.arange(40), 10)
        wrong["units"] += compare(log(base, units=images), log(treated, units=images), risk=0.10).overall.verdict in (
            "certified",
        )
        wrong["questions"] += compare(log(base), log(treated), risk=0.10).overall.verdict == "certified"
    limit = 0.05 * n_runs + 2 * (0.05 * 0.95 * n_runs) ** 0.5
    assert wrong["units"] <= limit < wrong["questions"]


def test_verdicts_on_tasks_hold_jointly():
    base = [1.0] * 400
    treated = [1.0] * 200 + [0.0] * 60 + [1.0] * 140
    tasks = ["ocr" if 200 <= i < 300 else "vqa" if i < 200 else "pope" for i in range(400)]
    found = compare(log(base, tasks=tasks), log(treated, tasks=tasks), risk=0.05)
    assert {t.task: t.verdict for t in found.tasks} == {"vqa": "certified", "ocr": "refuted", "pope": "certified"}
    assert found.worst.task == "ocr"
    assert found.overall.verdict == "refuted"
    assert "3 tasks, jointly: 2 certified, 1 refuted; worst ocr" in found.summary()
    # 59 documents certify 5 % alone, and no longer when two tasks share the error.
    few = ["a"] * 59 + ["b"] * 59
    alone = compare(log([1.0] * 59), log([1.0] * 59), risk=0.05)
    both = compare(log([1.0] * 118, tasks=few), log([1.0] * 118, tasks=few), risk=0.05)
    assert alone.overall.verdict == "certified"
    assert [t.verdict for t in both.tasks] == ["undecided", "undecided"]


def test_a_base_run_with_nothing_to_lose_is_vacuous():
    found = compare(log([0.0] * 400), log([0.0] * 400), risk=0.05)
    assert found.overall.verdict == "vacuous"
    assert found.sentence.startswith("Vacuous: ")


def test_soft_scores_are_bets_on_what_is_lost():
    rng = np.random.default_rng(3)
    base = rng.choice([0.3, 0.6, 1.0], 600)
    treated = np.where(rng.random(600) < 0.05, base - 0.3, base)
    found = compare(log(base), log(treated), risk=0.05)
    assert found.overall.test == "betting"
    assert found.overall.verdict == "certified"
    assert "of the score (betting test)" in found.sentence
    hundred = compare(log(100 * base), log(100 * treated), risk=0.05, score_range=(0, 100))
    assert hundred.overall.loss == pytest.approx(found.overall.loss)
    with pytest.raises(InvalidInputError, match=r"exact_match in \[0, 1\], document 0 of the base run has"):
        compare(log(100 * base), log(100 * treated))


def test_every_format_gives_the_same_verdict(tmp_path):
    scores = {"base": [1.0] * 90 + [0.0] * 10, "treated": [1.0] * 80 + [0.0] * 20}
    paths = {"lmms": [], "lm_eval": [], "vlm": [], "csv": [], "tsv": [], "xlsx": [], "json": []}
    for name, values in scores.items():
        rows = [{**LMMS, "doc_id": i, "input_media": [f"{i}.png"], "exact_match": s} for i, s in enumerate(values)]
        paths["lmms"].append(lines(tmp_path / f"{name}_samples_vqa.jsonl", rows))
        (tmp_path / name).mkdir()
        rows = [{**LM_EVAL, "doc_id": i, "acc": 0.5, "acc_norm": s} for i, s in enumerate(values)]
        lines(tmp_path / name / "samples_mmlu_2026-11-01T10-00-00.123.jsonl", rows)
        paths["lm_eval"].append(tmp_path / name)
        frame = pd.DataFrame({"index": range(100), "question": "q", "answer": "a", "prediction": "a", "hit": values})
        paths["vlm"].append(tmp_path / f"{name}_vlm.tsv")
        frame.to_csv(paths["vlm"][-1], sep="\t", index=False)
        for suffix, options in (("csv", {"sep": ","}), ("tsv", {"sep": "\t"})):
            paths[suffix].append(tmp_path / f"{name}.{suffix}")
            frame.assign(image=[f"{i}.png" for i in range(100)]).to_csv(paths[suffix][-1], index=False, **options)
        paths["json"].append(tmp_path / f"{name}.json")
        paths["json"][-1].write_text(json.dumps(frame.to_dict("records")))
    del paths["xlsx"]
    for kind, (base, treated) in paths.items():
        found = compare(base, treated, risk=0.05).overall
        assert (found.n_samples, found.n_lost, found.n_won, found.verdict) == (100, 10, 0, "refuted"), kind
    assert read_log(paths["lm_eval"][0]).metric == "acc_norm"
    assert read_log(paths["lm_eval"][0]).tasks[0] == "mmlu"
    assert read_log(paths["lmms"][0]).units[3] == "3.png"
    assert "independent by assumption: the logs name no images" in compare(*paths["vlm"]).sentence


def test_a_workbook_is_read_where_its_library_is(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["index", "hit"], [1, 1], [2, 0]):
        book.active.append(row)
    book.save(tmp_path / "run.xlsx")
    assert read_log(tmp_path / "run.xlsx").scores == (1.0, 0.0)
    assert read_log(tmp_path / "run.xlsx").keys == ("1", "2")


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ({"doc_id": 1}, {"doc_id": 2}, "same documents in both runs, 2 are in one only, first 1"),
        ({"target": "red"}, {"target": "blue"}, "same expected answer in both runs, document 0 has 'red' and 'blue'"),
        ({"input": "a"}, {"input": "b"}, "same prompt in both runs"),
        ({"input_media": ["x"]}, {"input_media": ["y"]}, "same unit in both runs"),
        ({"exact_match": float("nan")}, {}, "need a finite exact_match"),
        ({"exact_match": "good"}, {}, "need a number as exact_match"),
        ({"exact_match": None}, {}, "need a number as exact_match"),
        ({"acc": 1.0}, {}, "need one score, one.jsonl has exact_match, acc"),
    ],
)
def test_what_does_not_match_is_refused(first, second, sentence, tmp_path):
    row = {**LMMS, "exact_match": 1.0}
    one, two = lines(tmp_path / "one.jsonl", [row | first]), lines(tmp_path / "two.jsonl", [row | second])
    with pytest.raises(InvalidInputError, match=sentence):
        compare(one, two)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("run.jsonl", '{"doc_id": 1', "does not parse"),
        ("run.jsonl", '{"doc_id": 1, "acc": 1, "acc": 0}', "the key 'acc' comes twice in one object"),
        ("run.json", '[{"doc_id": 1, "acc": 1, "acc": 0}]', "the key 'acc' comes twice in one object"),
        ("run.jsonl", "[1, 2]", "need an object per document, row 1 of run.jsonl holds a list"),
        ("run.jsonl", "", "run.jsonl has no rows"),
        ("run.json", "[" * 100_000, "does not parse"),
        ("run.json", "3", "does not parse"),
        ("run.csv", "id,score\n1,1\n1,0\n", "need every document once, rows 1 and 2 of run.csv are both 1"),
        ("run.csv", "id,score\n1\n", "line 2 of run.csv has 1"),
        ("run.csv", "id,id\n1,2\n", "names each column once"),
        ("run.csv", "id,score\n1,0_1\n", "need a number as score, row 1 of run.csv has '0_1'"),
        ("run.jsonl", '{"doc_id": 1, "acc": 1' + "0" * 400 + "}", "need a number as acc, row 1"),
        ("run.csv", "id,answer\n1,2\n", "need a field with the score"),
        ("run.csv", b"id,score\n\xff,1\n", "need a log in UTF-8"),
        ("run.txt", "", "need a log ending in"),
        ("run.xlsx", "no workbook", "readable workbook|needs openpyxl"),
        ("run.csv", "id,score,image\n1,1,\n", "need a unit for each document"),
    ],
)
def test_files_that_are_no_logs_get_one_sentence(name, content, sentence, tmp_path):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SkipItError, match=sentence) as caught:
        read_log(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".xlsx"])
def test_pipes_and_devices_are_no_logs(ending, tmp_path):
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(StoreError, match="neither a file nor a folder"):
            read_log(tmp_path / f"{name}{ending}")


def test_ends_of_lines_inside_a_text_end_no_row(tmp_path):
    rows = [{**LMMS, "doc_id": i, "input": "one\u2028two\x85three\x0bfour", "exact_match": 1.0} for i in range(3)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "run.jsonl").write_text(text.replace("\x0b", "\\u000b"), encoding="utf-8")
    assert read_log(tmp_path / "run.jsonl").keys == ("0", "1", "2")


def test_answer_filters_are_chosen_not_mixed(tmp_path):
    rows = [
        {**LM_EVAL, "doc_id": i, "filter": f, "acc_norm": float(f == "strict")}
        for i in range(5)
        for f in ("strict", "flexible")
    ]
    path = lines(tmp_path / "run.jsonl", rows)
    with pytest.raises(InvalidInputError, match=r"one per filter \(flexible, strict\); choose with --filter"):
        read_log(path)
    assert read_log(path, filter_name="strict").scores == (1.0,) * 5
    with pytest.raises(InvalidInputError, match="no row with the filter 'none'"):
        read_log(path, filter_name="none")


def test_common_documents_alone_are_compared_when_asked(tmp_path):
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "score"], *([i, 1] for i in range(50))])
    with (tmp_path / "b.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "score"], *([i, 1] for i in range(3, 60))])
    found = compare(tmp_path / "a.csv", tmp_path / "b.csv", only_common=True)
    assert (found.overall.n_samples, found.left_out) == (47, 13)
    assert found.sentence.endswith("Left out, as only one run has them: 13 documents.")


def test_json_is_exact_and_rechecked_and_alterations_are_refused():
    found = compare(log([1.0] * 30 + [0.0] * 10), log([1.0] * 25 + [0.0] * 15), risk=0.2)
    again = Comparison.from_json(found.to_json())
    assert again == found
    assert again.recheck().ok
    assert len(again.to_pandas()) == 1
    with pytest.raises(StoreError, match="altered"):
        Comparison.from_json(found.to_json().replace('"risk": 0.2', '"risk": 0.1'))


def test_a_forged_verdict_is_refused():
    from redundancy.files.digested import seal

    body = json.loads(compare(log([1.0] * 40), log([0.0] * 40), risk=0.2).to_json())
    del body["digest"]
    forged = json.loads(json.dumps(body).replace("refuted", "certified").replace("Refuted", "Certified"))
    with pytest.raises(StoreError, match="results that its scores do not give"):
        Comparison.from_json(seal(forged))


def test_the_command_says_the_verdict_in_ten_lines_of_80_columns(skip_it, tmp_path):
    for name, wrong in (("base", 5), ("treated", 9)):
        rows = [
            {
                **LMMS,
                "doc_id": i,
                "task": f"task{i % 3}",
                "input_media": [f"{i // 2}.png"],
                "exact_match": float(i >= wrong),
            }
            for i in range(600)
        ]
        lines(tmp_path / f"{name}.jsonl", rows)
    done = skip_it("compare", "base.jsonl", "treated.jsonl", "--risk", "0.05", "--out", "c.json")
    assert done.code == 0, done.err
    assert done.out.startswith("Certified: with confidence at least 0.95 over the draw of 300 i.i.d. units")
    assert len(done.out.splitlines()) <= 10
    assert max(map(len, done.out.splitlines())) <= 80
    assert skip_it("recheck", "c.json").code == 0
    assert skip_it("compare", "base.jsonl", "treated.jsonl", "--out", "c.json").code == 2
    assert (
        "need --score-range as two numbers"
        in skip_it("compare", "base.jsonl", "treated.jsonl", "--score-range", "x").err
    )
    shown = skip_it("compare", "base.jsonl", "treated.jsonl", "--json")
    assert json.loads(shown.out)["schema"] == "skip-it/comparison/1"
