"""Hostile samples, pictures and models, seeded: what other readers read, too, or one sentence; no traceback, no hang.

Off by default, as tests/fuzz/test_doors.py: ``pytest -m fuzz tests/fuzz``; FUZZ_INPUTS and FUZZ_SEED choose.
"""

import contextlib
import io
import json
import resource
import shutil

import numpy as np
import pytest
from PIL import Image

from extraction.data import read_samples, settle_units
from extraction.data.pictures import FORMATS, load_picture
from extraction.default_model import PATH
from extraction.models.loading import load_model_and_processor
from support.fuzzing import INPUTS, SEED, one_sentence

pytestmark = pytest.mark.fuzz
_FEARED = [b"\0", b"\xff\xfe", b'"', b"[" * 50, b"{", b"NaN", b"1e999", b"\r", b"\\ud800", b","]


def damaged(rng, raw):
    """Bytes with a few of them changed, cut, doubled or swapped for what parsers fear."""
    raw = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, max(1, len(raw))))
        kind = rng.integers(0, 6)
        if kind == 0 and raw:
            raw[at % len(raw)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del raw[at : at + int(rng.integers(1, 40))]
        elif kind == 2:
            raw[at:at] = raw[at : at + 30]
        elif kind == 3:
            raw[at:at] = _FEARED[rng.integers(len(_FEARED))]
        elif kind == 4:
            raw[at : at + 4] = rng.bytes(4)
        else:
            raw = raw[: at + 1] if rng.random() < 0.3 else raw
    return bytes(raw)


def test_pictures():
    rng = np.random.default_rng([SEED, 1])
    pixels = rng.integers(0, 256, (12, 9, 3), dtype=np.uint8)
    images = [Image.fromarray(pixels), Image.fromarray(pixels).convert("P"), Image.fromarray(pixels).convert("L")]
    images.append(Image.fromarray(pixels[..., 0].astype(np.uint16) * 257))
    bases = []
    for kind in FORMATS:
        for image in images:
            with contextlib.suppress(OSError):
                stream = io.BytesIO()
                image.save(stream, kind)
                bases.append(stream.getvalue())
    counts = {"taken": 0, "refused": 0, "equal to Pillow": 0}
    for _ in range(INPUTS):
        raw = damaged(rng, bases[rng.integers(len(bases))])
        with one_sentence(counts, raw):
            read = load_picture(raw)
            assert read.mode == "RGB"
            with Image.open(io.BytesIO(raw), formats=FORMATS) as other:
                if other.mode in ("RGB", "P", "L", "1", "RGBA", "LA", "CMYK") and not other.getexif():
                    np.testing.assert_array_equal(read, other.convert("RGB"))
                    counts["equal to Pillow"] += 1
    print(f"pictures: {counts}")
    assert counts["taken"] > INPUTS // 20
    assert counts["refused"] > INPUTS // 20


def test_samples(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is optional")
    import pyarrow

    rng = np.random.default_rng([SEED, 2])
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    rows = [
        {"id": f"s{i}", "image": f"{i % 3}.png", "question": f"what is {i} ?", "answer": answer}
        for i, answer in enumerate([0, "red", None, ["a", "b"]] * 2)
    ]
    texts = [{**row, "answer": str(row["answer"])} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(texts), tmp_path / "base.parquet")
    table = "\n".join(["id,image,question,answer", *(",".join(map(str, row.values())) for row in texts)])
    bases = {
        "jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "json": json.dumps(rows, indent=1).encode(),
        "csv": table.encode(),
        "parquet": (tmp_path / "base.parquet").read_bytes(),
    }
    counts = {"taken": 0, "refused": 0, "faults": 0, "equal to json": 0}
    for i in range(INPUTS):
        ending = list(bases)[i % 4]
        raw = damaged(rng, bases[ending])
        file = tmp_path / f"d.{ending}"
        file.write_bytes(raw)
        with one_sentence(counts, (ending, raw)):
            samples = read_samples(file, strict=bool(rng.random() < 0.3))
            _, faults = settle_units(samples)
            counts["faults"] += len(faults)
            if ending == "jsonl" and raw[:2] not in (b"\xff\xfe", b"\xfe\xff"):
                told = {s.sample_id: s.question for s in samples if not s.fault}
                for line in raw.decode("utf-8-sig").replace("\r", "\n").split("\n"):
                    with contextlib.suppress(ValueError, RecursionError):
                        row = json.loads(line)
                        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"] in told:
                            assert told[row["id"]] == row["question"]
                            counts["equal to json"] += 1
    print(f"samples: {counts}")
    assert counts["taken"] > INPUTS // 20
    assert counts["refused"] > INPUTS // 20


def test_models(tmp_path):
    rng = np.random.default_rng([SEED, 3])
    names = [f.name for f in PATH.iterdir() if f.suffix in (".json", ".jinja") and f.name != "card.json"]
    load_model_and_processor(str(PATH))  # imports take long, and are no hang
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (24 << 30, hard))  # a size with more digits must not take the machine
    counts = {"taken": 0, "refused": 0}
    try:
        for _ in range(INPUTS):
            folder = tmp_path / "model"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(PATH, folder, ignore=shutil.ignore_patterns("model.safetensors", "__pycache__"))
            name = str(rng.choice([*names, "model.safetensors"]))
            if name == "model.safetensors":
                raw = (PATH / name).read_bytes()
                head = 8 + int.from_bytes(raw[:8], "little")
                (folder / name).write_bytes(damaged(rng, raw[:head]) + raw[head:])
                what = name
            else:
                (folder / "model.safetensors").symlink_to(PATH / "model.safetensors")
                what = damaged(rng, (PATH / name).read_bytes())
                (folder / name).write_bytes(what)
            with one_sentence(counts, (name, what)), contextlib.redirect_stderr(io.StringIO()):
                model, processor = load_model_and_processor(str(folder))
                assert processor.tokenizer.pad_token is not None
                assert sum(p.numel() for p in model.parameters()) > 3_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    print(f"models: {counts}")
    assert counts["taken"] > INPUTS // 20
    assert counts["refused"] > INPUTS // 20
