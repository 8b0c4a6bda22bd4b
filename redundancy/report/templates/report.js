"use strict";
(function () {
  const root = document.documentElement;

  // Theme: follows the system until the button is used; the choice lasts as long as the page.
  const theme = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  // Download: the embedded JSON as a file.
  const download = document.getElementById("download");
  download.hidden = false;
  download.addEventListener("click", () => {
    const blob = new Blob([document.getElementById("report-data").textContent], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Hover: the title of the nearest mark. Without script the browser shows the same titles itself.
  const tip = document.getElementById("tip");
  for (const svg of document.querySelectorAll(".plot svg")) {
    const marks = [];
    for (const title of svg.querySelectorAll("title")) {
      marks.push({ node: title.parentNode, text: title.textContent });
      title.remove();
    }
    if (!marks.length) continue;
    let lit = null;
    const clear = () => { if (lit) lit.classList.remove("lit"); lit = null; tip.hidden = true; };
    svg.addEventListener("pointermove", (event) => {
      let best = null, reach = 22 * 22;
      for (const mark of marks) {
        const box = mark.node.getBoundingClientRect();
        const dx = Math.max(box.left - event.clientX, 0, event.clientX - box.right);
        const dy = Math.max(box.top - event.clientY, 0, event.clientY - box.bottom);
        const distance = dx * dx + dy * dy;
        if (distance < reach) { reach = distance; best = mark; }
      }
      clear();
      if (!best) return;
      lit = best.node;
      lit.classList.add("lit");
      tip.textContent = best.text;
      tip.hidden = false;
      const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = Math.max(8, left) + "px";
      tip.style.top = event.clientY + 18 + "px";
    });
    svg.addEventListener("pointerleave", clear);
  }

  // Printing unfolds the tables; of the certificates, of which there may be a hundred, only those left open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")].filter((item) => !item.closest("#certificates"));
    for (const item of closed) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of closed) item.open = false; });
})();
