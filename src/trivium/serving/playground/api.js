/**
 * Questions to the server. Addresses are relative to the page, so that it works below a proxy's prefix; a browser sends
 * the key by itself after it asked for it once. A problem is an ApiError with one sentence.
 */

export class ApiError extends Error {
  /** @param {string} message @param {number} status @param {string | null} param */
  constructor(message, status, param = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.param = param;
  }
}

/** @param {string} path @param {{signal?: AbortSignal}} [options] @returns {Promise<any>} */
export async function get(path, options = {}) {
  return (await ask(path, { signal: options.signal })).json();
}

/** @param {string} path @param {object} body @param {{signal?: AbortSignal}} [options] @returns {Promise<any>} */
export async function post(path, body, options = {}) {
  return (await ask(path, sent(body, options.signal))).json();
}

/**
 * The events of a streamed answer, parsed, up to [DONE].
 * @param {string} path @param {object} body @param {{signal?: AbortSignal}} [options] @returns {AsyncGenerator<any>}
 */
export async function* stream(path, body, options = {}) {
  const response = await ask(path, sent({ ...body, stream: true }, options.signal));
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new ApiError("The server closed the connection before the answer was complete.", 0);
      held += decoder.decode(value, { stream: true });
      const events = held.split(/\r?\n\r?\n/);
      held = /** @type {string} */ (events.pop());
      for (const event of events) {
        const data = dataOf(event);
        if (data === "[DONE]") return;
        if (data === "") continue; // a comment that keeps the connection alive
        const parsed = JSON.parse(data);
        if (parsed.error) throw new ApiError(sentence(parsed.error.message), 0, parsed.error.param);
        yield parsed;
      }
    }
  } catch (problem) {
    throw problem instanceof TypeError ? new ApiError(UNREACHABLE, 0) : problem;
  } finally {
    reader.cancel().catch(() => {}); // the reader left, or the stream is over: nothing is lost
  }
}

const UNREACHABLE = "The server does not answer: is it still running?";

/** @param {object} body @param {AbortSignal} [signal] */
function sent(body, signal) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
}

/** @param {string} path @param {RequestInit} init */
async function ask(path, init) {
  let response;
  try {
    response = await fetch(path.replace(/^\//, ""), init);
  } catch (problem) {
    if (init.signal?.aborted) throw problem;
    throw new ApiError(UNREACHABLE, 0);
  }
  if (response.ok) return response;
  let error = null;
  try {
    error = (await response.json()).error;
  } catch {
    // Not ours: a proxy's page, perhaps.
  }
  if (error && typeof error.message === "string") {
    throw new ApiError(sentence(error.message), response.status, error.param);
  }
  const reason = { 401: "The server wants its key: reload the page to give it.", 429: "The server is busy: try again." };
  throw new ApiError(reason[response.status] ?? `The server answered with ${response.status}.`, response.status);
}

/** The data lines of one event. @param {string} event */
function dataOf(event) {
  return event
    .split(/\r?\n/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).replace(/^ /, ""))
    .join("\n");
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Whether somebody pressed Stop. @param {unknown} problem */
export const isAbort = (problem) => problem instanceof DOMException && problem.name === "AbortError";
