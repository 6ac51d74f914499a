// What the page of streams looks up in a trace, and its links.
// tests/tools/inspect/test_javascript.py runs this: node --test.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BODY, STREAM, Selection, Trace, counted, data, linkTo, readLink, words } from
  "./inspect.mjs";

const belongs = (trace, lane, index) => {
  const { chunk, record, message, event } = trace.related({ lane, index });
  return [chunk, record, message, event].map(([first, after]) => `${first}-${after}`).join(" ");
};

test("a trace knows what is there at a time, and what belongs together", async () => {
  const trace = new Trace(STREAM);
  const counts = (time) => Object.values(trace.countsAt(time)).join(" ");
  assert.deepEqual([0.99, 1, 1.99, 2, 3, 4].map(counts), [
    "0 0 0 0", "1 0 0 0", "1 0 0 0", "2 2 1 1", "3 3 2 3", "3 3 2 4",
  ]);
  const state = (time) => trace.stateAt(time)?.state;
  assert.deepEqual([-1, 0, 0.5, 2.9, 3].map(state), [
    undefined, "AWAITING_RESPONSE", "READING_EVENTS", "READING_EVENTS", "COMPLETED"]);
  assert.deepEqual([trace.end, trace.live, trace.compressed], [4, false, false]);

  // A record that two chunks share belongs to both; a record without a message has none.
  assert.equal(belongs(trace, "chunk", 0), "0-1 0-1 0-1 0-1");
  assert.equal(belongs(trace, "chunk", 1), "1-2 0-3 0-2 0-3");
  assert.equal(belongs(trace, "chunk", 2), "2-3 2-3 1-2 1-3");
  assert.equal(belongs(trace, "record", 0), "0-2 0-1 0-1 0-1");
  assert.equal(belongs(trace, "record", 1), "1-2 1-2 1-1 1-1");
  assert.equal(belongs(trace, "message", 1), "1-3 2-3 1-2 1-3");
  assert.equal(belongs(trace, "event", 1), "1-3 2-3 1-2 1-2");
  assert.equal(belongs(trace, "event", 3), "0-0 0-0 0-0 3-4");

  assert.deepEqual([0, 4, 5, 14, 15, 19, 20].map((at) => trace.chunkOf(at)), [0, 0, 1, 1, 2, 2, 2]);
  assert.deepEqual([0, 6, 7, 13, 14, 20].map((at) => trace.recordOf(at)), [0, 0, 1, 1, 2, -1]);
  assert.deepEqual(trace.span({ lane: "event", index: 2 }), [14, 20]);
  for (const index of [-1, 0.5, 4, NaN]) assert.equal(trace.has({ lane: "event", index }), false);
  assert.equal(trace.has({ lane: "other", index: 0 }), false);
  assert.equal(words.describe(trace, { lane: "event", index: 0 }),
    "event 0, text delta, at 2.00 s: “A”");
});

test("a body that is JSON as a whole is one message of all chunks", async () => {
  const at = { at: 1, chunk: 1, record: null };
  const trace = new Trace(data({ trace: 1, body: btoa("{}"), messages: [{ record: null, value: {} }],
    chunks: [{ at: 0.5, start: 0, end: 1, decoded_end: 1, cut: 0 },
      { at: 1, start: 1, end: 2, decoded_end: 2, cut: 0 }],
    events: [{ ...at, value: { kind: "completed" } }] }));
  assert.equal(belongs(trace, "message", 0), "0-2 0-0 0-1 0-1");
  assert.equal(belongs(trace, "chunk", 1), "1-2 0-0 0-1 0-1");
  assert.equal(trace.timeOf({ lane: "message", index: 0 }), 1);
  assert.deepEqual(trace.span({ lane: "event", index: 0 }), [0, 2]);
});

test("a trace that grows is the same as the whole", async () => {
  const { chunks, records, messages, events, states, ...rest } = STREAM;
  const trace = new Trace({ ...rest, body: "", ending: null, chunks: [], records: [], messages: [],
    events: [], states: [] });
  assert.equal(trace.live, true);
  const counts = counted(trace, "grow");
  for (const [i, chunk] of chunks.entries()) {
    const isOfChunk = (item) => (item.chunk ?? 2) === i;
    trace.append(data({ body: btoa(BODY.slice(chunk.start, chunk.end)), chunks: [chunk],
      ending: i === 2 ? STREAM.ending : null, records: records.filter(isOfChunk),
      messages: messages.filter(({ record }) => isOfChunk(records[record])),
      events: events.filter(isOfChunk), states: states.filter(isOfChunk) }));
  }
  assert.equal(counts.grow, 3);
  const whole = new Trace(STREAM);
  assert.deepEqual([trace.body, trace.decoded], [whole.body, whole.decoded]);
  for (const [lane, count] of Object.entries(whole.countsAt(9))) {
    for (let i = 0; i < count; i++) assert.equal(belongs(trace, lane, i), belongs(whole, lane, i));
  }
  assert.throws(() => new Trace({ ...STREAM, trace: 2 }), /version 1, and got 2/);
});

test("compressed chunks are found by both of their offsets", async () => {
  const trace = new Trace(data({ trace: 1, body: btoa("zzzz"), decoded: btoa(BODY),
    chunks: [{ at: 1, start: 0, end: 2, decoded_end: 0, cut: 0 },
      { at: 2, start: 2, end: 4, decoded_end: 20, cut: 0 }],
    records: [{ at: 2, chunk: 1, start: 0, end: 20, event: "", message: null }] }));
  assert.equal(trace.compressed, true);
  assert.deepEqual([trace.chunkOf(1), trace.chunkOfDecoded(0)], [0, 1]);
  assert.equal(belongs(trace, "record", 0), "1-2 0-1 0-0 0-0");
});

test("100,000 chunks are indexed and asked for quickly", async () => {
  const count = 100_000;
  const indexes = Array.from({ length: count }, (_, i) => i);
  const trace = new Trace({ ...STREAM, body: btoa("x".repeat(count)),
    chunks: indexes.map((i) => ({ at: i, start: i, end: i + 1, decoded_end: i + 1, cut: 0 })),
    records: indexes.map((i) => ({ at: i, chunk: i, start: i, end: i + 1, event: "", message: i })),
    messages: indexes.map((i) => ({ record: i, value: null })),
    events: indexes.map((i) => ({ at: i, chunk: i, record: i, value: { kind: "unknown" } })) });
  for (let i = 0; i < count; i += 10) {
    assert.deepEqual(trace.related({ lane: "chunk", index: i }).event, [i, i + 1]);
    assert.equal(trace.countsAt(i + 0.5).message, i + 1);
  }
});

test("links name a moment, and nonsense is ignored", async () => {
  const moment = { name: "a b/ü&t=9#", time: 1.5, item: { lane: "event", index: 12 } };
  assert.deepEqual(readLink(linkTo(moment)), moment);
  assert.match(linkTo(moment), /&t=1.5&select=event:12$/);
  for (const nonsense of ["", "#", "#%E0%A4%A", "#t=x&select=event", "#t=-1&select=moon:1",
    "#t=1e400&select=event:-1", "#t=Infinity&select=event:1.5"]) {
    assert.deepEqual(readLink(nonsense), { name: null, time: null, item: null }, nonsense);
  }
});

test("hovering goes before what was selected, and no change is no event", async () => {
  const selection = new Selection();
  const counts = counted(selection, "change");
  const [one, other] = [{ lane: "chunk", index: 1 }, { lane: "event", index: 1 }];
  selection.select(one);
  selection.select({ ...one });
  assert.equal(counts.change, 1);
  selection.hover(other);
  assert.equal(selection.active, other);
  selection.hover(null);
  assert.equal(selection.active, one);
  assert.equal(counts.change, 3);
});
