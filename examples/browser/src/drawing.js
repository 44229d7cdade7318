// Persons drawn over an image, and their masks as an image of its own.

import { paste } from "./resampling.js";

/** Okabe and Ito's colours, which look different to colour-blind people too; numbers and outlines say the same. */
const COLOURS = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
];
const STRIPES = [255, 255, 255];
const STRIPE_PX = 4;
const WHOLE = [0, 0, 1, 1];

/** The colour of the person with this number, which starts at 1. */
export const colourOf = (number) => COLOURS[(number - 1) % COLOURS.length];

/**
 * Which pixels are whose, at any resolution.
 *
 * @param {Object[]} persons With box, map and number, which starts at 1.
 * @param {number[]} size [height, width].
 * @param {number} threshold Probability above which a pixel is a person's.
 * @returns {{numbers: Uint8Array, areas: number[]}} (height * width): 0 nobody, else the number of the likeliest
 *     person; and the pixels of each person's mask, with those that another one has too, by number.
 */
export function masksAt(persons, size, threshold) {
  const numbers = new Uint8Array(size[0] * size[1]);
  const areas = new Array(persons.length + 1).fill(0);
  const best = new Float32Array(numbers.length);
  for (const { box, map, number } of persons) {
    const { top, left, height, width, values } = paste(map, box, size);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const probability = values[y * width + x];
        const pixel = (top + y) * size[1] + left + x;
        if (probability <= threshold) continue;
        areas[number]++;
        if (probability > best[pixel]) {
          best[pixel] = probability;
          numbers[pixel] = number;
        }
      }
    }
  }
  return { numbers, areas };
}

/** Where the person map sees anyone: (height * width) of 0 and 1. */
export function peopleAt(personMap, size, threshold) {
  return Uint8Array.from(paste(personMap, WHOLE, size).values, (value) => (value > threshold ? 1 : 0));
}

/**
 * Draws the image, the masks, the boxes and the numbers.
 *
 * @param {HTMLCanvasElement} canvas As large as `numbers`.
 * @param {ImageBitmap} bitmap The image.
 * @param {Object[]} persons With box, number and isFound.
 * @param {Uint8Array} numbers Of each pixel, as `masksAt` gives them.
 * @param {?Uint8Array} people Of each pixel, as `peopleAt` gives them; drawn as stripes where no person is.
 */
export function drawPersons(canvas, bitmap, persons, numbers, people) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const overlay = new OffscreenCanvas(width, height);
  overlay.getContext("2d").putImageData(colours(numbers, people, width, height), 0, 0);
  context.drawImage(overlay, 0, 0);
  const unit = Math.max(width, height) / 100;
  for (const { box, number, isFound } of persons) {
    strokeBox(context, box, `rgb(${colourOf(number)})`, unit, isFound ? [] : [unit, unit / 2]);
  }
  for (const { box, number } of persons) drawNumber(context, box, number, unit);
}

/** Half-transparent colours, opaque at the edge of a mask; stripes for people who are in no mask. */
function colours(numbers, people, width, height) {
  const pixels = new ImageData(width, height);
  const put = (pixel, colour, alpha) => pixels.data.set([...colour, alpha], pixel * 4);
  const edge = Math.max(1, Math.round(Math.max(width, height) / 500));
  for (let y = 0, pixel = 0; y < height; y++) {
    for (let x = 0; x < width; x++, pixel++) {
      const number = numbers[pixel];
      if (number) {
        const isEdge =
          numbers[pixel - Math.min(x, edge)] !== number ||
          numbers[pixel + Math.min(width - 1 - x, edge)] !== number ||
          numbers[pixel - width * Math.min(y, edge)] !== number ||
          numbers[pixel + width * Math.min(height - 1 - y, edge)] !== number;
        put(pixel, colourOf(number), isEdge ? 255 : 120);
      } else if (people?.[pixel]) {
        put(pixel, STRIPES, (x + y) % (3 * STRIPE_PX * edge) < STRIPE_PX * edge ? 220 : 70);
      }
    }
  }
  return pixels;
}

/** A box, x1, y1, x2, y2 as fractions of the canvas, with a dark line below the bright one. */
export function strokeBox(context, box, colour, unit, dashes) {
  const { width, height } = context.canvas;
  const [x1, y1, x2, y2] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
  for (const [style, lineWidth] of [["rgb(0 0 0 / 60%)", unit * 0.5], [colour, unit * 0.25]]) {
    context.setLineDash(dashes);
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  context.setLineDash([]);
}

function drawNumber(context, box, number, unit) {
  const [x, y] = [box[0] * context.canvas.width, box[1] * context.canvas.height];
  const side = 4 * unit;
  context.fillStyle = `rgb(${colourOf(number)})`;
  context.fillRect(x, y, side, side);
  context.fillStyle = "black"; // at least 4.5 to 1 on each of the colours but the dark blue
  context.font = `bold ${3 * unit}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(number), x + side / 2, y + side / 2 + unit / 8);
}
