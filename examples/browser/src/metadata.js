// What an ONNX file says of itself. onnxruntime-web does not tell, so these few bytes are read here: the file is a
// protobuf message ModelProto, whose field `metadata_props` repeats messages of a key and a value (onnx.proto3).

const GRAPH = 7;
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

/**
 * The metadata of an ONNX file.
 *
 * @param {Uint8Array} bytes The whole file.
 * @returns {?Object<string, string>} Null: this is no ONNX file.
 */
export function readMetadata(bytes) {
  const metadata = {};
  let hasGraph = false;
  try {
    for (const [field, content] of fieldsOf(bytes)) {
      hasGraph ||= field === GRAPH;
      if (field === METADATA_PROPS) {
        const entry = new Map(fieldsOf(content));
        const text = (part) => new TextDecoder().decode(entry.get(part));
        metadata[text(KEY)] = text(VALUE);
      }
    }
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
  return hasGraph ? metadata : null;
}

/** The fields of a protobuf message: number, and content of those that have a length. Anything else: a RangeError. */
function* fieldsOf(bytes) {
  let position = 0;
  const varint = () => {
    for (let value = 0, factor = 1; factor < 2 ** 64; factor *= 128) {
      if (position >= bytes.length) throw new RangeError("the message ends within a number");
      const byte = bytes[position++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new RangeError("a number that does not end");
  };
  while (position < bytes.length) {
    const tag = varint();
    const lengths = { 0: () => (varint(), 0), 1: () => 8, 2: varint, 5: () => 4 };
    const length = lengths[tag & 7]?.() ?? Infinity;
    if (position + length > bytes.length) throw new RangeError("a field that is longer than the message");
    yield [Math.floor(tag / 8), bytes.subarray(position, position + length)];
    position += length;
  }
}
