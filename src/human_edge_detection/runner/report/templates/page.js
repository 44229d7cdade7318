"use strict";
(() => {
  const one = (selector, where = document) => where.querySelector(selector);
  const all = (selector, where = document) => [...where.querySelectorAll(selector)];
  const dataOf = (id) => { const found = document.getElementById(id); return found && JSON.parse(found.textContent); };

  // The table of runs: sorted by a column, empty cells last.
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => one("button", head).addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : numeric;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const keyed = all("tbody tr", table).map((row) => [row.children[column].dataset.sort, row]);
      const compare = (a, b) => (numeric ? a - b : a.localeCompare(b)) * (descending ? -1 : 1);
      keyed.sort(([a], [b]) => (a === "") - (b === "") || (a === "" ? 0 : compare(a, b)));
      one("tbody", table).append(...keyed.map(([, row]) => row));
    }));
  }
  one("#filter")?.addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of all("#run-table tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });

  // Pictures: each is in the page once.
  const pictures = dataOf("pictures") || {};
  const show = (image, name) => { if (pictures[name]) image.src = pictures[name]; else image.removeAttribute("src"); };
  for (const image of all("img[data-picture]")) show(image, image.dataset.picture);
  one("#labels")?.addEventListener("change", (event) => one("#seen").classList.toggle("no-labels", !event.target.checked));

  const galleries = all(".gallery");
  function chooseGallery(wanted) {
    for (const gallery of galleries) gallery.hidden = gallery.dataset.gallery !== wanted;
  }
  const model = one("#gallery-model");
  if (model) {
    model.addEventListener("change", () => chooseGallery(model.value));
    chooseGallery(model.value);
  }
  for (const gallery of galleries) {
    const left = one(".left-layer", gallery), right = one(".right-layer", gallery);
    if (!left) continue;
    const figures = all(".compare", gallery);
    const label = (select) => select.selectedOptions[0].textContent;
    function say(range) {
      range.parentElement.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-label", `${range.dataset.title}: left ${label(left)}, right ${label(right)}`);
      range.setAttribute("aria-valuetext", `${range.value} % of the width show ${label(left)}`);
    }
    function lay() {
      for (const figure of figures) {
        const overlays = JSON.parse(figure.dataset.overlays);
        for (const [side, select] of [["left", left], ["right", right]]) {
          const image = one(`.over.${side}`, figure);
          show(image, overlays[select.value]);
          image.alt = select.value ? `${side}: ${label(select)}` : "";
          one(`.badge.${side}`, figure).textContent = select.selectedOptions[0].dataset.word;
        }
        say(one("input", figure));
      }
    }
    left.addEventListener("change", lay);
    right.addEventListener("change", lay);
    for (const figure of figures) one("input", figure).addEventListener("input", (event) => say(event.target));
    lay();
  }

  const curves = dataOf("curve-data");
  if (curves) drawCurves(curves, one("#legend"), one("#charts"));
})();
