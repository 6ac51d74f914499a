// What moondream-relay.js throws, and how it asks.
// tests/transports/relay/test_javascript.py runs this: node --test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, follow, MoondreamError } from
  "../../transports/moondream_transports/relay/static/moondream-relay.js";
import {
  FAILED, URL_, VALUES, collect, ids, pauses, record, records, server,
} from "./relay.mjs";

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

test("what is no value of this format is an error at once", async () => {
  const html = { "content-type": "text/html" };
  const cases = [
    [{ headers: html, chunks: ["<p>"] }, "expected an event stream, got text/html"],
    [{ chunks: ["id: 1\ndata: [DONE]\n\n"] }, "expected the value after 0, got 1[DONE]\n"],
    [{ chunks: ["data: 5\n\n"] }, "expected the value after 0, got 5\n"],
    [{ chunks: [record({ chunk: "a" }, 1)] }, 'expected the value after 0, got 1{"chunk":"a"}\n'],
    [
      { chunks: [record(VALUES[0], 1), record(VALUES[1], 1)] },
      "expected the value after 1, got 1{",
    ],
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
