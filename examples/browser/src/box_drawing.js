// Boxes that are drawn on the image with a mouse, a pen or a finger.

import { strokeBox } from "./drawing.js";

const LEAST = 0.01; // side of a box, as a fraction of the image's: less is a click

/**
 * Lets boxes be drawn on a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {function(): boolean} isOn Whether they may be drawn now.
 * @param {function(number[])} add What is done with a box, x1, y1, x2, y2 as fractions of the canvas.
 */
export function letDrawBoxes(canvas, isOn, add) {
  const context = canvas.getContext("2d");
  let drag = null; // where it started, and what the canvas showed then

  const place = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const fractions = [(event.clientX - left) / width, (event.clientY - top) / height];
    return fractions.map((fraction) => Math.min(1, Math.max(0, fraction)));
  };
  const boxTo = ([x, y]) => {
    const [startX, startY] = drag.start;
    return [Math.min(x, startX), Math.min(y, startY), Math.max(x, startX), Math.max(y, startY)];
  };
  const restore = () => context.drawImage(drag.shown, 0, 0);
  const cancel = () => {
    if (drag) restore();
    drag = null;
  };

  canvas.onpointerdown = (event) => {
    if (!isOn() || event.button !== 0) return;
    const shown = new OffscreenCanvas(canvas.width, canvas.height);
    shown.getContext("2d").drawImage(canvas, 0, 0);
    drag = { start: place(event), shown };
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => {
    if (!drag) return;
    restore();
    const unit = Math.max(canvas.width, canvas.height) / 100;
    strokeBox(context, boxTo(place(event)), "white", unit, [unit, unit / 2]);
  };
  canvas.onpointerup = (event) => {
    if (!drag) return;
    const box = boxTo(place(event));
    cancel();
    if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) add(box);
  };
  canvas.onpointercancel = cancel;
  window.addEventListener("keydown", (event) => event.key === "Escape" && cancel());
}
