// A stand-in for `fetch`, and what it sends, for the tests of moondream-relay.js.
import assert from "node:assert/strict";
import { afterEach } from "node:test";

export const URL_ = "http://localhost/streams/1";
export const SSE = { "content-type": "text/event-stream; charset=utf-8" };
const RESULT = { kind: "query_result", text: "Ein Möndchen 🌙.", partial: false };
export const VALUES = [
  { kind: "text_delta", version: 1, text: "Ein Mönd", token_index: 0 },
  { kind: "text_delta", version: 1, text: "chen 🌙\u2028", token_index: null },
  { kind: "unknown", version: 1, data: { "a: b": "\r\n" } },
  { kind: "completed", version: 1, result: RESULT },
];
export const FAILED = {
  kind: "rate_limit_error", version: 1, message: "slowly", partial: { ...RESULT, partial: true },
  retryable: true, status_code: 429, retry_after: 2, body: "",
};
export const bytes = (text) => new TextEncoder().encode(text);
export const record = (value, id, end = "\n") =>
  `id: ${id}${end}data: ${JSON.stringify(value)}${end}${end}`;
export const records = (values = VALUES, after = 0) =>
  values.map((value, i) => (i < after ? "" : record(value, i + 1))).join("");

// Pauses take no time here, and are noted. The timers of silence are left alone.
export const pauses = [];
export const setTimeoutOfNode = globalThis.setTimeout;
export const clock = { isFrozen: false };
globalThis.setTimeout = (call, milliseconds) => {
  if (milliseconds === 60_000 || clock.isFrozen) return undefined;
  if (milliseconds > 100) pauses.push(milliseconds);
  return setTimeoutOfNode(call, Math.min(milliseconds, 1));
};
afterEach(() => pauses.splice(0));

/** A body of chunks that then ends: "close", "error", or "hang" until it is cancelled. */
function body(chunks, end, signal, seen) {
  const left = [...chunks];
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener("abort", () => {
        seen.aborted = true;
        controller.error(signal.reason);
      });
    },
    pull(controller) {
      if (left.length) controller.enqueue(left.shift());
      else if (end === "close") controller.close();
      else if (end === "error") controller.error(new TypeError("network error"));
      else return new Promise(() => {});
    },
    cancel() {
      seen.cancelled = true;
    },
  }, { highWaterMark: 0 });
}

/** A stand-in for `fetch`, which gives these answers in turn and notes what was asked. */
export function server(...answers) {
  const requests = [];
  const fetch = async (url, init) => {
    init.signal?.throwIfAborted();
    const answer = answers[requests.length];
    const seen = { url: String(url), method: init.method ?? "GET", headers: init.headers, init };
    requests.push(seen);
    assert.ok(answer, "more requests than answers");
    if (answer instanceof Error) throw answer;
    const { status = 200, headers = SSE, chunks = [], end = "close" } = answer;
    const content = status === 204 ? null : body(chunks.map((chunk) =>
      typeof chunk === "string" ? bytes(chunk) : chunk), end, init.signal, seen);
    const response = new Response(content, { status, headers });
    Object.defineProperty(response, "url", { value: String(url) });
    return response;
  };
  return { fetch, requests };
}

export async function collect(answer) {
  const values = [];
  try {
    for await (const value of answer) values.push(value);
  } catch (error) {
    return { values, error };
  }
  return { values, error: null };
}

export const ids = (requests) => requests.map(({ headers }) => headers.get("last-event-id"));
