"""The page in a real browser: no errors, no requests, figures that are there, both themes, a phone's width.

Chromium is driven over its debugging pipe, so that nothing needs installing but the browser itself.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redundancy.report import render_html
from redundancy.report.figures import FIGURES
from support import reports as FACTORY

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser: the Debian package chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
]
PATIENCE = 60.0  # seconds: a busy machine starts a browser slowly


class Chromium:
    """A minimal client of the DevTools protocol over file descriptors 3 and 4."""

    def __init__(self, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def place() -> None:
            # First out of the way: one of the ends may itself be descriptor 3 or 4.
            reads, writes = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            preexec_fn=place,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._ids = itertools.count(1)
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, url: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read(deadline))

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._out)
        os.close(self._in)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser did not answer in time"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser closed its pipe"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    urls = {}
    for name in ("report", "hostile_report", "bare_report"):
        path = folder / f"{name}.html"
        path.write_text(render_html(getattr(FACTORY, f"make_{name}")()), encoding="utf-8")
        urls[name] = path.as_uri()
    return urls


def complaints(browser: Chromium) -> list[Any]:
    kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}
    return [event for event in browser.events if event.get("method") in kinds]


def requests(browser: Chromium) -> list[str]:
    sent = [event for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in sent]


@pytest.mark.parametrize("name", ["report", "hostile_report", "bare_report"])
def test_the_page_opens_without_errors_or_requests(browser: Chromium, pages: dict[str, str], name: str) -> None:
    browser.open(pages[name])
    n_figures = browser.evaluate("document.querySelectorAll('figure.plot svg').length")
    assert n_figures == (3 if name == "bare_report" else len(FIGURES))
    sizes = browser.evaluate(
        "[...document.querySelectorAll('figure.plot svg')].map(s => s.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    assert all(width > 250 and height > 150 for width, height in sizes)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate("document.querySelector('img') === null")
    data = browser.evaluate("document.getElementById('report-data').textContent")
    assert json.loads(data) == getattr(FACTORY, f"make_{name}")()
    assert complaints(browser) == []
    assert [url for url in requests(browser) if url not in (pages[name], "data:,")] == []
    assert browser.evaluate("document.querySelectorAll('script').length") == 2


def test_the_page_is_drawn_within_a_second(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["report"])
    timing = "performance.getEntriesByType('navigation')[0]"
    fastest = browser.evaluate(f"{timing}.domContentLoadedEventEnd - {timing}.responseStart")
    for _ in range(2):  # the fastest of three: other work on the machine is not the page's
        browser.open(pages["report"])
        fastest = min(fastest, browser.evaluate(f"{timing}.domContentLoadedEventEnd - {timing}.responseStart"))
    assert fastest < 1000


def test_a_phone_shows_everything_without_sideways_scrolling(browser: Chromium, pages: dict[str, str]) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
    try:
        for name, url in pages.items():
            browser.open(url)
            assert browser.evaluate("document.documentElement.scrollWidth") <= 400, name
            browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.evaluate("document.documentElement.scrollWidth") <= 400, name
        smallest = browser.evaluate(
            "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
        )
        assert smallest >= 8
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_the_theme_follows_the_system_until_the_button_is_used(browser: Chromium, pages: dict[str, str]) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('svg text')).fill"
    seen = {}
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(pages["report"])
        seen[scheme] = browser.evaluate(background), browser.evaluate(ink)
    assert seen["light"] != seen["dark"]
    browser.evaluate("document.getElementById('theme').click()")
    assert (browser.evaluate(background), browser.evaluate(ink)) == seen["light"]
    assert browser.evaluate("document.getElementById('theme').textContent") == "Dark"
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_hover_shows_the_value_of_the_nearest_mark(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["report"])
    browser.evaluate("document.getElementById('fig-accuracy').scrollIntoView({block: 'center', behavior: 'instant'})")
    marks = "document.querySelectorAll('#fig-accuracy-hover-late-entry use')"
    x, y = browser.evaluate(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({marks}[1].getBoundingClientRect())")
    assert browser.evaluate("document.getElementById('tip').hidden")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 2, y=y + 2)
    assert browser.evaluate("document.getElementById('tip').textContent") == "late entry: depth 1, 0.787"
    assert not browser.evaluate("document.getElementById('tip').hidden")
    assert complaints(browser) == []


def test_a_cell_of_a_heat_map_shows_its_value(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["report"])
    matrix = FACTORY.make_report()["distance_matrix"]["vision"]
    browser.evaluate(
        "document.getElementById('fig-depth-vision').scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    box = browser.evaluate(
        "(r => [r.x, r.y, r.width, r.height])"
        "(document.getElementById('fig-depth-vision-hover-vision').getBoundingClientRect())"
    )
    for row, column in ((2, 7), (0, 10), (10, 0)):
        x, y = box[0] + (column + 0.5) * box[2] / 11, box[1] + (row + 0.5) * box[3] / 11
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        text = browser.evaluate("document.getElementById('tip').textContent")
        assert text.startswith(f"depths {row} and {column}: ")
        assert float(text.split(": ")[1]) == pytest.approx(matrix[row][column], rel=5e-3)
        frame = browser.evaluate("(r => [r.x, r.y])(document.querySelector('rect.lit').getBoundingClientRect())")
        assert frame == pytest.approx([x - box[2] / 22, y - box[3] / 22], abs=2.0)
    browser.evaluate("document.getElementById('fig-depth-vision').focus()")
    press(browser, "End")
    press(browser, "ArrowLeft")
    spoken = browser.evaluate("document.getElementById('spoken').textContent")
    assert spoken.startswith("depths 10 and 9: ")
    assert complaints(browser) == []


def press(browser: Chromium, key: str) -> None:
    codes = {"Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "End": 35, "Escape": 27}
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])


def test_the_keyboard_reaches_every_control_and_walks_through_a_figure(
    browser: Chromium, pages: dict[str, str]
) -> None:
    browser.open(pages["report"])
    wanted = set(
        browser.evaluate(
            "[...document.querySelectorAll('a, button, select, summary, .plot svg')]"
            ".map((e, i) => { e.dataset.key = String(i); return e.dataset.key })"
        )
    )
    reached = set()
    for _ in range(len(wanted) + 40):  # regions that scroll take the focus too
        press(browser, "Tab")
        reached.add(browser.evaluate("document.activeElement.dataset.key || ''"))
    assert wanted <= reached
    outline = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"

    browser.evaluate("document.getElementById('fig-accuracy').focus()")
    spoken = "document.getElementById('spoken').textContent"
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End"):
        press(browser, key)
        seen.append(browser.evaluate(spoken))
    titles = ["late entry: depth 0, 0.965", "late entry: depth 1, 0.787", "late entry: depth 0, 0.965"]
    assert seen == [*titles, "vision exit: depth 10, 0.965"]
    assert not browser.evaluate("document.getElementById('tip').hidden")
    press(browser, "Escape")
    assert browser.evaluate("document.getElementById('tip').hidden")
    assert complaints(browser) == []


def test_choosing_a_layer_shows_its_card_and_marks_it_in_every_figure(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["report"])
    shown = "[...document.querySelectorAll('.card')].filter(c => c.checkVisibility()).map(c => [c.id, c.open])"
    assert len(browser.evaluate(shown)) == 10
    browser.evaluate("document.getElementById('layer').focus()")
    for _ in range(3):
        press(browser, "ArrowDown")
    assert browser.evaluate(shown) == [["layer-3", True]]
    marked = "[...document.querySelectorAll('.plot .chosen')].map(m => m.closest('svg').id)"
    assert {"fig-distance", "fig-attention", "fig-accuracy"} <= set(browser.evaluate(marked))
    before = len(browser.evaluate(marked))
    # The whole figure: a mark's own box is elsewhere in some fonts once the page is laid out for the picture.
    left, top, width, height = browser.evaluate(
        "(r => [r.x + scrollX, r.y + scrollY, r.width, r.height])"
        "(document.getElementById('fig-distance').getBoundingClientRect())"
    )
    clip = {"x": left, "y": top - 100, "width": width, "height": height + 200, "scale": 1}
    lit = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
    assert lit == browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
    browser.evaluate("document.getElementById('layer-next').click()")
    plain = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
    assert lit != plain  # the mark looks different while its layer is chosen
    assert browser.evaluate(shown) == [["layer-4", True]]
    assert len(browser.evaluate(marked)) == before
    browser.evaluate("for (let k = 0; k < 4; k++) document.getElementById('layer-previous').click()")
    assert len(browser.evaluate(shown)) == 10
    assert browser.evaluate(marked) == []


def test_what_is_focused_or_shown_has_a_name_and_contrast(browser: Chromium, pages: dict[str, str]) -> None:
    """Names from the browser's accessibility tree; contrast of text by WCAG 2, in both themes."""
    browser.call("Accessibility.enable")
    try:
        browser.open(pages["report"])
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    finally:
        browser.call("Accessibility.disable")
    kinds = {"button", "link", "combobox", "image", "region", "DisclosureTriangle"}
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
    assert len([role for role, _ in named if role in kinds]) > 40
    assert [role for role, name in named if role in kinds and not name.strip()] == []
    script = """(() => {
      const parse = (c) => c.match(/[\\d.]+/g).map(Number);
      const flat = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = (c) => { const [r, g, b] = c.map((v) => flat(v / 255));
        return .2126 * r + .7152 * g + .0722 * b; };
      const paper = light(parse(getComputedStyle(document.body).backgroundColor));
      return Math.min(...[...document.querySelectorAll('p, dt, dd, th, td, figcaption, a, summary, button')]
        .filter((e) => e.checkVisibility() && e.textContent.trim()).map((e) => {
          const ink = light(parse(getComputedStyle(e).color));
          return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05); }));
    })()"""
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(pages["report"])
        assert browser.evaluate(script) >= 4.5, scheme
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_it_prints_with_its_tables_and_without_its_controls(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["report"])
    pdf = browser.call("Page.printToPDF")["data"]
    assert len(pdf) > 50_000
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        gone = "[...document.querySelectorAll('button, .chooser, nav')].filter(e => e.checkVisibility()).length"
        assert browser.evaluate(gone) == 0
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    assert complaints(browser) == []


def test_links_lead_somewhere_and_the_data_can_be_downloaded(
    browser: Chromium, pages: dict[str, str], tmp_path: Path
) -> None:
    browser.open(pages["report"])
    links = browser.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))")
    assert len(links) > 5
    for link in links:
        assert browser.evaluate(f"document.querySelector({json.dumps(link)}) !== null"), link
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.evaluate("document.getElementById('download').click()")
    deadline = time.monotonic() + PATIENCE
    target = tmp_path / "report.json"
    while not target.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert json.loads(target.read_text()) == FACTORY.make_report()


def test_without_script_the_page_still_reads(browser: Chromium, pages: dict[str, str]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["report"])
        root = browser.call("DOM.getDocument", depth=1)["root"]["nodeId"]
        hidden = browser.call("DOM.querySelectorAll", nodeId=root, selector="button[hidden]")["nodeIds"]
        titles = browser.call("DOM.querySelectorAll", nodeId=root, selector="figure.plot use > title")["nodeIds"]
        assert len(hidden) == 2  # buttons that could do nothing are not shown
        assert len(titles) > 100  # the browser's own hover texts
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
