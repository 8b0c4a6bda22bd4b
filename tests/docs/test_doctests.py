"""Every `>>>` example of a docstring and of a teaching page runs and prints what it says."""

from __future__ import annotations

import doctest
import re
import warnings
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
_PROMPT = re.compile(r"^\s*>>> ", re.MULTILINE)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if _PROMPT.search(path.read_text(encoding="utf-8"))
)
# The theorem pages, proofs.md and the gallery are run by tests of their own and by the build of the site.
PAGES = sorted(p for p in (ROOT / "docs").glob("*.md") if _PROMPT.search(p.read_text("utf-8")) and p.stem != "proofs")


def test_there_are_examples_to_run():
    assert len(MODULES) > 60
    assert {page.stem for page in PAGES} >= {"start", "choosing", "reading_certificates"} or not PAGES


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name):
    module = import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page(page, capsys):
    source = "\n".join(re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    example = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    assert example.examples
    result = doctest.DocTestRunner(verbose=False).run(example)
    assert result.failed == 0, capsys.readouterr().out
