"""The theorem pages: their numbers are today's, every statement has its anchor, their snippets run."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from redundancy.bounds.ledger import theorems

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "theorems"
SCRIPT = ROOT / "examples" / "theorems" / "make_pages.py"
PAGES = sorted(DOCS.glob("*.md"))
HEADINGS = (
    "Printed", "Corrected", "Sharpened", "Proof", "When it is tight", "How to compute it", "Labels and assumptions",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not part of the source distribution")


def check(docs, *only):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SCRIPT), "--check", "--docs", str(docs), *(["--only", *only] if only else [])]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_no_bound_contradicts_an_exact_value_and_every_page_is_fresh():
    result = check(DOCS)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"13 pages, \d+ statements, \d+ bounds, \d+ comparisons\n", result.stdout)


def test_the_check_notices_a_changed_number_a_lost_anchor_and_another_picture(tmp_path):
    docs = tmp_path / "theorems"
    shutil.copytree(DOCS, docs)
    page = docs / "lipschitz.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| 120 | 0 |", "| 121 | 0 |", 1), encoding="utf-8")
    page = docs / "lemmas.md"
    page.write_text(
        page.read_text(encoding="utf-8").replace('<a id="lemmas-divergence-information"></a>\n', ""), encoding="utf-8"
    )
    shutil.copy(docs / "fano.svg", docs / "braun_pokutta.svg")
    (docs / "mismatch.svg").unlink()
    result = check(docs, "lipschitz", "braun_pokutta", "mismatch")
    assert result.returncode == 1
    for expected in (
        "lipschitz.md is stale",
        "lemmas.divergence_information has no anchor",
        "braun_pokutta.svg shows other points",
        "mismatch.svg is missing",
    ):
        assert expected in result.stderr


@pytest.mark.parametrize("page", [p for p in PAGES if p.stem != "index"], ids=lambda p: p.stem)
def test_page_is_whole_and_its_snippets_run(page):
    text = page.read_text(encoding="utf-8")
    assert [h for h in re.findall(r"^## (.*)$", text, re.MULTILINE) if h in HEADINGS] == list(HEADINGS)
    assert r"$\square$" in text
    assert f"]({page.stem}.svg)" in text
    source = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    example = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    assert len(example.examples) >= 3
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_links_between_pages_lead_somewhere():
    anchors = {f"{p.name}#{a}" for p in PAGES for a in re.findall(r'<a id="([^"]+)"></a>', p.read_text("utf-8"))}
    assert {record.anchor for record in theorems()} == anchors
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            name = target if not target.startswith("#") else page.name + target
            assert name in anchors or (DOCS / name).is_file(), f"{page.name}: {target}"
