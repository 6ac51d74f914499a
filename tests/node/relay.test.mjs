// Tests of moondream-relay.js. tests/transports/relay/test_javascript.py runs them: node --test.
import assert from "node:assert/strict";
import http from "node:http";
import { afterEach, test } from "node:test";
import { ask, follow, MoondreamError } from
  "../../transports/moondream_transports/relay/static/moondream-relay.js";

const URL_ = "http://localhost/streams/1";
const SSE = { "content-type": "text/event-stream; charset=utf-8" };
const RESULT = { kind: "query_result", text: "Ein Möndchen 🌙.", partial: false };
const VALUES = [
  { kind: "text_delta", version: 1, text: "Ein Mönd", token_index: 0 },
  { kind: "text_delta", version: 1, text: "chen 🌙\u2028", token_index: null },
  { kind: "unknown", version: 1, data: { "a: b": "\r\n" } },
  { kind: "completed", version: 1, result: RESULT },
];
const FAILED = {
  kind: "rate_limit_error", version: 1, message: "slowly", partial: { ...RESULT, partial: true },
  retryable: true, status_code: 429, retry_after: 2, body: "",
};
const bytes = (text) => new TextEncoder().encode(text);
const record = (value, id, end = "\n") =>
  `id: ${id}${end}data: ${JSON.stringify(value)}${end}${end}`;
const records = (values = VALUES, after = 0) =>
  values.map((value, i) => (i < after ? "" : record(value, i + 1))).join("");

// Pauses take no time here, and are noted. The timers of silence are left alone.
const pauses = [];
const setTimeoutOfNode = globalThis.setTimeout;
let isFrozen = false;
globalThis.setTimeout = (call, milliseconds) => {
  if (milliseconds === 60_000 || isFrozen) return undefined;
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
function server(...answers) {
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

async function collect(answer) {
  const values = [];
  try {
    for await (const value of answer) values.push(value);
  } catch (error) {
    return { values, error };
  }
  return { values, error: null };
}

const ids = (requests) => requests.map(({ headers }) => headers.get("last-event-id"));

test("every byte: a body is the same however it is fragmented", async () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const text = `\ufeff: hello${end}${end}` + VALUES.map((value, i) =>
      `event: message${end}retry: 7${end}nothing${end}` + record(value, i + 1, end) + `:${end}`,
    ).join("");
    const whole = bytes(text);
    const cuts = [...whole.keys()].map((i) => [whole.slice(0, i), whole.slice(i)]);
    cuts.push([...whole].map((byte) => Uint8Array.of(byte)));
    cuts.push([...whole].flatMap((byte) => [Uint8Array.of(), Uint8Array.of(byte)]));
    for (const chunks of cuts) {
      const { fetch, requests } = server({ chunks });
      assert.deepEqual(await collect(follow(URL_, { fetch })), { values: VALUES, error: null });
      assert.equal(requests.length, 1);
    }
  }
});

test("a value is there as soon as its last byte is", async () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const text = record(VALUES[0], 1, end);
    const { fetch } = server({ chunks: [end === "\r\n" ? text.slice(0, -1) : text], end: "hang" });
    const next = await follow(URL_, { fetch })[Symbol.asyncIterator]().next();
    assert.deepEqual(next, { done: false, value: VALUES[0] });
  }
});

test("data may be spread over lines, and a value after `completed` is not read", async () => {
  const lines = JSON.stringify(VALUES[3], null, 1).split("\n").map((line) => `data:${line}\n`);
  const { fetch, requests } = server({ chunks: [`id:1\n${lines.join("")}\n`, "data: x\n\n"] });
  assert.deepEqual(await collect(follow(URL_, { fetch })), { values: [VALUES[3]], error: null });
  assert.ok(requests[0].cancelled);
});

test("every byte: a cut there, clean or not, loses and doubles nothing", async () => {
  const whole = bytes(records());
  for (const end of ["close", "error"]) {
    for (let at = 0; at < whole.length; at++) {
      const first = whole.slice(0, at);
      const after = new TextDecoder().decode(first).split("\n\n").length - 1;
      const { fetch, requests } = server(
        { chunks: [first], end }, { chunks: [records(VALUES, after)] },
      );
      const answer = follow(URL_, { fetch });
      assert.deepEqual(await collect(answer), { values: VALUES, error: null }, `${end} ${at}`);
      assert.deepEqual(ids(requests), [null, after ? String(after) : null]);
      assert.equal(answer.lastEventId, "4");
    }
  }
});

test("a connection for each value, errors of the network between", async () => {
  const offline = new TypeError("Failed to fetch");
  const one = (i) => ({ chunks: [record(VALUES[i], i + 1), "id: 9\ndata: {"], end: "error" });
  const { fetch, requests } = server(
    offline, one(0), offline, offline, one(1), { status: 502 }, one(2), offline, one(3),
  );
  const retries = [];
  const onRetry = ({ error, attempt, delay }) => retries.push([error.kind, attempt, delay]);
  const { values, error } = await collect(follow(URL_, { fetch, onRetry, maxAttempts: 5 }));
  assert.deepEqual([values, error], [VALUES, null]);
  assert.deepEqual(ids(requests), [null, null, "1", "1", "1", "2", "2", "3", "3"]);
  const attempts = retries.map(([, attempt]) => attempt);
  assert.deepEqual(attempts, [1, 1, 2, 3, 1, 2, 1, 2]);
  assert.deepEqual(pauses, retries.map(([, , delay]) => 1000 * delay));
  for (const [i, pause] of pauses.entries()) {
    const longest = 500 * 2 ** attempts[i];
    assert.ok(longest / 2 < pause && pause < longest, `${pause} of ${longest}`);
  }
});

test("it gives up in the end, and says so", async () => {
  const { fetch, requests } = server(
    { chunks: [records(VALUES.slice(0, 2))], end: "error" },
    ...Array(5).fill(new TypeError("Failed to fetch")),
  );
  const { values, error } = await collect(follow(URL_, { fetch }));
  assert.deepEqual(values, VALUES.slice(0, 2));
  assert.ok(error instanceof MoondreamError && error instanceof Error);
  assert.equal(error.message, "the connection was lost: TypeError: Failed to fetch");
  assert.deepEqual({ ...error }, {
    name: "MoondreamError", kind: "connection_lost", retryable: true, status: null,
    retryAfter: null, partial: { kind: "arrived", text: "Ein Möndchen 🌙\u2028" },
  });
  assert.equal(requests.length, 6);
});

test("no pause is longer than 30 seconds", async () => {
  const { fetch } = server(...Array(9).fill(new TypeError("Failed to fetch")));
  await collect(follow(URL_, { fetch, maxAttempts: 9 }));
  assert.equal(pauses.length, 8);
  assert.ok(pauses.slice(-2).every((pause) => 15_000 < pause && pause < 30_000), `${pauses}`);
});

test("a pause ends when the signal aborts", async () => {
  const leave = new AbortController();
  const { fetch } = server(new TypeError("Failed to fetch"));
  const onRetry = () => {
    isFrozen = true; // the pause has no end of its own
    setImmediate(() => leave.abort(new Error("left")));
  };
  const { error } = await collect(follow(URL_, { fetch, onRetry, signal: leave.signal }));
  isFrozen = false;
  assert.equal(error.message, "left");
});

test("a body without a last record is never complete", async () => {
  for (const chunks of [[], [records(VALUES.slice(0, 3))], [records().slice(0, -1)]]) {
    const { fetch } = server({ chunks }, { status: 404, headers: {} });
    const { values, error } = await collect(follow(URL_, { fetch }));
    assert.equal(values.some(({ kind }) => kind === "completed"), false);
    assert.equal(error.status, 404);
  }
});

test("an error record is thrown, and not asked for again", async () => {
  const { fetch, requests } = server({ chunks: [record(VALUES[0], 1), record(FAILED, 2)] });
  const { values, error } = await collect(follow(URL_, { fetch }));
  assert.deepEqual(values, [VALUES[0]]);
  assert.equal(error.message, "slowly");
  assert.deepEqual({ ...error }, {
    name: "MoondreamError", kind: "rate_limit_error", retryable: true, status: 429, retryAfter: 2,
    partial: FAILED.partial,
  });
  assert.equal(requests.length, 1);
  const lost = { kind: "connection_lost", message: "lost", retryable: false, partial: null };
  const other = server({ chunks: [record(VALUES[0], 1), record(lost, 2)] });
  const seen = (await collect(follow(URL_, { fetch: other.fetch }))).error;
  assert.deepEqual([seen.kind, seen.status, seen.retryAfter], ["connection_lost", null, null]);
  assert.deepEqual(seen.partial, { kind: "arrived", text: VALUES[0].text });
});

test("after an error record without an id the answer goes on", async () => {
  const first = records(VALUES.slice(0, 1));
  const data = (error) => `data: ${JSON.stringify(error)}\n\n`;
  const { fetch, requests } = server(
    { chunks: [first, data(FAILED)], end: "hang" }, { chunks: [records(VALUES, 1)] },
  );
  assert.deepEqual(await collect(follow(URL_, { fetch })), { values: VALUES, error: null });
  assert.deepEqual([ids(requests), pauses], [[null, "1"], [2000]]);
  assert.ok(requests[0].cancelled);
  const last = server({ chunks: [first, data({ ...FAILED, retryable: false })] });
  assert.equal((await collect(follow(URL_, { fetch: last.fetch }))).error.message, "slowly");
  const posted = server({ chunks: [first, data(FAILED)] });
  const answer = await ask("http://localhost/v1/query", {}, { fetch: posted.fetch });
  assert.equal((await collect(answer)).error.message, "slowly");
});

test("an error response is thrown, with the words of the server", async () => {
  const json = { "content-type": "application/json" };
  const cases = [
    [404, json, '{"error":{"message":"no such answer"}}', "no such answer (status 404)", false],
    [400, json, '{"error":"bad"}', "bad (status 400)", false],
    [504, { "content-type": "text/html" }, "<h1>late</h1>", " (status 504)", false],
    [401, json, '{"detail": []}', " (status 401)", false],
    [413, json, "null", " (status 413)", false],
    [503, { ...json, "retry-after": "61" }, '{"error":"later"}', "later (status 503)", true],
  ];
  for (const [status, headers, chunk, message, retryable] of cases) {
    const { fetch, requests } = server({ status, headers, chunks: [chunk] });
    const { error } = await collect(follow(URL_, { fetch }));
    assert.ok(error instanceof MoondreamError);
    assert.deepEqual([error.kind, error.status], ["api_error", status]);
    assert.deepEqual([error.message, error.retryable], [message, retryable]);
    assert.equal(requests.length, 1);
  }
  const own = { kind: "not_found_error", message: "gone" };
  const { fetch } = server({ status: 404, headers: json, chunks: [JSON.stringify(own)] });
  const { error } = await collect(follow(URL_, { fetch }));
  assert.deepEqual([error.kind, error.message], ["not_found_error", "gone (status 404)"]);
});

test("503 with Retry-After is asked again after that time", async () => {
  const busy = (after) => ({ status: 503, headers: { "retry-after": after } });
  const { fetch } = server(busy("2"), busy("59.5"), busy("soon"), busy("0"), { chunks: [records()] });
  assert.equal((await collect(follow(URL_, { fetch }))).error, null);
  assert.deepEqual(pauses.slice(0, 2), [2000, 59_500]);
  assert.ok(pauses.length === 4 && pauses[2] > 2000 && pauses[3] > 4000, String(pauses));
});

test("what is no value of this format is an error at once", async () => {
  const html = { "content-type": "text/html" };
  const cases = [
    [{ headers: html, chunks: ["<p>"] }, "expected an event stream, got text/html"],
    [{ chunks: ["id: 1\ndata: [DONE]\n\n"] }, "expected the value after 0, got 1[DONE]\n"],
    [{ chunks: ["data: 5\n\n"] }, "expected the value after 0, got 5\n"],
    [{ chunks: [record({ chunk: "a" }, 1)] }, 'expected the value after 0, got 1{"chunk":"a"}\n'],
    [{ chunks: [record(VALUES[0], 1), record(VALUES[1], 1)] }, "expected the value after 1, got 1{"],
    [{ chunks: [record(VALUES[0], 2)] }, "expected the value after 0, got 2{"],
    [{ chunks: [`data: ${JSON.stringify(VALUES[0])}\n\n`] }, "expected the value after 0, got {"],
  ];
  for (const [answer, message] of cases) {
    const { fetch, requests } = server(answer);
    const { error } = await collect(follow(URL_, { fetch }));
    assert.equal(error.kind, "remote_protocol_error");
    assert.ok(error.message.startsWith(message) && error.message.length < 160, error.message);
    assert.deepEqual([requests.length, error.retryable], [1, false]);
  }
});

test("lastEventId goes on where a page was, and 204 has nothing more", async () => {
  const { fetch, requests } = server({ chunks: [records(VALUES, 2)] }, { status: 204 });
  const headers = { authorization: "Bearer x" };
  const answer = follow(URL_, { fetch, headers, lastEventId: "2", credentials: "include" });
  assert.deepEqual((await collect(answer)).values, VALUES.slice(2));
  const end = follow(answer.url, { fetch, lastEventId: answer.lastEventId });
  assert.deepEqual(await collect(end), { values: [], error: null });
  assert.deepEqual(ids(requests), ["2", "4"]);
  assert.equal(requests[0].headers.get("authorization"), "Bearer x");
  assert.equal(requests[0].init.credentials, "include");
});

test("leaving the loop closes the connection", async () => {
  const { fetch, requests } = server({ chunks: [records()], end: "hang" });
  for await (const value of follow(URL_, { fetch })) {
    assert.deepEqual(value, VALUES[0]);
    break;
  }
  assert.ok(requests[0].cancelled);
});

test("abort ends a read, a pause and what waits in the same chunk, with the reason", async () => {
  const reason = new Error("left");
  const during = async (answer, when) => {
    const leave = new AbortController();
    const { fetch, requests } = server(answer);
    const options = { fetch, signal: leave.signal, onRetry: () => leave.abort(reason) };
    const values = [];
    await assert.rejects(async () => {
      for await (const value of follow(URL_, options)) {
        values.push(value);
        if (when === "at once") leave.abort(reason);
        else setTimeoutOfNode(() => leave.abort(reason), 1);
      }
    }, reason);
    return { values, requests };
  };
  const { values, requests } = await during({ chunks: [records()], end: "hang" }, "at once");
  assert.deepEqual(values, [VALUES[0]]);
  assert.ok(requests[0].aborted);
  assert.equal((await during({ chunks: [record(VALUES[0], 1)], end: "hang" })).values.length, 1);
  assert.equal((await during({ chunks: [record(VALUES[0], 1)], end: "error" })).requests.length, 1);
  const { fetch, requests: none } = server();
  await assert.rejects(ask("http://localhost/v1/query", {}, { fetch, signal: AbortSignal.abort(reason) }), reason);
  assert.equal(none.length, 0);
});

test("a silent server counts as lost", async () => {
  const { fetch, requests } = server(
    { chunks: [record(VALUES[0], 1), ":\n\n"], end: "hang" }, { chunks: [records(VALUES, 1)] },
  );
  const { values } = await collect(follow(URL_, { fetch, idleTimeout: 0.01 }));
  assert.deepEqual(values, VALUES);
  assert.ok(requests[0].cancelled);
});

test("ask sends JSON, and follows what was created", async () => {
  const created = { id: "1", url: "/base/streams/1" };
  const { fetch, requests } = server(
    { status: 201, headers: {}, chunks: [JSON.stringify(created)] },
    { chunks: [records(VALUES.slice(0, 1))] }, { chunks: [records(VALUES, 1)] },
  );
  const answer = await ask("http://localhost/v1/query", { question: "?" }, {
    fetch, headers: { "X-Page": "1" },
  });
  assert.equal(answer.url, "http://localhost/base/streams/1");
  assert.deepEqual(await collect(answer), { values: VALUES, error: null });
  const [post, ...gets] = requests;
  assert.deepEqual([post.method, post.init.body], ["POST", '{"question":"?"}']);
  assert.equal(post.headers.get("content-type"), "application/json");
  assert.ok(requests.every(({ headers }) => headers.get("x-page") === "1"));
  assert.deepEqual(gets.map(({ url, method, init }) => [url, method, init.body]), Array(2).fill(
    ["http://localhost/base/streams/1", "GET", undefined],
  ));
});

test("an answer in the response of a POST is not resumed", async () => {
  const whole = server({ chunks: [records()] });
  const answer = await ask("http://localhost/v1/query", {}, { fetch: whole.fetch });
  assert.equal(answer.url, "");
  assert.deepEqual((await collect(answer)).values, VALUES);
  for (const end of ["close", "error"]) {
    const { fetch, requests } = server({ chunks: [record(VALUES[0], 1)], end });
    const { error } = await collect(await ask("http://localhost/v1/query", {}, { fetch }));
    assert.deepEqual([error.kind, error.retryable], ["connection_lost", false]);
    assert.deepEqual(error.partial, { kind: "arrived", text: "Ein Mönd" });
    assert.equal(requests.length, 1);
  }
});

test("a POST is sent again only if the server says when", async () => {
  const busy = { status: 503, headers: { "retry-after": "1" } };
  const patient = server(busy, busy, { chunks: [records()] });
  const answer = await ask("http://localhost/v1/query", {}, { fetch: patient.fetch });
  assert.deepEqual((await collect(answer)).values, VALUES);
  assert.deepEqual(pauses, [1000, 1000]);
  for (const first of [{ status: 503, headers: {} }, new TypeError("Failed to fetch")]) {
    const { fetch, requests } = server(first);
    await assert.rejects(ask("http://localhost/v1/query", {}, { fetch }), MoondreamError);
    assert.equal(requests.length, 1);
  }
});

test("over sockets: resumed after a reset, and closed when the loop is left", async () => {
  globalThis.setTimeout = setTimeoutOfNode; // the timers of Node's own `fetch` are real
  const closed = [];
  const seen = [];
  const listener = http.createServer((request, response) => {
    const after = Number(request.headers["last-event-id"] ?? 0);
    seen.push(after);
    response.on("close", () => closed.push(after));
    response.writeHead(200, SSE);
    response.write(record(VALUES[after], after + 1), () => after < 2 && response.destroy());
  });
  await new Promise((listening) => listener.listen(0, "127.0.0.1", listening));
  const url = `http://127.0.0.1:${listener.address().port}/streams/1`;
  const values = [];
  for await (const value of follow(url)) {
    values.push(value);
    if (values.length === 3) break;
  }
  assert.deepEqual(values, VALUES.slice(0, 3));
  assert.deepEqual(seen, [0, 1, 2]);
  while (closed.length < 3) await new Promise((turn) => setImmediate(turn));
  listener.close();
  listener.closeAllConnections();
});
