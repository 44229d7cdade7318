// What the page shows and what its controls do; `worker.js` computes.

import { letDrawBoxes } from "./box_drawing.js";
import { colourOf, drawPersons, masksAt, peopleAt } from "./drawing.js";
import { callWorker } from "./worker_calls.js";

const SHOWN_PX = 1280; // longer side of the picture, of small images too; masks are saved at the image's size

const $ = (id) => document.getElementById(id);
const state = { models: [], file: null, bitmap: null, boxes: [], prediction: null };

const takesBoxes = () => state.models.some((model) => model.takesBoxes);
const findsPersons = () => state.models.some((model) => model.findsPersons);
const percent = (fraction) => `${Math.round(fraction * 100)}\u00a0%`;

/** Does something that may fail: what fails is one line on the page. */
async function attempt(what, action) {
  $("problem").hidden = true;
  $("status").textContent = what;
  try {
    await action();
  } catch (error) {
    $("problem").textContent = error.message.replaceAll(/\s+/g, " ");
    $("problem").hidden = false;
    $("status").textContent = "";
  }
}

/** Opens models and the last of the images, whatever of both is among the files. */
function openFiles(files) {
  const isImage = (file) => file.type.startsWith("image/");
  return attempt("Opening ...", async () => {
    for (const file of files.filter((one) => !isImage(one))) {
      await openModel(file.name, new Uint8Array(await file.arrayBuffer()));
    }
    const file = files.findLast(isImage);
    if (file) {
      state.bitmap = await callWorker("read", file);
      state.file = file.name;
      state.boxes = [];
      $("images").textContent = `${file.name}: ${state.bitmap.width} x ${state.bitmap.height} pixels.`;
    }
    await predict();
  });
}

async function openModel(name, bytes) {
  state.models = await callWorker("open", name, bytes);
  const uses = ({ takesBoxes, findsPersons }) =>
    findsPersons ? "finds persons" : takesBoxes ? "takes boxes" : "gives a person map alone";
  $("models").textContent = state.models
    .map((model) => `${model.name}: ${uses(model)}, at ${model.imageSize[1]} x ${model.imageSize[0]} pixels.`)
    .join(" ");
  state.boxes = takesBoxes() ? state.boxes : [];
  const least = Math.max(0, ...state.models.map((model) => model.minScore));
  $("score").min = least;
  $("score").value = least;
  $("scores").hidden = !findsPersons();
  $("boxes").hidden = !takesBoxes();
  $("drawing").checked = takesBoxes() && !findsPersons();
  $("people").checked = !findsPersons();
}

/** Asks the models, when there are an image and a model. */
async function predict() {
  if (!state.models.length || !state.bitmap) {
    $("status").textContent = state.models.length ? "Now an image." : "Give a model and an image.";
    return;
  }
  $("status").textContent = "Looking ...";
  state.prediction = await callWorker("predict", state.boxes);
  $("result").hidden = false;
  show();
  const { preparing, running } = state.prediction;
  const texts = [`${running.toFixed(0)} ms in the model (WebAssembly, one thread)`];
  if (preparing >= 0.5) texts.push(`${preparing.toFixed(0)} ms to make the image small`);
  const isAskingForBoxes = takesBoxes() && !findsPersons() && !state.boxes.length;
  $("status").textContent = `${texts.join(", ")}.${isAskingForBoxes ? " Draw a box around each person." : ""}`;
}

/** The persons that are shown, numbered from 1: those who were found and are likely enough, and all in your boxes. */
function shownPersons() {
  const least = Number($("score").value);
  return state.prediction.persons
    .filter((person) => !person.isFound || person.score >= least)
    .map((person, index) => ({ ...person, number: index + 1 }));
}

/** Draws the picture and the legend. */
function show() {
  $("shown-score").textContent = percent($("score").value);
  $("shown-threshold").textContent = percent($("threshold").value);
  $("striped").hidden = !$("people").checked;
  $("canvas").classList.toggle("is-drawing", $("drawing").checked);
  if (!state.prediction) return;
  const scale = SHOWN_PX / Math.max(state.bitmap.width, state.bitmap.height);
  const size = [state.bitmap.height, state.bitmap.width].map((side) => Math.max(1, Math.round(side * scale)));
  [$("canvas").height, $("canvas").width] = size;
  const persons = shownPersons();
  const threshold = Number($("threshold").value);
  const { numbers, areas } = masksAt(persons, size, threshold);
  const people = $("people").checked ? peopleAt(state.prediction.personMap, size, threshold) : null;
  drawPersons($("canvas"), state.bitmap, persons, numbers, people);
  const shareOf = ({ number }) => `${((100 * areas[number]) / numbers.length).toFixed(1)}\u00a0% of the image`;
  const shares = persons.map(shareOf);
  $("persons").replaceChildren(...persons.map((person, index) => entryOf(person, shares[index])));
  $("heading").textContent = persons.length === 1 ? "1 person" : `${persons.length || "No"} persons`;
  const spoken = persons.map((person, index) => `${titleOf(person)}, ${shares[index]}, ${placeOf(person)}.`);
  $("canvas").ariaLabel = [`${state.file}: ${$("heading").textContent}.`, ...spoken].join(" ");
}

const titleOf = ({ number, score }) => `Person ${number}, score ${percent(score)}`;

function placeOf({ box }) {
  const [x1, y1, x2, y2] = box.map(percent);
  return `from ${x1} to ${x2} of the width and ${y1} to ${y2} of the height`;
}

function entryOf(person, share) {
  const entry = document.createElement("li");
  const swatch = element("span", "swatch", person.number);
  swatch.style.background = `rgb(${colourOf(person.number)})`;
  swatch.ariaHidden = true;
  const text = element("div", "text", titleOf(person));
  text.append(element("div", "quiet", person.isFound ? share : `${share}, your box`));
  entry.append(swatch, text);
  if (!person.isFound) {
    const remove = element("button", "", "Remove");
    remove.ariaLabel = `Remove person ${person.number}`;
    remove.onclick = () => setBoxes(state.boxes.filter((box) => String(box) !== String(person.box)));
    entry.append(remove);
  }
  return entry;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function setBoxes(boxes) {
  state.boxes = boxes;
  return attempt("Looking ...", predict);
}

function addBoxByNumbers(event) {
  event.preventDefault();
  const { left, top, right, bottom } = event.target.elements;
  const box = [left, top, right, bottom].map((input) => Number(input.value) / 100);
  if (box[0] < box[2] && box[1] < box[3]) return setBoxes([...state.boxes, box]);
  return attempt("", () => {
    throw new Error("A box reaches from left to right and from top to bottom: left < right and top < bottom.");
  });
}

/** Lets the browser save a canvas as a PNG. */
async function save(canvas, suffix) {
  const blob = await canvas.convertToBlob({ type: "image/png" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${state.file.replace(/\.\w+$/, "")}.${suffix}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function savePicture() {
  const copy = new OffscreenCanvas($("canvas").width, $("canvas").height);
  copy.getContext("2d").drawImage($("canvas"), 0, 0);
  return save(copy, "persons");
}

function saveMasks() {
  const { width, height } = state.bitmap;
  const { numbers } = masksAt(shownPersons(), [height, width], Number($("threshold").value));
  const pixels = new ImageData(width, height);
  numbers.forEach((number, pixel) => pixels.data.set([number, number, number, 255], pixel * 4));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return save(canvas, "masks");
}

function listen() {
  for (const id of ["model", "image"]) $(id).onchange = ({ target }) => openFiles([...target.files]);
  for (const id of ["score", "threshold", "people", "drawing"]) $(id).oninput = show;
  $("numbers").onsubmit = addBoxByNumbers;
  $("save-overlay").onclick = savePicture;
  $("save-masks").onclick = saveMasks;
  const mayDraw = () => $("drawing").checked && takesBoxes();
  letDrawBoxes($("canvas"), mayDraw, (box) => setBoxes([...state.boxes, box]));
  const mark = (isDropping) => document.body.classList.toggle("is-dropping", isDropping);
  window.ondragover = (event) => (event.preventDefault(), mark(true));
  window.ondragleave = () => mark(false);
  window.ondrop = (event) => {
    event.preventDefault();
    mark(false);
    openFiles([...event.dataTransfer.files]);
  };
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

attempt("Starting ONNX Runtime ...", async () => {
  if (typeof WebAssembly === "undefined") {
    throw new Error("This browser has no WebAssembly, or it is switched off, as in strict modes; use another one.");
  }
  listen();
  await callWorker("start", fromBase64($("runtime").textContent));
  for (const { dataset, textContent } of document.querySelectorAll("script.model")) {
    await openModel(dataset.name, fromBase64(textContent));
  }
  await predict();
});
