"use strict";
/**
 * Draws learning curves, and the legend that switches runs on and off.
 * `kept` remembers what was switched and opened, for whoever draws again with newer data.
 */
function drawCurves(curves, legend, charts, kept = { switched: new Map(), open: new Map() }) {
  const SVG = "http://www.w3.org/2000/svg", COLOURS = 8, WIDTH = 320, HEIGHT = 200;
  const BOX = { left: 46, right: 8, top: 8, bottom: 22 };
  const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
  const MOST_AT_FIRST = 12;
  const shown = (run, at) => kept.switched.get(run.name) ?? at < MOST_AT_FIRST;
  const visible = new Set(curves.runs.filter(shown).map((run) => run.run));
  const plots = [];

  function add(parent, name, attributes = {}, text = "") {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  }
  function mark(parent, number, x, y, size, className) {
    const kind = number % 4;
    if (kind === 0) return add(parent, "circle", { cx: x, cy: y, r: size, class: className });
    if (kind === 1) return add(parent, "rect", { x: x - size * .9, y: y - size * .9, width: size * 1.8, height: size * 1.8, class: className });
    if (kind === 2) return add(parent, "path", { d: `M${x} ${y - size * 1.2}l${size * 1.2} ${size * 2.1}h${-size * 2.4}z`, class: className });
    return add(parent, "path", { d: `M${x} ${y - size * 1.3}l${size * 1.3} ${size * 1.3}l${-size * 1.3} ${size * 1.3}l${-size * 1.3} ${-size * 1.3}z`, class: className });
  }
  function ticks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * .999);
    const found = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
    return found;
  }
  const written = (value) => value === null || value === undefined ? "–"
    : value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(1).replace(".0e", "e") : String(+value.toPrecision(4));

  class Plot {
    constructor(chart, host) {
      this.chart = chart;
      this.figure = document.createElement("figure");
      this.figure.className = "plot";
      this.figure.innerHTML = "<figcaption></figcaption>";
      this.figure.firstChild.textContent = chart.name;
      this.svg = add(this.figure, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0" });
      this.output = document.createElement("output");
      this.figure.append(this.output);
      host.append(this.figure);
      this.svg.addEventListener("pointermove", (event) => this.pointed(event));
      this.svg.addEventListener("pointerleave", () => this.read(null));
      this.svg.addEventListener("blur", () => this.read(null));
      this.svg.addEventListener("keydown", (event) => this.key(event));
    }
    lines() {
      return curves.runs.filter((run) => visible.has(run.run) && run.series[this.chart.key]?.some((value) => value !== null));
    }
    draw() {
      this.svg.replaceChildren();
      const lines = this.lines(), key = this.chart.key;
      const said = lines.map((run) => `${run.name} ends at ${written(run.series[key].findLast((value) => value !== null))}`);
      this.svg.setAttribute("aria-label", `${key} by epoch. ${said.join("; ") || "Nothing is drawn."}`);
      if (!lines.length) { add(this.svg, "text", { x: WIDTH / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "nothing to draw"); return; }
      const values = lines.flatMap((run) => run.series[key].filter((value) => value !== null));
      const epochs = lines.flatMap((run) => run.epochs);
      let low = Math.min(...values), high = Math.max(...values);
      if (low === high) { low -= Math.abs(low) * .1 || .1; high += Math.abs(high) * .1 || .1; }
      const pad = (high - low) * .06;
      const first = Math.min(...epochs), last = Math.max(Math.max(...epochs), first + 1);
      this.x = (epoch) => BOX.left + (epoch - first) / (last - first) * (WIDTH - BOX.left - BOX.right);
      this.y = (value) => BOX.top + (high + pad - value) / (high - low + 2 * pad) * (HEIGHT - BOX.top - BOX.bottom);
      this.epochs = [...new Set(epochs)].sort((a, b) => a - b);
      for (const value of ticks(low - pad, high + pad, 4)) {
        const y = this.y(value);
        add(this.svg, "line", { class: "grid", x1: BOX.left, x2: WIDTH - BOX.right, y1: y, y2: y });
        add(this.svg, "text", { x: BOX.left - 5, y: y + 4, "text-anchor": "end" }, written(value));
      }
      for (const epoch of ticks(first, last, 5).filter(Number.isInteger)) add(this.svg, "text", { x: this.x(epoch), y: HEIGHT - 6, "text-anchor": "middle" }, String(epoch));
      for (const run of lines) this.line(run);
      this.cursor = add(this.svg, "line", { class: "cursor", y1: BOX.top, y2: HEIGHT - BOX.bottom, visibility: "hidden" });
    }
    line(run) {
      const group = add(this.svg, "g", { class: `s${run.run % COLOURS}`, "data-run": run.run });
      add(group, "title", {}, run.name);
      for (const epoch of run.grown) add(group, "line", { class: "grown", x1: this.x(epoch), x2: this.x(epoch), y1: BOX.top, y2: HEIGHT - BOX.bottom });
      const points = run.series[this.chart.key].map((value, at) => value === null ? null : [this.x(run.epochs[at]), this.y(value)]);
      let path = "", open = false;
      for (const point of points) { if (point) path += `${open ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`; open = Boolean(point); }
      add(group, "path", { class: "line", d: path, "stroke-dasharray": DASHES[Math.floor(run.run / COLOURS) % DASHES.length] });
      if (points.length <= 30) for (const point of points) if (point) mark(group, run.run, ...point, 2.6, "point");
      const best = points[run.epochs.indexOf(run.best)];
      if (best) add(group, "circle", { class: "bestmark", cx: best[0], cy: best[1], r: 4.5 });
    }
    pointed(event) {
      if (!this.epochs) return;
      const box = this.svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * WIDTH;
      this.read(this.epochs.reduce((near, epoch) => Math.abs(this.x(epoch) - x) < Math.abs(this.x(near) - x) ? epoch : near));
    }
    key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.epochs) return;
      event.preventDefault();
      const at = this.epochs.indexOf(this.at ?? this.epochs[step > 0 ? 0 : this.epochs.length - 1]);
      this.read(this.at === undefined ? this.epochs[at] : this.epochs[Math.min(Math.max(at + step, 0), this.epochs.length - 1)]);
    }
    read(epoch) {
      this.at = epoch ?? undefined;
      this.cursor?.setAttribute("visibility", epoch === null ? "hidden" : "visible");
      if (epoch === null) { this.output.textContent = ""; return; }
      this.cursor.setAttribute("x1", this.x(epoch));
      this.cursor.setAttribute("x2", this.x(epoch));
      const values = this.lines().map((run) => [run.name, run.series[this.chart.key][run.epochs.indexOf(epoch)]]).filter(([, value]) => value !== undefined && value !== null);
      this.output.textContent = `epoch ${epoch}: ${values.map(([name, value]) => `${name} ${written(value)}`).join(", ")}`;
    }
  }

  legend.replaceChildren();
  charts.replaceChildren();
  for (const run of curves.runs) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", visible.has(run.run));
    const icon = add(button, "svg", { class: `mark s${run.run % COLOURS}`, viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" });
    mark(icon, run.run, 7, 7, 4.6, "");
    button.append(run.name);
    button.addEventListener("click", () => {
      if (!visible.delete(run.run)) visible.add(run.run);
      kept.switched.set(run.name, visible.has(run.run));
      button.setAttribute("aria-pressed", visible.has(run.run));
      for (const plot of plots) plot.draw();
    });
    legend.append(button);
  }
  curves.groups.forEach((group, number) => {
    const box = document.createElement("details");
    box.open = kept.open.get(group.title) ?? number < 3;
    box.innerHTML = "<summary></summary><div class='plots'></div>";
    box.firstChild.textContent = group.title;
    charts.append(box);
    const begin = () => {
      if (box.dataset.drawn || !box.open) return;
      box.dataset.drawn = "yes";
      for (const chart of group.charts) { const plot = new Plot(chart, box.lastChild); plots.push(plot); plot.draw(); }
    };
    box.addEventListener("toggle", () => { kept.open.set(group.title, box.open); begin(); });
    begin();
  });
}
