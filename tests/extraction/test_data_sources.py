"""Samples from Parquet, folders and named data sets: what is read, and a sentence for what cannot be."""

import base64
import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from extraction.data import (
    Sample,
    batches_by_length,
    read_dataset,
    read_folder,
    read_parquet,
    read_samples,
    settle_units,
)
from redundancy.errors import InvalidInputError, MissingExtraError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.JPG"):
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


def table(path, **columns):
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet is optional")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def png(shade):
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (shade, 0, 0)).save(stream, format="PNG")
    return stream.getvalue()


def test_a_text_file_asks_every_question_of_every_image(folder):
    (folder / "questions.txt").write_text("what ?\n\n  is it red ?\n", encoding="utf-8")
    samples = read_samples(folder)
    assert [(s.sample_id, s.question) for s in samples] == [
        ("a.JPG:0000", "what ?"),
        ("a.JPG:0001", "is it red ?"),
        ("b.png:0000", "what ?"),
        ("b.png:0001", "is it red ?"),
    ]
    assert {s.load_image().size for s in samples} == {(10, 12)}


def test_a_csv_file_names_image_and_question(folder):
    text = 'image,question,answer,family,id\nb.png,"red, or blue ?",red,color,7\na.JPG,what ?,,,8\n'
    (folder / "questions.csv").write_text(text, encoding="utf-8")
    first, second = read_folder(folder)
    assert (first.sample_id, first.question, first.answer, first.family) == ("7", "red, or blue ?", "red", "color")
    assert (second.sample_id, second.answer, second.image) == ("8", None, folder / "a.JPG")


def test_a_jsonl_file_in_the_folder_is_read(folder):
    line = json.dumps({"image": "b.png", "question": "what ?", "answer": "red"})
    (folder / "questions.jsonl").write_text(line, encoding="utf-8")
    assert read_samples(folder)[0].image == folder / "b.png"
    assert read_samples(folder / "questions.jsonl")[0].answer == "red"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "exactly one of .* got none"),
        ({"questions.txt": "q", "questions.csv": "image"}, r"exactly one of .* got \['questions.csv', 'questions.txt'"),
        ({"questions.txt": " \n"}, r"questions.txt is empty"),
        ({"questions.csv": "picture,question\na,b"}, "header with image and question"),
        ({"questions.csv": "image,question\n"}, "is empty"),
        ({"questions.csv": "image,question\nnone.png,q"}, "record 1 of .* 'none.png', which is missing"),
        ({"questions.csv": "image,question\n,q"}, "record 1 of .* '', which is missing"),
        ({"questions.csv": "image,question\nb.png,"}, "'question', record 1"),
        ({"questions.csv": 'image,question\nb.png,"q'}, "need a CSV file, line"),
        ({"questions.csv": "image,question,id\nb.png,q,x\nb.png,r,x"}, "'x' twice"),
    ],
)
def test_bad_folders_are_refused_in_one_sentence(folder, files, message):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_images_and_a_latin_file_are_refused(tmp_path):
    (tmp_path / "questions.txt").write_text("q", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="need images beside"):
        read_folder(tmp_path)
    (tmp_path / "questions.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(InvalidInputError, match="UTF-8"):
        read_folder(tmp_path)


def test_parquet_with_paths_bytes_and_mappings(folder):
    path = table(folder / "paths.parquet", image=["b.png"], question=["what ?"], answer=["red"], id=[3])
    (sample,) = read_samples(path)
    assert (sample.sample_id, sample.answer, sample.image) == ("3", "red", folder / "b.png")
    path = table(folder / "bytes.parquet", image=[png(9), png(70)], question=["q", "r"])
    assert [np.asarray(s.load_image())[0, 0, 0] for s in read_parquet(path)] == [9, 70]
    assert [s.sample_id for s in read_parquet(path)] == ["00000000", "00000001"]
    path = table(folder / "maps.parquet", image=[{"bytes": png(5), "path": None}], question=["q"])
    assert np.asarray(read_parquet(path)[0].load_image())[0, 0, 0] == 5


def test_parquet_with_several_images(folder):
    path = table(folder / "lists.parquet", image=[[png(1), png(2)], [png(3)]], question=["q", "r"])
    samples = read_parquet(path)
    assert [[int(np.asarray(i)[0, 0, 0]) for i in s.load_images()] for s in samples] == [[1, 2], [3]]
    path = table(folder / "gone.parquet", image=[["b.png", "none.png"]], question=["q"])
    with pytest.raises(InvalidInputError, match=r"row 0 of .* 'none.png', which is missing"):
        read_parquet(path)


def test_bad_parquet_is_refused_in_one_sentence(folder):
    pytest.importorskip("pyarrow", reason="Parquet is optional")
    cases = [
        (table(folder / "columns.parquet", picture=[1], question=["q"]), "columns image and question, .* has picture"),
        (table(folder / "torn.parquet", image=["b.png"], question=["q"]), "readable Parquet"),
        (table(folder / "image.parquet", image=[b"no image"], question=["q"]), "bytes of row 0"),
        (table(folder / "none.parquet", image=[png(1), None], question=["q", "q"]), "row 1 of .* has none"),
        (table(folder / "twice.parquet", image=[png(1)] * 2, question=["q", "r"], id=["x", "x"]), "'x' twice"),
        (folder / "missing.parquet", "readable Parquet"),
    ]
    torn = folder / "torn.parquet"
    torn.write_bytes(torn.read_bytes()[:-9])
    for path, message in cases:
        with pytest.raises(InvalidInputError, match=message) as caught:
            read_parquet(path)
        assert "\n" not in str(caught.value)


def test_a_missing_library_names_its_command(folder, monkeypatch):
    for name in ("pyarrow", "datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow: pip install"):
        read_parquet(folder / "x.parquet")
    with pytest.raises(MissingExtraError, match=r"needs datasets: pip install"):
        read_dataset("some/name", allow_download=True)


def test_a_data_set_is_never_fetched_unasked():
    with pytest.raises(InvalidInputError, match="'some/name'; give --allow-download"):
        read_samples("hf:some/name:validation")


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"need a \.jsonl, \.json, \.csv or \.parquet file, a folder or hf:NAME:SPLIT"
    ):
        read_samples(tmp_path / "data.xlsx")


def test_batches_by_length_hold_every_sample_once_and_waste_less():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 103)
    samples = [Sample(str(i), None, "x" * int(n)) for i, n in enumerate(lengths)]
    batches = list(batches_by_length(iter(samples), 4, window=10))
    assert sorted(s.sample_id for batch in batches for s in batch) == sorted(s.sample_id for s in samples)
    assert max(len(batch) for batch in batches) == 4

    def padded(parts):
        return sum(len(part) * max(len(s.question) for s in part) for part in parts)

    plain = [samples[i : i + 4] for i in range(0, len(samples), 4)]
    assert padded(batches) < 0.8 * padded(plain)
    # A window of 40 samples is sorted at once, so the first ten batches are the first 40 samples.
    assert {s.sample_id for batch in batches[:10] for s in batch} == {str(i) for i in range(40)}
    with pytest.raises(InvalidInputError, match="window >= 1"):
        next(batches_by_length(samples, 0))


ROWS = [
    {"image": "b.png", "question": "what ?", "answer": "red"},
    {"image": "a.JPG", "question": "is it ?", "answer": 0},
]


def written(folder, name, text, encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def test_one_table_reads_alike_however_it_is_written(folder):
    lines = [json.dumps(row) for row in ROWS]
    cells = [f"{row['image']},{row['question']},{row['answer']}" for row in ROWS]
    header = "image,question,answer"
    files = [
        written(folder, "UPPER.JSONL", "\n".join(lines)),
        written(folder, "bom.jsonl", "\n".join(lines), "utf-8-sig"),
        written(folder, "crlf.jsonl", "\r\n".join(lines) + "\r\n"),
        written(folder, "cr.jsonl", "\r".join(lines)),
        written(folder, "wide.jsonl", "\n".join(lines), "utf-16"),
        written(folder, "list.json", json.dumps(ROWS, indent=1)),
        written(folder, "list.jsonl", json.dumps(ROWS)),
        written(folder, "plain.csv", "\n".join([header, *cells])),
        written(folder, "bom.CSV", "\r\n".join([header, *cells]) + "\r\n", "utf-8-sig"),
        written(folder, "semicolon.csv", "\n".join([header, *cells]).replace(",", ";")),
        written(folder, "tab.csv", "\n".join([header, *cells]).replace(",", "\t")),
        table(folder / "P.PARQUET", image=["b.png", "a.JPG"], question=["what ?", "is it ?"], answer=["red", "0"]),
    ]
    for file in files:
        read = [(s.image, s.question, s.answers) for s in read_samples(file)]
        assert read == [(folder / "b.png", "what ?", ("red",)), (folder / "a.JPG", "is it ?", ("0",))], file


def test_a_line_end_of_unicode_inside_a_question_is_no_line_end(folder):
    question = "was\u2028ist\x85das ?"
    file = written(folder, "d.jsonl", json.dumps({"image": "b.png", "question": question}, ensure_ascii=False))
    assert [s.question for s in read_samples(file)] == [question]


def test_images_come_as_uris_mappings_and_several(folder):
    content = base64.b64encode((folder / "b.png").read_bytes()).decode()
    given = [
        "b.png",
        str(folder / "b.png"),
        (folder / "b.png").as_uri(),
        f"data:image/png;base64,{content}",
        {"path": "b.png"},
        {"bytes": content},
        ["b.png"],
    ]
    text = "\n".join(json.dumps({"image": image, "question": "q"}) for image in given)
    text += "\n" + json.dumps({"images": ["b.png", "a.JPG"], "question": "q"})
    samples = read_samples(written(folder, "d.jsonl", text))
    wanted = np.asarray(samples[0].load_image())
    assert all(np.array_equal(s.load_image(), wanted) for s in samples[:-1])
    assert samples[-1].n_images == 2


def test_a_row_that_cannot_be_used_is_a_fault_and_the_others_go_on(folder):
    rows = [
        json.dumps(ROWS[0]),
        "{broken",
        '{"a":' * 5000,
        "3",
        json.dumps({"question": "q", "picture": "b.png"}),
        json.dumps({"image": "b.png", "question": None, "id": "named"}),
        json.dumps({"image": {"bytes": "@"}, "question": "q"}),
        json.dumps({"image": 7, "question": "q"}),
        json.dumps(ROWS[1]),
    ]
    file = written(folder, "d.jsonl", "\n".join(rows))
    samples = read_samples(file, strict=False)
    assert [bool(s.fault) for s in samples] == [False, *[True] * 7, False]
    assert [s.sample_id for s in samples][4:6] == ["d:000005", "named"]
    for sample in samples[1:8]:
        assert f"of {file}" in sample.fault
        with pytest.raises(InvalidInputError) as caught:
            sample.load_images()
        assert str(caught.value) == sample.fault
    _, faults = settle_units(samples)
    assert list(faults) == [s.sample_id for s in samples[1:8]]
    cells = "image,question\nb.png,what ?\nb.png\na.JPG,is it ?,x,y\n\n"
    assert [bool(s.fault) for s in read_samples(written(folder, "d.csv", cells), strict=False)] == [False, True, True]


def test_parquet_answers_keep_their_meaning(folder):
    image, question = ["b.png"] * 3, ["q"] * 3
    for values, answers in (
        ([0, 1, None], [("0",), ("1",), ()]),
        ([True, False, None], [("True",), ("False",), ()]),
        ([0.0, float("nan"), 2.5], [("0",), (), ("2.5",)]),
        ([["a", "b"], [], None], [("a", "b"), (), ()]),
        (["", None, "x"], [("",), (), ("x",)]),
    ):
        path = table(folder / "t.parquet", image=image, question=question, answer=values)
        assert [s.answers for s in read_parquet(path)] == answers


def test_a_folder_of_parquet_files_is_one_table(folder):
    pytest.importorskip("pyarrow", reason="Parquet is optional")
    (folder / "shards").mkdir()
    for i in range(2):
        table(folder / "shards" / f"train-{i}.parquet", image=[png(i), png(9 + i)], question=["q", "r"])
    samples = read_samples(folder / "shards")
    assert [s.sample_id for s in samples] == [f"{i:08d}" for i in range(4)]
    assert [int(np.asarray(s.load_image())[0, 0, 0]) for s in samples] == [0, 9, 1, 10]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        ("d.jsonl.gz", b"\x1f\x8b", "convert or unpack it"),
        ("d.csv", b"image,question,image\nb.png,q,b.png", "'image' more than once"),
        ("d.json", b'{"data": []}', "need an image or a video"),
        ("d.json", b"[" * 100000, "unreadable"),
        ("d.jsonl", b'{"image": "%s", "question": "q"}' % (b"x" * 5000), "not readable: .*too long"),
        ("d.jsonl", b'{"image": "a\\u0000.png", "question": "q"}', "not readable: .*null"),
        ("d.jsonl", b'{"image": "https://example.org/a.png", "question": "q"}', "nothing is fetched"),
        ("d.jsonl", b'{"image": ".", "question": "q"}', "a folder"),
    ],
)
def test_hostile_files_are_one_sentence(folder, name, content, words):
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=words) as caught:
        read_samples(folder / name)
    assert len(str(caught.value)) < 900


def test_a_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "d.jsonl")
    with pytest.raises(InvalidInputError, match="pipe"):
        read_samples(folder / "d.jsonl")
