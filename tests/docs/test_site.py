"""The documentation site: commands all described, pages all reachable, formulas all readable without a network."""

from __future__ import annotations

import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

from redundancy.commands.cli import GROUP, build_app

pytest.importorskip("sphinx", reason="the site is built with the extra docs")
pytest.importorskip("latex2mathml", reason="the site is built with the extra docs")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not part of the source distribution", allow_module_level=True)
sys.path.insert(0, str(DOCS / "_ext"))

import bars  # noqa: E402
import mathml  # noqa: E402
import pages  # noqa: E402
from sphinx.testing.util import SphinxTestApp  # noqa: E402

MARKDOWN = sorted(p for p in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(p.relative_to(DOCS).parts))


def build(tmp_path, source, *, extensions):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "conf.py").write_text(f"extensions = {['myst_parser', *extensions]!r}\n", encoding="utf-8")
    (folder / "index.md").write_text(source, encoding="utf-8")
    app = SphinxTestApp("html", srcdir=folder, builddir=tmp_path / "out")
    try:
        app.build()
        return (Path(app.outdir) / "index.html").read_text(encoding="utf-8"), app.warning.getvalue()
    finally:
        app.cleanup()


def test_every_command_and_option_stands_in_the_reference(tmp_path):
    page, warnings = build(tmp_path, "# Commands\n\n```{command-line}\n```\n", extensions=["command_line"])
    assert warnings == ""
    text = re.sub(r"<[^>]+>", "", page).replace("&lt;", "<").replace("&gt;", ">")
    root = typer.main.get_command(build_app())
    names = {point.name for point in entry_points(group=GROUP)}
    assert len(names) >= 13
    assert names <= set(root.commands)
    for name in names:
        assert f'id="skip-it-{name}"' in page, name
        start = page.index(f'id="skip-it-{name}"')
        section = page[start : page.find('<section id="skip-it-', start + 1)]
        for parameter in root.commands[name].params:
            if parameter.param_type_name == "option" and not parameter.hidden and parameter.name != "help":
                for flag in parameter.opts:
                    assert flag in section or flag in ("--config", "--print-config", "--quiet", "-q"), (name, flag)
    assert "--print-config" in text


def test_a_command_that_cannot_be_loaded_fails_the_build(tmp_path, monkeypatch):
    import redundancy.commands.cli as cli

    monkeypatch.setattr(cli, "_commands", lambda: iter([("gone", None, "the command 'gone' cannot be loaded: no")]))
    _, warnings = build(tmp_path, "# Commands\n\n```{command-line}\n```\n", extensions=["command_line"])
    assert "cannot be loaded" in warnings


def test_every_page_stands_once_in_the_navigation_and_a_new_one_has_a_place():
    names = {str(p.relative_to(DOCS).with_suffix("")) for p in MARKDOWN} | {"api/index", "api/redundancy"}
    names |= {"gallery/index", "gallery/plot_one", "a_page_nobody_listed", "benchmarks/new"}
    placed = [page for _, found in pages.placed(names) for page in found]
    assert len(placed) == len(set(placed))
    below = {n for n in names if n.startswith(("theorems/", "api/", "gallery/")) and not n.endswith("/index")}
    assert set(placed) == names - below - {"index"}
    assert "a_page_nobody_listed" in dict(pages.placed(names))["More"]
    assert "benchmarks/new" in dict(pages.placed(names))["Measured"]


def test_a_folder_lists_its_pages_in_the_order_of_its_index_then_the_rest():
    text = "| [b](b.md) | [a](a.md) |\n"
    entries = pages._below("t/index", text, {"t/index", "t/a", "t/b", "t/c", "other"}).splitlines()
    assert entries[-4:-1] == ["b", "a", "c"]


def formulas():
    found = set()
    for page in MARKDOWN:
        text = re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
        found |= {(a or b).strip() for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$]+?)\$", text, re.DOTALL)}
    return sorted(found)


def test_every_formula_is_written_as_mathml():
    found = formulas()
    assert len(found) > 400
    for latex in found:
        element = mathml.to_mathml(latex)
        assert element.startswith("<math ")
        assert "\\" not in re.sub(r'alttext="[^"]*"', "", element).replace(r"\\", ""), latex


def test_mathml_has_the_structure_of_the_formula():
    element = mathml.to_mathml(r"\frac{a}{b} \le \sqrt{x_1}", display="block")
    for part in ("<mfrac>", "<msqrt>", "<msub>", 'display="block"', r'alttext="\frac{a}{b} \le \sqrt{x_1}"'):
        assert part in element
    with pytest.raises(Exception, match="need a formula"):
        mathml.to_mathml(r"\frac{a}{")


def test_formulas_of_a_page_need_no_script(tmp_path):
    page, warnings = build(
        tmp_path, "# M\n\nInline {math}`x^2` and\n\n```{math}\ny \\le z\n```\n", extensions=["mathml"]
    )
    assert warnings == ""
    assert page.count("<math ") == 2
    assert "mathjax" not in page.lower()


def test_bars_of_running_text_are_no_substitutions_and_code_stays():
    text = [
        "E|X - Y|^2 and ``|code|``, :math:`|m|`",
        ">>> print('|')",
        "|",
        "",
        ".. math:: |a|",
        "",
        "   |b|",
        "",
        "|c|",
    ]
    code = text[1:-1]
    assert list(bars.escape_bars(text)) == [r"E\|X - Y\|^2 and ``|code|``, :math:`|m|`", *code, r"\|c\|"]
