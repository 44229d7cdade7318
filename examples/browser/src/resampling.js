// The resampling of prediction/src/human_edge_prediction/resampling.py, with which models are trained and measured.

/**
 * Resizes an image: each axis is area-averaged where it shrinks and interpolated linearly where it grows.
 *
 * @param {Uint8ClampedArray} rgba Pixels, row by row.
 * @param {number[]} from Its [height, width].
 * @param {number[]} to [height, width] of the output.
 * @returns {Float32Array} (3, height, width) RGB in [0, 1], of 256 values as the image had.
 */
export function resizeToPlanes(rgba, from, to) {
  const [height, width] = to;
  const rows = taps(from[0], height);
  const columns = taps(from[1], width);
  // 1. Each row of the image becomes `width` pixels of three colours.
  const narrow = new Float32Array(from[0] * width * 3);
  for (let y = 0; y < from[0]; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      for (let tap = 0; tap < weights.length; tap++) {
        const source = (y * from[1] + first + tap) * 4;
        const target = (y * width + x) * 3;
        for (let colour = 0; colour < 3; colour++) narrow[target + colour] += weights[tap] * rgba[source + colour];
      }
    }
  }
  // 2. Likewise each column, into a plane for each colour.
  const planes = new Float32Array(3 * height * width);
  for (let y = 0; y < height; y++) {
    const { first, weights } = rows[y];
    for (let x = 0; x < width; x++) {
      for (let colour = 0; colour < 3; colour++) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) {
          sum += weights[tap] * narrow[((first + tap) * width + x) * 3 + colour];
        }
        planes[(colour * height + y) * width + x] = Math.round(sum) / 255;
      }
    }
  }
  return planes;
}

/** For each of `to` pixels of an axis: the first of the `from` pixels that it is made of, and weights from there. */
function taps(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, index) =>
    scale > 1 ? covered(index * scale, (index + 1) * scale, from) : neighbours((index + 0.5) * scale - 0.5, from),
  );
}

/** Area averaging: each pixel weighs as much as of it lies between `start` and `end`. */
function covered(start, end, length) {
  const first = Math.floor(start);
  const last = Math.min(length, Math.ceil(end - 1e-6));
  const weights = Array.from(
    { length: last - first },
    (_, tap) => (Math.min(end, first + tap + 1) - Math.max(start, first + tap)) / (end - start),
  );
  return { first, weights };
}

/** Linear interpolation at `position`, where the centre of the first pixel is at 0; the border is repeated. */
function neighbours(position, length) {
  const inside = Math.min(Math.max(position, 0), length - 1);
  const first = Math.floor(inside);
  const share = inside - first;
  return { first, weights: share ? [1 - share, share] : [1] };
}

/**
 * Enlarges the map of a box to the pixels of the image whose centres lie inside the box, by linear interpolation.
 *
 * @param {{values: Float32Array, size: number[]}} map (height, width) values that cover the box.
 * @param {number[]} box x1, y1, x2, y2 as fractions of the image; may reach beyond it.
 * @param {number[]} size [height, width] of the image, at any resolution.
 * @returns {{top: number, left: number, height: number, width: number, values: Float32Array}} Where, and the values.
 */
export function paste(map, box, size) {
  const columns = pixelsInside(box[0], box[2], size[1], map.size[1]);
  const rows = pixelsInside(box[1], box[3], size[0], map.size[0]);
  const [height, width] = [rows.taps.length, columns.taps.length];
  const values = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = rows.taps[y];
    for (let x = 0; x < width; x++) {
      const column = columns.taps[x];
      let sum = 0;
      for (let down = 0; down < row.weights.length; down++) {
        for (let right = 0; right < column.weights.length; right++) {
          const value = map.values[(row.first + down) * map.size[1] + column.first + right];
          sum += row.weights[down] * column.weights[right] * value;
        }
      }
      values[y * width + x] = sum;
    }
  }
  return { top: rows.first, left: columns.first, height, width, values };
}

/** The pixels of one axis whose centres lie inside a box, and for each where it is in the map of `samples`. */
function pixelsInside(start, end, length, samples) {
  const [low, high] = [start * length, end * length];
  const first = Math.max(0, Math.ceil(low - 0.5));
  const last = Math.max(first, Math.min(length, Math.ceil(high - 0.5)));
  const scale = samples / Math.max(high - low, 1e-9);
  const position = (index) => (first + index + 0.5 - low) * scale - 0.5;
  return { first, taps: Array.from({ length: last - first }, (_, index) => neighbours(position(index), samples)) };
}
