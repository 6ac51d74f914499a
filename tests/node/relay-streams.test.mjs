// How moondream-relay.js reads, resumes and stops.
// tests/transports/relay/test_javascript.py runs this: node --test.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { ask, follow, MoondreamError } from
  "../../transports/moondream_transports/relay/static/moondream-relay.js";
import {
  SSE, URL_, VALUES, bytes, clock, collect, ids, pauses, record, records, server, setTimeoutOfNode,
} from "./relay.mjs";

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
    clock.isFrozen = true; // the pause has no end of its own
    setImmediate(() => leave.abort(new Error("left")));
  };
  const { error } = await collect(follow(URL_, { fetch, onRetry, signal: leave.signal }));
  clock.isFrozen = false;
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

test("503 with Retry-After is asked again after that time", async () => {
  const busy = (after) => ({ status: 503, headers: { "retry-after": after } });
  const times = ["2", "59.5", "soon", "0"];
  const { fetch } = server(...times.map(busy), { chunks: [records()] });
  assert.equal((await collect(follow(URL_, { fetch }))).error, null);
  assert.deepEqual(pauses.slice(0, 2), [2000, 59_500]);
  assert.ok(pauses.length === 4 && pauses[2] > 2000 && pauses[3] > 4000, String(pauses));
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
  const options = { fetch, signal: AbortSignal.abort(reason) };
  await assert.rejects(ask("http://localhost/v1/query", {}, options), reason);
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
