"use strict";
(() => {
  const one = (selector, where = document) => where.querySelector(selector);
  const all = (selector, where = document) => [...where.querySelectorAll(selector)];
  const LOOK_MS = 2000, HIDDEN_MS = 10000, TYPING_MS = 200;
  const GOOD = ["finished"], BAD = ["failed", "damaged", "unreadable", "unknown"];

  /** An element with attributes (`text` is its text, functions are listeners) and children. */
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") element.textContent = value;
      else if (typeof value === "function") element.addEventListener(key, value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  /** A text with code between backticks, as nodes. */
  const prose = (text) => text.split("`").map((part, at) => at % 2 ? make("code", { text: part }) : part);

  /** The server's answer; what it refuses is an Error with its line. */
  async function ask(path, body) {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let answer;
    try { answer = await fetch(path, options); } catch { throw Object.assign(new Error("hed ui does not answer any more: it was ended, or this machine is gone. Runs go on. Start it again, and open the address that it writes."), { gone: true }); }
    const data = answer.headers.get("Content-Type").startsWith("application/json") ? await answer.json() : { error: await answer.text() };
    if (!answer.ok) throw new Error(data.error);
    return data;
  }
  function trouble(error) {
    one("#trouble").hidden = !error;
    one("#trouble").textContent = error ? error.message : "";
  }
  const say = (text) => { one("#said").textContent = text; };

  // What is asked for: kept by this window, so that a reload does not lose it and another window has its own.
  let about = null, form = [], last = null;
  let wanted = { experiment: "", also: [], changes: {}, seeds: [], export_onnx: false };
  const words = (text) => text.split(/[\s,]+/).filter(Boolean);
  const place = () => `hed-ui ${about.folder}`; // the next server has another address, and the same folder
  function keep() { try { sessionStorage.setItem(place(), JSON.stringify(wanted)); } catch { /* no storage */ } }
  function restore() {
    try { return { ...wanted, ...JSON.parse(sessionStorage.getItem(place())) }; } catch { return wanted; }
  }

  function showWanted() {
    one("#experiment").value = wanted.experiment;
    one("#also").value = wanted.also.join(" ");
    one("#seeds").value = wanted.seeds.join(" ");
    one("#export").checked = wanted.export_onnx;
    one("#description").textContent = about.experiments.find((found) => found.name === wanted.experiment)?.description ?? "";
  }
  function fill(request) {
    wanted = structuredClone(request);
    form = [];
    showWanted();
    return check();
  }

  // The form, which is built anew when a section is switched; else only its marks change.
  const shape = (sections) => JSON.stringify(sections.map((section) => [section.path, section.on, section.fields.map((field) => field.path)]));
  function change(path, value) {
    if (value === null) delete wanted.changes[path]; else wanted.changes[path] = value;
    later();
  }
  function forget(path) {
    for (const name of Object.keys(wanted.changes)) if (name === path || name.startsWith(`${path}.`)) delete wanted.changes[name];
  }
  function turn(section, on) {
    forget(section.path);
    if (on !== section.preset_on) wanted.changes[section.path] = on ? "{}" : "null";
    check();
  }
  const label = (path) => path.slice(path.lastIndexOf(".") + 1).replaceAll("_", " ");

  function control(field, id) {
    const value = wanted.changes[field.path] ?? field.value;
    const common = { id, "data-path": field.path, "aria-describedby": `${id}-help` };
    const choices = field.input === "boolean" ? ["true", "false"] : field.choices;
    let input;
    if (choices.length) {
      input = make("select", common, ...(field.nullable ? [""] : []).concat(choices).map((name) => make("option", { value: name, text: name || "null" })));
    } else {
      const names = field.path.endsWith("_config") ? "names" : null;
      input = make("input", { ...common, type: "text", list: names, autocomplete: "off", spellcheck: "false", inputmode: field.input === "number" ? "decimal" : null, placeholder: field.nullable ? "null" : null });
    }
    input.value = value;
    const changed = () => {
      if (field.path.endsWith(".kind")) forget(field.path.slice(0, -".kind".length));
      change(field.path, input.value === field.preset ? null : input.value);
    };
    input.addEventListener(choices.length ? "change" : "input", changed);
    return input;
  }
  function entry(field) {
    const id = `field-${field.path.replaceAll(".", "-")}`;
    const input = control(field, id);
    const back = make("button", { type: "button", text: "back", "aria-label": `${field.path} back to the preset`, click: () => { input.value = field.preset; input.dispatchEvent(new Event(input.tagName === "SELECT" ? "change" : "input")); } });
    const range = field.range && field.range[0].toUpperCase() + field.range.slice(1);
    const help = [range, field.meaning].filter(Boolean).join(". ");
    return make("div", { class: "entry", "data-field": field.path }, make("label", { for: id, text: label(field.path), title: field.path }), input,
      make("small", { class: "preset", hidden: true }, `preset: ${field.preset || "null"}`, back), make("small", { id: `${id}-help` }, ...prose(help)));
  }
  function build() {
    const focused = document.activeElement?.dataset?.path;
    const open = new Map(all("#form > details").map((box) => [box.dataset.section, box.open]));
    const host = one("#form");
    host.replaceChildren();
    let box = null;
    for (const section of form) {
      const top = !section.path.includes(".");
      const fields = make("div", { class: "fields" }, ...section.fields.map(entry));
      const toggle = section.optional ? make("input", { type: "checkbox", "data-path": section.path, "aria-label": `${section.path} on`, change: (event) => turn(section, event.target.checked) }) : null;
      if (toggle) toggle.checked = section.on;
      if (top) {
        box = make("details", { "data-section": section.path }, make("summary", {}, `${section.path} `, make("span", { class: "count" })));
        box.open = open.get(section.path) ?? false;
        box.append(make("p", { class: "note" }, ...prose(section.meaning)));
        if (toggle) box.append(make("p", {}, make("label", { class: "check" }, toggle, "on")));
        box.append(fields);
        host.append(box);
      } else {
        const name = section.path.split(".").slice(1).join(".").replaceAll("_", " ");
        const title = toggle ? make("h4", {}, make("label", {}, toggle, name)) : make("h4", { text: name });
        box.append(make("div", { class: "sub", "data-section": section.path }, title, make("small", {}, ...prose(section.meaning)), fields));
      }
    }
    if (focused) one(`#form [data-path="${focused}"]`)?.focus();
  }
  function mark(found) {
    const wrong = new Set(found.wrong);
    for (const section of form) for (const field of section.fields) {
      const box = one(`[data-field="${field.path}"]`);
      const changed = (wanted.changes[field.path] ?? field.value) !== field.preset;
      box.classList.toggle("changed", changed);
      box.classList.toggle("wrong", wrong.has(field.path));
      one(".preset", box).hidden = !changed;
      one("input, select", box).setAttribute("aria-invalid", wrong.has(field.path));
    }
    for (const box of all("#form [data-section]")) box.classList.toggle("wrong", wrong.has(box.dataset.section));
    for (const box of all("#form > details")) {
      const top = box.dataset.section;
      const count = Object.keys(wanted.changes).filter((path) => path === top || path.startsWith(`${top}.`)).length;
      one(".count", box).textContent = count ? `${count} changed` : "";
      const bad = found.wrong.some((path) => path === top || path.startsWith(`${top}.`));
      one(".count", box).classList.toggle("bad", bad);
      if (bad) box.open = true;
    }
    filter();
  }
  function filter() {
    const text = one("#find").value.trim().toLowerCase().replaceAll(" ", "_"), only = one("#only-changed").checked;
    const narrow = Boolean(text) || only;
    for (const box of all("#form [data-field]")) {
      const found = box.dataset.field.toLowerCase().includes(text) || box.textContent.toLowerCase().includes(one("#find").value.trim().toLowerCase());
      box.hidden = narrow && !(found && (!only || box.classList.contains("changed")));
    }
    for (const box of all("#form .sub, #form > details")) {
      const hit = box.dataset.section.includes(text) && Boolean(text) && !only;
      box.hidden = narrow && !hit && !all("[data-field]", box).some((field) => !field.hidden);
      if (narrow && !box.hidden && box.tagName === "DETAILS") box.open = true;
    }
  }

  let typing = 0, asked = 0;
  function later() { keep(); clearTimeout(typing); typing = setTimeout(check, TYPING_MS); }
  async function check() {
    clearTimeout(typing);
    keep();
    const number = ++asked;
    const odd = wanted.seeds.find((seed) => typeof seed !== "number");
    if (odd !== undefined) { problem(`Seeds: expected whole numbers, got ${odd}`); return; }
    let found;
    try { found = await ask("check", wanted); } catch (error) {
      if (number === asked) { problem(error.message); if (error.gone) trouble(error); }
      return;
    }
    if (number !== asked) return; // something newer was typed
    if (shape(found.form) !== shape(form)) { form = found.form; build(); }
    mark(found);
    problem(found.error);
    one("#command").textContent = found.command;
    one("#same").hidden = found.differences.length > 0 || found.error !== null;
    one("#differs-box").hidden = !found.differences.length;
    one("#differs tbody").replaceChildren(...found.differences.map((cells) => make("tr", {}, make("th", { scope: "row", text: cells[0] }), ...cells.slice(1).map((text) => make("td", {}, make("code", { text }))))));
  }
  function problem(text) {
    one("#problem").hidden = !text;
    one("#problem").textContent = text ?? "";
    enable();
  }
  const busy = () => !last || last.batch !== null || last.starting;
  function enable() {
    one("#start").disabled = busy() || !one("#problem").hidden;
    one("#start").title = busy() ? "A batch works in this folder; one at a time." : "";
    for (const button of all("#starts button.again")) button.disabled = busy();
  }

  async function act(path, body, done) {
    try {
      const answer = await ask(path, body);
      trouble(null);
      done?.(answer);
    } catch (error) { trouble(error); one("#trouble").scrollIntoView({ block: "center" }); }
    await look();
  }
  function begin(request) {
    say("Checking and starting…");
    for (const button of all("#start, #starts button.again")) button.disabled = true;
    return act("start", request, () => { say("Started."); one("#now").scrollIntoView(); }).then(() => { if (!one("#trouble").hidden) say(""); enable(); });
  }

  // What is going on.
  const kept = { switched: new Map(), open: new Map() };
  let seen = "", drawn = "";
  function tag(state) { return make("span", { class: `tag ${GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "open"}`, text: state }); }
  function row(run) {
    const name = make("th", { scope: "row" }, run.name);
    if (run.error) name.append(make("small", { class: run.state === "failed" ? "bad" : "", text: run.error }));
    const epochs = make("td", {}, run.epochs ? make("progress", { max: run.epochs, value: run.epoch, "aria-label": `epochs of ${run.name}` }) : "", ` ${run.epoch}/${run.epochs ?? "?"}`);
    return make("tr", { "data-run": run.name }, name, make("td", {}, tag(run.state)), epochs, make("td", { class: "number", text: run.miou === null ? "–" : run.miou.toFixed(4) }), make("td", { class: "number", text: run.left ?? "–" }));
  }
  function started(start, number) {
    const unfinished = last.runs.some((run) => run.state !== "finished");
    const again = make("button", { type: "button", class: "again", text: number === 0 && unfinished ? "Continue" : "Start again", click: () => begin(start.request) });
    const into = make("button", { type: "button", text: "Into the form", click: () => fill(start.request) });
    return make("li", {}, make("code", { text: start.command }), make("div", { class: "bar" }, make("small", { text: new Date(start.started).toLocaleString() }), again, into));
  }
  function show(state) {
    last = state;
    const text = JSON.stringify(state);
    if (text === seen) return;
    seen = text;
    one("#summary").textContent = [state.summary, state.left && `about ${state.left} left`, state.starting && "a batch starts or ends"].filter(Boolean).join("; ");
    document.title = `${state.summary} – ${about.folder}`;
    one("#holder").textContent = state.batch ? `At work: ${state.batch}. Stopped, it saves, and the same command goes on from there.` : "No batch is at work.";
    one("#stop").hidden = state.batch === null;
    one("#runs-box").hidden = !state.runs.length;
    one("#runs tbody").replaceChildren(...state.runs.map(row));
    one("#starts-box").hidden = !state.starts.length;
    one("#starts").replaceChildren(...state.starts.map(started));
    one("#log-box").hidden = !state.log.length;
    one("#log").textContent = state.log.join("\n");
    if (state.log.some((line) => line.startsWith("error: "))) one("#log-box").open = true;
    one("#report-line").replaceChildren(...(state.report ? [make("a", { href: "report", target: "_blank", text: "The report" }), `, written ${state.report}: all runs, gains with intervals, images.`] : ["A batch writes it when it ends."]));
    one("#write-report").disabled = !state.runs.length;
    one("#models").replaceChildren(...state.models.map((model) => make("li", {}, make("a", { href: `model?run=${encodeURIComponent(model.run)}&file=${encodeURIComponent(model.file)}`, download: true, text: `${model.run}: ${model.file}` }))));
    one("#no-models").hidden = state.models.length > 0;
    enable();
  }
  async function draw(state) {
    const now = state.runs.map((run) => `${run.name} ${run.epoch} ${run.state}`).join("\n");
    if (now === drawn || !state.runs.some((run) => run.epoch > 0)) return;
    drawn = now;
    const [curves, pictures] = await Promise.all([ask("curves"), ask("pictures")]);
    one("#no-curves").hidden = curves.runs.length > 0;
    if (curves.runs.length) drawCurves(curves, one("#legend"), one("#charts"), kept);
    showPictures(pictures);
  }
  function showPictures(pictures) {
    const select = one("#picture-run"), chosen = select.value;
    one("#no-pictures").hidden = pictures.length > 0;
    one("#pictures-box").hidden = !pictures.length;
    select.replaceChildren(...pictures.map((found) => make("option", { value: found.run, text: found.run })));
    if (pictures.some((found) => found.run === chosen)) select.value = chosen;
    const lay = () => {
      const found = pictures.find((one) => one.run === select.value);
      if (!found) return;
      one("#picture-epoch").textContent = found.epoch;
      const shots = one("#shots");
      if (shots.childElementCount !== found.files.length) shots.replaceChildren(...found.files.map(() => make("img")));
      found.files.forEach((file, at) => { // the old one stays until the new one is there
        shots.children[at].alt = `${found.run}, epoch ${found.epoch}: ${file}`;
        shots.children[at].src = `picture?run=${encodeURIComponent(found.run)}&file=${encodeURIComponent(file)}&epoch=${found.epoch}`;
      });
    };
    select.onchange = lay;
    lay();
  }
  let timer = 0, gone = false;
  async function look() {
    clearTimeout(timer);
    try {
      const state = await ask("state");
      if (gone) trouble(null);
      gone = false;
      show(state);
      await draw(state);
    } catch (error) { gone = true; trouble(error); }
    clearTimeout(timer);
    timer = setTimeout(look, document.hidden ? HIDDEN_MS : LOOK_MS);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && about) look(); });

  one("#experiment").addEventListener("change", (event) => fill({ ...wanted, experiment: event.target.value, changes: {} }));
  one("#also").addEventListener("input", (event) => { wanted.also = words(event.target.value); later(); });
  one("#seeds").addEventListener("input", (event) => {
    const numbers = words(event.target.value).map((word) => /^\d+$/.test(word) ? Number(word) : word);
    wanted.seeds = numbers;
    later();
  });
  one("#export").addEventListener("change", (event) => { wanted.export_onnx = event.target.checked; check(); });
  one("#find").addEventListener("input", filter);
  one("#only-changed").addEventListener("change", filter);
  one("#reset").addEventListener("click", () => fill({ ...wanted, changes: {} }));
  one("#start").addEventListener("click", () => begin(wanted));
  one("#stop").addEventListener("click", () => {
    say("");
    one("#stop").disabled = true;
    act("stop", { holder: last.batch }, () => { one("#holder").textContent = "Asked to save and end…"; }).then(() => { one("#stop").disabled = false; });
  });
  one("#copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(one("#command").textContent); say("Copied."); } catch {
      getSelection().selectAllChildren(one("#command"));
      say("Selected: copy it with the keyboard.");
    }
  });
  one("#write-report").addEventListener("click", (event) => {
    event.target.disabled = true;
    act("report", {}).then(() => { event.target.disabled = false; });
  });

  ask("experiments").then((data) => {
    about = data;
    one("#folder").textContent = about.folder;
    one("#experiment").append(...about.experiments.map((found) => make("option", { value: found.name, text: found.name })));
    one("#names").append(...about.experiments.map((found) => found.name).concat(about.groups).map((name) => make("option", { value: name })));
    one("#try-line").replaceChildren(...(about.try ? [make("a", { href: "try", target: "_blank", text: "Try a model on an image" }), ": save a model from the list above, and drop it and an image on that page."] : ["To try a model on an image in the browser: bundle the page of ", make("code", { text: "examples/browser" }), " (its README says how); then it is linked here."]));
    wanted = restore();
    if (!about.experiments.some((found) => found.name === wanted.experiment)) wanted = { ...wanted, experiment: about.default, changes: {} };
    look();
    return fill(wanted);
  }).catch(trouble);
})();
