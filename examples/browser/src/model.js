// One exported model: opened, checked, and asked about an image.

import * as ort from "onnxruntime-web/wasm";

import { readMetadata } from "./metadata.js";

const OURS = "human-edge-detection";
const TARGET = 1; // of the classes background, target (this person), other people
const THRESHOLD = 0.5;

/** Starts ONNX Runtime, in one thread: more take headers of a server, which a file does not have. */
export function startRuntime(wasm) {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
}

/**
 * Opens a model file.
 *
 * @param {string} name For messages.
 * @param {Uint8Array} bytes Its content.
 * @returns {Promise<Model>}
 */
export async function openModel(name, bytes) {
  const metadata = readMetadata(bytes);
  if (!metadata) throw new Error(`${name} is no ONNX file, or it is damaged; give the .onnx that "hed export" writes.`);
  if (!metadata.written_by?.startsWith(OURS)) {
    throw new Error(`${name} was not exported by ${OURS}; give the .onnx that "hed export" writes.`);
  }
  try {
    return new Model(name, await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] }), metadata);
  } catch (error) {
    throw new Error(`${name} cannot be opened by ONNX Runtime (${error.message}); export it anew.`);
  }
}

/** A model that is open: it either takes boxes (best_model.onnx) or finds persons itself (best_model.detect.onnx). */
class Model {
  constructor(name, session, metadata) {
    this.name = name;
    this.session = session;
    this.takesBoxes = session.inputNames.includes("rois");
    this.findsPersons = session.outputNames.includes("scores");
    this.minScore = Number(metadata.min_score ?? 0);
    this.checkpoint = metadata.checkpoint_sha256;
    /** [height, width] of the image that it takes. */
    this.imageSize = session.inputMetadata.find((input) => input.name === "images").shape.slice(2);
  }

  /**
   * The persons on an image, and where anyone is.
   *
   * @param {Float32Array} planes (3, height, width) RGB in [0, 1] at `imageSize`.
   * @param {number[][]} boxes x1, y1, x2, y2 as fractions of the image; none for a model that takes none.
   * @returns {Promise<{persons: Object[], personMap: Object}>} Each person has box, score and map, the probability of
   *     this person inside the box; the person map is the probability of any person. Maps have values and size.
   */
  async predict(planes, boxes) {
    const feeds = { images: new ort.Tensor("float32", planes, [1, 3, ...this.imageSize]) };
    if (this.takesBoxes) {
      // The graph wants one box at least; where nobody is asked about, the person map is what remains.
      const asked = boxes.length ? boxes : [[0, 0, 1, 1]];
      feeds.rois = new ort.Tensor("float32", asked.flatMap((box) => [0, ...box]), [asked.length, 5]);
    }
    const { boxes: found, scores, masks, binary_masks: people } = await this.session.run(feeds);
    const given = boxes.map((box, index) => {
      const map = targetProbabilities(masks, index);
      return { box, score: meanInside(map.values), map, isFound: false };
    });
    const own = Array.from(scores?.data ?? [], (score, index) => {
      const box = Array.from(found.data.subarray(index * 5 + 1, index * 5 + 5));
      return { box, score, map: targetProbabilities(masks, index), isFound: true };
    });
    return { persons: [...own, ...given], personMap: { values: people.data, size: people.dims.slice(2) } };
  }
}

/** The softmax of the logits (N, 3, h, w) of one person, of which the class of this person is kept: (h, w). */
function targetProbabilities(logits, index) {
  const [, classes, height, width] = logits.dims;
  const pixels = height * width;
  const own = logits.data.subarray(index * classes * pixels, (index + 1) * classes * pixels);
  const values = new Float32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const target = own[TARGET * pixels + pixel];
    let sum = 0;
    for (let one = 0; one < classes; one++) sum += Math.exp(own[one * pixels + pixel] - target);
    values[pixel] = 1 / sum;
  }
  return { values, size: [height, width] };
}

/** The score of a person in a given box: the mean probability inside the mask, 0 without a mask. */
function meanInside(probabilities) {
  const inside = probabilities.filter((value) => value > THRESHOLD);
  return inside.reduce((sum, value) => sum + value, 0) / Math.max(1, inside.length);
}
