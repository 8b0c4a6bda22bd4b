"use strict";
(function () {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  // Theme: follows the system until the button is used; the choice lasts as long as the page.
  const theme = byId("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  // Download: the embedded JSON as a file.
  const download = byId("download");
  download.hidden = false;
  download.addEventListener("click", () => {
    const blob = new Blob([byId("report-data").textContent], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Values: the title of the nearest mark under the pointer, or of the mark that the arrow keys have reached.
  // Without script the browser shows the same titles itself.
  const tip = byId("tip"), spoken = byId("spoken"), byLayer = new Map();
  let lit = null;
  const clear = () => { if (lit) lit.classList.remove("lit"); lit = null; tip.hidden = true; };
  const show = (mark, x, y) => {
    clear();
    lit = mark.node;
    lit.classList.add("lit");
    tip.textContent = mark.text;
    tip.hidden = false;
    const left = Math.min(x + 14, root.clientWidth - tip.offsetWidth - 8);
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = Math.min(y + 18, innerHeight - tip.offsetHeight - 8) + "px";
  };
  // A figure is walked through by `move(steps right, steps down)`, or by "Home" and "End"; both give a mark.
  const steps = { ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1] };
  const listen = (svg, under, move) => {
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-describedby", "keys");
    svg.addEventListener("pointermove", (event) => {
      const mark = under(event.clientX, event.clientY);
      if (mark) show(mark, event.clientX, event.clientY); else clear();
    });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Escape") clear();
      if (!(event.key in steps) && event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      const mark = move(event.key), box = mark.node.getBoundingClientRect();
      show(mark, box.right, box.top);
      spoken.textContent = mark.text;
    });
  };
  for (const svg of document.querySelectorAll(".plot svg")) {
    const marks = [];
    for (const title of svg.querySelectorAll("title")) {
      const mark = { node: title.parentNode, text: title.textContent };
      const layer = /: (?:layer|depth) (\d+), /.exec(mark.text);
      if (layer) byLayer.set(layer[1], [...(byLayer.get(layer[1]) || []), mark.node]);
      marks.push(mark);
      title.remove();
    }
    if (!marks.length) continue;
    let at = -1;
    listen(svg, (x, y) => {
      let best = null, reach = 22 * 22;
      for (const mark of marks) {
        const box = mark.node.getBoundingClientRect();
        const dx = Math.max(box.left - x, 0, x - box.right), dy = Math.max(box.top - y, 0, y - box.bottom);
        if (dx * dx + dy * dy < reach) { reach = dx * dx + dy * dy; best = mark; }
      }
      return best;
    }, (key) => {
      const by = key in steps ? steps[key][0] + steps[key][1] : 0;
      if (by) at = at < 0 && by < 0 ? marks.length - 1 : (at + by + marks.length) % marks.length;
      else at = key === "Home" ? 0 : marks.length - 1;
      return marks[at];
    });
  }

  // Heat maps: cells are merged by colour, so values come from the data and a frame shows the cell.
  const report = JSON.parse(byId("report-data").textContent);
  for (const [group, matrix] of Object.entries(report.distance_matrix || {})) {
    const cells = byId("fig-depth-" + group + "-hover-" + group), n = matrix.length;
    if (!cells) continue;
    const frame = document.createElementNS(cells.namespaceURI, "rect");
    frame.setAttribute("fill", "none");
    cells.after(frame);
    const mark = (row, column) => {
      const box = cells.getBBox(), side = box.width / n, value = matrix[row][column];
      for (const [name, v] of [["x", box.x + column * side], ["y", box.y + row * side], ["width", side], ["height", side]])
        frame.setAttribute(name, v);
      const text = value === null ? "undefined" : String(Number(value.toPrecision(3)));
      return { node: frame, text: "depths " + row + " and " + column + ": " + text };
    };
    const inside = (v) => Math.min(n - 1, Math.max(0, v));
    let row = 0, column = -1;
    listen(cells.closest("svg"), (x, y) => {
      const box = cells.getBoundingClientRect();
      const r = Math.floor((y - box.top) / box.height * n), c = Math.floor((x - box.left) / box.width * n);
      return r === inside(r) && c === inside(c) ? mark(r, c) : null;
    }, (key) => {
      if (key in steps) { column = inside(column + steps[key][0]); row = inside(row + steps[key][1]); }
      else row = column = key === "Home" ? 0 : n - 1;
      return mark(row, column);
    });
  }
  byId("keys").hidden = false;

  // One layer: its card alone, and its marks in every figure.
  const chooser = byId("layer"), cards = [...document.querySelectorAll(".card")];
  const choose = () => {
    for (const nodes of byLayer.values()) for (const node of nodes) node.classList.remove("chosen");
    for (const node of byLayer.get(chooser.value) || []) node.classList.add("chosen");
    for (const card of cards) {
      card.hidden = chooser.value !== "" && card.dataset.layer !== chooser.value;
      card.open = chooser.value !== "" && !card.hidden;
    }
  };
  const step = (by) => () => {
    chooser.selectedIndex = (chooser.selectedIndex + by + chooser.options.length) % chooser.options.length;
    choose();
  };
  document.querySelector(".chooser").hidden = false;
  chooser.value = "";
  chooser.addEventListener("change", choose);
  byId("layer-previous").addEventListener("click", step(-1));
  byId("layer-next").addEventListener("click", step(1));

  // Printing unfolds the tables; of the certificates and layers, of which there may be a hundred, only those left open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")].filter((item) => !item.closest("#certificates, #layers"));
    for (const item of closed) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of closed) item.open = false; });
})();
