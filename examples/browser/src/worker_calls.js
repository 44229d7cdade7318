// Calls of the functions in `worker.js`, which answers in the order of the calls.

const waiting = new Map();
let worker = null;

/**
 * @param {string} method Of `worker.js`.
 * @returns {Promise} What it returns; rejected with its message where it fails.
 */
export function callWorker(method, ...args) {
  worker ??= startWorker();
  const id = crypto.randomUUID();
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, method, args });
  });
}

function startWorker() {
  const source = document.getElementById("worker").textContent;
  const started = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  started.onmessage = ({ data: { id, result, problem } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) resolve(result);
    else reject(new Error(problem));
  };
  started.onerror = (event) => {
    const error = new Error(`What computes has stopped (${event.message ?? "no reason given"}); load the page again.`);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  return started;
}
