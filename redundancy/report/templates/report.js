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
    svg.addEventListener("pointermove", (event) => {
      let best = null, reach = 22 * 22;
      for (const mark of marks) {
        const box = mark.node.getBoundingClientRect();
        const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
        const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
        const distance = dx * dx + dy * dy;
        if (distance < reach) { reach = distance; best = mark; }
      }
      if (best) show(best, event.clientX, event.clientY); else clear();
    });
    svg.addEventListener("pointerleave", clear);

    let at = -1;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-describedby", "keys");
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { clear(); return; }
      if (event.key === "Home") at = 0;
      else if (event.key === "End") at = marks.length - 1;
      else if (event.key in steps) at = (Math.max(at, steps[event.key] < 0 ? 0 : -1) + steps[event.key] + marks.length) % marks.length;
      else return;
      event.preventDefault();
      const box = marks[at].node.getBoundingClientRect();
      show(marks[at], box.right, box.top);
      spoken.textContent = marks[at].text;
    });
    svg.addEventListener("blur", clear);
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
