"""Every image-text-to-text class of transformers has a verdict on the page, and the verdict is the engine's own."""

import re
from collections import Counter
from pathlib import Path

import pytest
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

from support import load_script

PAGE = (Path(__file__).parents[2] / "docs" / "model_classes.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in re.findall(r"^\| (?!type|---)(.*) \|$", PAGE, flags=re.MULTILINE)
    if len(cells := [cell.strip() for cell in line.split(" | ")]) >= 3
}
QUICK = ("llava", "gemma3", "mllama", "blip-2", "lfm2_vl", "t5gemma2", "fuyu")
same_release = pytest.mark.skipif(
    f"transformers {transformers.__version__} calls" not in PAGE, reason="the page is of another release"
)


@pytest.fixture(scope="module")
def script():
    transformers.logging.set_verbosity_error()
    return load_script("examples/families/make_classes.py")


@same_release
def test_every_class_is_on_the_page():
    assert {name: row[0] for name, row in ROWS.items()} == dict(NAMES)


def test_verdicts_are_counted_and_have_reasons(script):
    counts = Counter(row[1] for row in ROWS.values())
    assert set(counts) <= set(script.KINDS)
    for kind in script.KINDS:
        assert f"**{kind}** ({counts[kind]})" in PAGE
    for name, row in ROWS.items():
        assert (row[1] in ("refused", "not built")) == bool(row[2:] and row[2].strip("| ")), name


@same_release
@pytest.mark.parametrize("name", QUICK)
def test_a_verdict_is_what_the_engine_says(script, name):
    verdict, why = script.examine(name)
    assert verdict == ROWS[name][1]
    assert why.replace("|", "/") == " | ".join(ROWS[name][2:]).strip("| ").strip()


@pytest.mark.slow
@same_release
def test_all_verdicts_are_what_the_engine_says(script):
    for name in NAMES:
        assert script.examine(name)[0] == ROWS[name][1], name
