// Asking the server: a key if there is one, problems as errors, events as they come.

const KEY = "mue.key";

/** The key of a page that its browser lets store nothing. */
let unstored = null;

/** What the tab's storage says, or nothing where the browser blocks it. */
function stored(ask) {
  try {
    return ask(sessionStorage);
  } catch {
    return null;
  }
}

export const key = {
  /** Whether a header can carry it. */
  fits: (value) => /^[\x21-\x7e]+$/.test(value),
  get() {
    const value = stored((storage) => storage.getItem(KEY)) ?? unstored;
    return value !== null && key.fits(value) ? value : null;
  },
  set(value) {
    unstored = value;
    stored((storage) => storage.setItem(KEY, value));
  },
  forget() {
    unstored = null;
    stored((storage) => storage.removeItem(KEY));
  },
};

/** The server said no: `problem` is its problem+json, `retryAfter` seconds to wait. */
export class Refusal extends Error {
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** The answer to a GET, or to a POST of a form. */
export async function ask(path, { form, signal } = {}) {
  const response = await send(path, form, signal);
  return unbroken(() => response.json());
}

/** A file of the server. */
export async function file(path) {
  const response = await send(path);
  return unbroken(() => response.blob());
}

/** The events of a streamed answer: `{name, data}` each. Whoever reads stops at the result. */
export async function* events(path, { form, signal }) {
  const response = await send(path, form, signal);
  let buffer = "";
  for await (const text of texts(response.body)) {
    const parts = (buffer + text).split(/\r?\n\r?\n/);
    buffer = parts.pop();
    for (const part of parts) {
      const event = parsed(part);
      if (event?.name === "error") throw new Refusal(event.data);
      if (event) yield event;
    }
  }
  throw new Refusal(BROKEN);
}

async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await unbroken(() => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops reading hangs up, and the server stops computing.
    reader.cancel().catch(() => {});
  }
}

/** One event; none for a comment that keeps the connection alive. */
function parsed(text) {
  const fields = text.split(/\r?\n/).map((line) => /^(event|data): ?(.*)$/.exec(line));
  const values = (name) => fields.filter((field) => field?.[1] === name).map((field) => field[2]);
  const data = values("data").join("\n");
  return data ? { name: values("event")[0] ?? "message", data: JSON.parse(data) } : null;
}

const BROKEN = { code: "unreachable", title: "The connection broke before the answer was whole" };

/** Reads from the network, whose own errors say little. */
async function unbroken(read) {
  try {
    return await read();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Refusal(BROKEN);
  }
}

async function send(path, form, signal) {
  const headers = key.get() ? { authorization: `Bearer ${key.get()}` } : {};
  const method = form ? "POST" : "GET";
  let response;
  try {
    response = await fetch(path, { method, body: form, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ code: "unreachable", title: "The server cannot be reached" });
  }
  if (response.ok) return response;
  throw new Refusal(await problemOf(response), Number(response.headers.get("retry-after")) || null);
}

async function problemOf(response) {
  const said = response.headers.get("content-type") ?? "";
  if (said.startsWith("application/problem+json")) return unbroken(() => response.json());
  return { code: "unknown", title: `The server answered ${response.status}`, status: response.status };
}
