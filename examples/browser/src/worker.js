// All that takes time runs here, so that the page goes on answering: ONNX Runtime, reading and resizing images.

import { openModel, startRuntime } from "./model.js";
import { resizeToPlanes } from "./resampling.js";

let models = [];
let image = null; // rgba, size; planes: resized, by size

const methods = {
  /** @param {Uint8Array} wasm ONNX Runtime's, compressed with gzip. */
  async start(wasm) {
    const unpacked = new Blob([wasm]).stream().pipeThrough(new DecompressionStream("gzip"));
    startRuntime(await new Response(unpacked).arrayBuffer());
  },

  /** Opens a model in the place of the one of its kind, and of all that another training has made. */
  async open(name, bytes) {
    const model = await openModel(name, bytes);
    const isReplaced = (other) => other.takesBoxes === model.takesBoxes || other.checkpoint !== model.checkpoint;
    await Promise.all(models.filter(isReplaced).map((other) => other.session.release()));
    models = [...models.filter((other) => !isReplaced(other)), model];
    return models.map(({ name, imageSize, takesBoxes, findsPersons, minScore }) => {
      return { name, imageSize, takesBoxes, findsPersons, minScore };
    });
  },

  /** Reads an image file, turned as its EXIF orientation says. */
  async read(file) {
    requireTruePixels();
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
      throw new Error(`${file.name} is no image that this browser can read; give a JPEG, PNG or WebP file.`);
    });
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white"; // behind what is transparent
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    image = { rgba: context.getImageData(0, 0, width, height).data, size: [height, width], planes: new Map() };
    return bitmap;
  },

  /** Whom the models find, and whom they see in the boxes, with the milliseconds of preparation and of the models. */
  async predict(boxes) {
    const prediction = { persons: [], personMap: null, preparing: 0, running: 0 };
    for (const model of models) {
      if (model.takesBoxes && !boxes.length && models.length > 1) continue; // the other one finds the persons
      const start = performance.now();
      const key = model.imageSize.join();
      if (!image.planes.has(key)) image.planes.set(key, resizeToPlanes(image.rgba, image.size, model.imageSize));
      const prepared = performance.now();
      const { persons, personMap } = await model.predict(image.planes.get(key), model.takesBoxes ? boxes : []);
      prediction.persons.push(...persons);
      prediction.personMap = personMap;
      prediction.preparing += prepared - start;
      prediction.running += performance.now() - prepared;
    }
    return prediction;
  },
};

/** Some browsers give pages other pixels than they draw, against fingerprinting; then no mask would be right. */
function requireTruePixels() {
  const drawn = [10, 200, 90, 255];
  const context = new OffscreenCanvas(16, 16).getContext("2d");
  context.fillStyle = `rgb(${drawn.slice(0, 3)})`;
  context.fillRect(0, 0, 16, 16);
  const { data } = context.getImageData(0, 0, 16, 16);
  if (data.some((value, index) => Math.abs(value - drawn[index % 4]) > 2)) {
    throw new Error(
      "This browser hides the pixels of images from pages, against fingerprinting; allow this page to read canvases, " +
        "or use another browser.",
    );
  }
}

let last = Promise.resolve();

self.onmessage = ({ data: { id, method, args } }) => {
  last = last.then(async () => {
    try {
      const result = await methods[method](...args);
      self.postMessage({ id, result }, result instanceof ImageBitmap ? [result] : []);
    } catch (error) {
      self.postMessage({ id, problem: error.message });
    }
  });
};
