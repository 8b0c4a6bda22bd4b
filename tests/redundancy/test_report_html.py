"""The page: hostile strings stay text, nothing is requested, the data comes out as it went in."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from redundancy.errors import InvalidInputError
from redundancy.report import render_html
from redundancy.report.figures import FIGURES
from support import reports as FACTORY
from support import run_python

VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "rect"}


class Page(HTMLParser):
    """What a browser would see, by the standard library's parser: elements, text, scripts, balance of tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.raw: list[tuple[dict[str, str], str]] = []
        self.stack: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] in ("script", "style"):
            self.raw.append((self.elements[-1][1], data))
        else:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(FACTORY.make_report())


@pytest.fixture(scope="module")
def hostile() -> str:
    return render_html(FACTORY.make_hostile_report())


@pytest.fixture(params=["html", "hostile", "bare"])
def page(request: pytest.FixtureRequest) -> tuple[str, Page]:
    text = (
        render_html(FACTORY.make_bare_report()) if request.param == "bare" else request.getfixturevalue(request.param)
    )
    return text, Page(text)


def test_the_page_is_whole_and_names_every_landmark(page: tuple[str, Page]) -> None:
    _, seen = page
    assert seen.unbalanced == []
    assert seen.stack == []
    names = Counter(name for name, _ in seen.elements)
    assert (names["main"], names["h1"], names["header"], names["footer"], names["nav"]) == (1, 1, 1, 1, 1)
    levels = [int(name[1]) for name, _ in seen.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_ids_are_unique_and_every_reference_finds_one(page: tuple[str, Page]) -> None:
    text, seen = page
    ids = Counter(attributes["id"] for _, attributes in seen.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = [a["href"][1:] for _, a in seen.elements if a.get("href", "").startswith("#")]
    wanted += [name for _, a in seen.elements for name in a.get("aria-labelledby", "").split()]
    wanted += re.findall(r"url\(#([^)]+)\)", text)
    assert set(wanted) - set(ids) == set()


def test_nothing_outside_the_page_is_named(page: tuple[str, Page]) -> None:
    _, seen = page
    for name, attributes in seen.elements:
        for key in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = attributes.get(key, "#")
            assert value.startswith("#") or value == "data:,", (name, key, value)
        assert not any(key.startswith("on") for key in attributes), (name, attributes)
    code = " ".join(text for attributes, text in seen.raw if attributes.get("type") != "application/json")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|WebSocket", code)


def test_only_the_pages_own_script_may_run(page: tuple[str, Page]) -> None:
    _, seen = page
    policy = next(a["content"] for a in seen.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    scripts = [(attributes, text) for attributes, text in seen.raw if "default-src" not in text and "{" in text]
    code = [text for attributes, text in scripts if text.startswith('"use strict"')]
    assert len(code) == 1
    digest = base64.b64encode(hashlib.sha256(code[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert len(seen.all("script")) == 2


def test_hostile_strings_are_shown_and_never_parsed(hostile: str) -> None:
    seen = Page(hostile)
    assert seen.all("img") == []
    shown = " ".join(FACTORY.HOSTILE.split())
    assert seen.words.count(shown) >= 12  # name, plan, guarantee, theorem, quantity, assumptions, families, ...
    assert hostile.count("<script>alert") == 0
    assert hostile.count("</script>") == 2
    titles = [a["title"] for _, a in seen.elements if "title" in a]
    assert titles, "label cells carry their bound"


@pytest.mark.parametrize("make", ["make_report", "make_hostile_report", "make_bare_report"])
def test_the_data_comes_out_as_it_went_in(make: str) -> None:
    report = getattr(FACTORY, make)()
    seen = Page(render_html(report, figures={}))
    data = [text for attributes, text in seen.raw if attributes.get("id") == "report-data"]
    assert len(data) == 1
    assert json.loads(data[0]) == report
    assert not set(data[0]) & set("<>&")  # a browser ends a script at "</script " too, this parser may not


def test_every_figure_is_inline_and_has_words(html: str) -> None:
    seen = Page(html)
    figures = seen.all("svg")
    assert len(figures) == len(FIGURES)
    for attributes in figures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"]) > 30
        assert re.fullmatch(r"0 0 \d[\d.]* \d[\d.]*", attributes.get("viewbox", attributes.get("viewBox", "")))
    label = next(a["aria-label"] for a in figures if a["id"] == "fig-accuracy")
    assert "Late entry: 0.965 at 0, 0.281 at 10." in label
    # Colours of the theme are variables, so that the dark page needs no second set of figures.
    assert "#0072b2" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def test_tables_have_captions_and_scoped_heads(html: str) -> None:
    for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
        seen = Page(table)
        assert len(seen.all("caption")) == 1
        heads = seen.all("th")
        assert heads
        assert all(head.get("scope") in ("col", "row") for head in heads)


def test_the_story_is_told_in_order_and_in_numbers(html: str) -> None:
    words = Page(html).words
    order = [
        "An image enters a vision-language model",
        "Vision tokens leave after layer 6 of 10.",
        "With confidence at least 0.95",
        "How sure: five labels",
        "Profile: what each layer changes",
        "16 of them are vacuous",
        "Validation: what really skipping does",
        "What is not claimed",
        "Do distances predict skipping?",
        "Weights, SHA-256",
    ]
    places = [words.find(phrase) for phrase in order]
    assert -1 not in places
    assert places == sorted(places)
    for number in ("1.39\u00d7", "\u22121.6\u202fpp", "\u2264\u202f4.1\u202f%", "\u221217.8\u202fpp"):
        assert number in html
    assert "the combined condition says skip, and skipping fails" in words


def test_findings_on_the_page_change_with_the_data() -> None:
    report = FACTORY.make_report()
    for row in report["late_entry"]:
        row["accuracy_change_interval"] = [-0.9, 0.1]
    words = Page(render_html(report, figures={})).words
    assert "skipping fails" not in words
    assert "That does not show that small distances make a layer safe." in words


def test_without_a_chosen_plan_the_page_says_which_kind_of_none_it_is() -> None:
    words = Page(render_html(FACTORY.make_bare_report(), figures={})).words
    assert "No plan was run." in words
    assert "Validation" not in words
    report = FACTORY.make_report()
    report["chosen_plan"] = None
    assert "No plan met the required risk." in Page(render_html(report, figures={})).words


@pytest.mark.parametrize("make", ["make_report", "make_bare_report", "make_hostile_report"])
def test_every_layer_is_told_not_to_be_safe_by_distances_alone(make: str) -> None:
    report = getattr(FACTORY, make)()
    for row in report["profile"]:
        row["mean_distance"], row["fraction_below_0.05"] = 0.0, 1.0  # as close as can be: still no word of safety
    seen = Page(render_html(report, figures={}))
    cards = [a for name, a in seen.elements if name == "details" and "card" in a.get("class", "")]
    assert [a["data-layer"] for a in cards] == [str(k) for k in range(1, 11)]
    for layer in range(1, 11):
        assert seen.words.count(f"Distances alone do not make layer {layer} safe to skip.") == 1
    assert not re.search(r"(?<!not make )\blayer \d+ (?:is|are) safe|can safely|safely skipped", seen.words)


def test_a_card_holds_the_numbers_of_its_layer() -> None:
    report = FACTORY.make_report()
    words = Page(render_html(report, figures={})).words
    start = words.index("Layer 2 vision 0.020, text 0.193")
    card = words[start : words.index("Layer 3 vision")]
    assert "mean distance, vision 0.020, certified \u2264 0.028" in card
    assert "no vision tokens in layers 1 to 2 (late entry at 2) accuracy 66.0 %; change \u221230.5 pp" in card
    assert "no vision tokens in layers 2 to 10 (vision exit at 1) accuracy 46.5 %" in card
    bare = Page(render_html(FACTORY.make_bare_report(), figures={})).words
    assert bare.count("was not run") == 20
    assert "No plan that skips it was run" in bare


def test_a_plan_is_named_in_words_where_the_report_has_none() -> None:
    report = FACTORY.make_report()
    for late, leave, plan, words in (
        (0, 6, "vision_exit(6)", "Vision tokens leave after layer 6 of 10."),
        (2, 10, "late_entry(2)", "Vision tokens enter after layer 2 of 10."),
        (2, 6, "late_entry(2) + vision_exit(6)", "Vision tokens enter after layer 2 and leave after layer 6 of 10."),
        (0, 6, "vision_exit(6) + fastv(2, 0.5)", "vision_exit(6) + fastv(2, 0.5)"),
        (0, 10, "identity", "identity"),
    ):
        report["chosen_plan"].update(late_entry=late, vision_exit=leave, plan=plan, text=plan)
        headline = re.search(r'<p class="headline">(.*?)</p>', render_html(report, figures={}))
        assert headline is not None
        assert headline[1] == words


def test_a_rule_that_met_no_case_is_said_to_be_untested() -> None:
    report = FACTORY.make_report()
    for row in report["profile"]:
        row["mean_distance"] = 0.9
    words = Page(render_html(report, figures={})).words
    assert "cannot say what small distances are worth" in words


def test_vacuous_statements_are_counted_and_marked(html: str) -> None:
    report = FACTORY.make_report()
    vacuous = sum(s["vacuous"] for c in report["certificates"] for s in c["statements"])
    assert vacuous == 16
    assert html.count('<tr class="vacuous">') == vacuous
    assert Page(html).words.count("says nothing") >= vacuous


def test_given_figures_are_used_in_place_of_drawing() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle id="c" r="3"/></svg>'
    page = render_html(FACTORY.make_report(), figures={"distance": svg, "unknown": svg})
    assert page.count("<circle") == 1
    assert 'id="fig-distance-c"' in page
    with pytest.raises(InvalidInputError, match="need an SVG document for figure 'fig-distance'"):
        render_html(FACTORY.make_report(), figures={"distance": "<b>"})


def test_an_unsound_report_is_not_rendered() -> None:
    with pytest.raises(InvalidInputError, match="n_samples"):
        render_html({**FACTORY.make_report(), "n_samples": -1})


def test_importing_the_report_loads_no_plotting_and_a_missing_library_names_its_command() -> None:
    code = (
        "import sys, redundancy.report\n"
        "heavy = {'torch', 'matplotlib', 'jinja2', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.modules['jinja2'] = sys.modules['matplotlib'] = None\n"
        "from redundancy.errors import MissingExtraError\n"
        "from redundancy.report import render_html, save_figures\n"
        "from support.reports import make_report\n"
        "report = make_report()\n"
        "for call in (lambda: render_html(report, figures={}), lambda: save_figures(report, 'nowhere')):\n"
        "    try: call()\n"
        "    except MissingExtraError as error: print(error)\n"
    )
    assert run_python(code).splitlines() == [
        'figures and reports need jinja2: pip install "skip-it[report]"',
        'figures and reports need matplotlib: pip install "skip-it[report]"',
    ]
