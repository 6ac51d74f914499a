// Where two exchanges differ, and where an answer is not the sum of its deltas.
import assert from "node:assert/strict";
import test from "node:test";
import { BODY, data, STREAM, Trace } from "./inspect.mjs";

const { compare, differingPart, firstDifference, shownOf, wrongDeltas } = await import(
  "../../tools/moondream_tools/_inspect/static/differences.js");

/** The trace of STREAM, with other fields. */
function made(fields = {}) {
  return new Trace({ ...STREAM, ...fields });
}

/** A trace of one text, in these deltas. */
function text(deltas, whole, metadata) {
  return new Trace(data({ trace: 1, events: deltas.map((text, at) => ({ at, chunk: null,
    record: null, value: { kind: "text_delta", text } })),
  result: { kind: "query_result", text: whole, metadata } }));
}

/** The index and the words of each difference. */
function found(left, right) {
  return Object.fromEntries(compare(left, right).map(({ what, index, words }) =>
    [what, [index, words]]));
}

test("the first difference of two lists", async () => {
  assert.equal(firstDifference([], []), -1);
  assert.equal(firstDifference([1, 2], [1, 2]), -1);
  assert.equal(firstDifference([1, 2], [1, 3]), 1);
  assert.equal(firstDifference([1], [1, 2]), 1);
  assert.equal(firstDifference([], [1]), 0);
  assert.equal(firstDifference([{ a: 1 }], [{ a: 1 }], (one, other) => one.a === other.a), -1);
});

test("equal traces have no difference", async () => {
  assert.deepEqual(found(made(), made()), {
    byte: [-1, "The bodies are equal: 20 bytes."],
    record: [-1, "All 3 records are equal."],
    event: [-1, "All 4 events are equal."],
  });
});

test("another byte is found in the bytes and in its record", async () => {
  const other = made({ body: btoa(BODY.replace("h", "X")) });
  const { byte, record, event } = found(made(), other);
  assert.deepEqual(byte, [7, "The bodies differ from byte 7 on: "
    + "“abcdefghijklmnopqrs” left, “abcdefgXijklmnopqrs” right."]);
  assert.deepEqual(record, [1, "The records differ from record 1 on."]);
  assert.equal(event[0], -1);
});

test("a body that ends early is named, with what the other one has", async () => {
  const cut = made({ body: btoa(BODY.slice(0, 10)), chunks: STREAM.chunks.slice(0, 1),
    records: STREAM.records.slice(0, 1), messages: [], events: [], error: { kind: "connection_lost" } });
  const { byte, record, event } = found(made(), cut);
  assert.deepEqual(byte, [10, "The right body ends after byte 10, and the other goes on with "
    + "“klmnopqrst”."]);
  assert.deepEqual(record, [1, "The records are equal up to record 1, where the right side has no "
    + "more: 3 left, 1 right."]);
  assert.deepEqual(event, [0, "The events are equal up to event 0, where the right side has no "
    + "more: 4 left, 0 right. It is text delta left, and connection lost right."]);
  assert.match(found(cut, made()).byte[1], /^The left body ends after byte 10/);
  assert.match(found(cut, made()).event[1], /the left side has no more: 0 left, 4 right/);
});

test("another event of another kind is named", async () => {
  const events = STREAM.events.with(2, { ...STREAM.events[2], value: { kind: "bbox" } });
  const { event } = found(made(), made({ events }));
  assert.deepEqual(event, [2, "The events differ from event 2 on. It is completed left, and bbox "
    + "right."]);
  const same = STREAM.events.with(0, { ...STREAM.events[0], value: { kind: "text_delta",
    text: "Z" } });
  assert.deepEqual(found(made(), made({ events: same })).event,
    [0, "The events differ from event 0 on."]);
});

test("what is shown of a row", async () => {
  const trace = made();
  assert.equal(shownOf(trace, "event", 0), 'text delta {"text":"A"}');
  assert.equal(shownOf(trace, "event", 4), undefined);
  assert.equal(shownOf(trace, "record", 1), "hijklmn");
  assert.equal(shownOf(trace, "record", 3), undefined);
  assert.equal(shownOf(trace, "byte", 0),
    "61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop");
  assert.equal(shownOf(trace, "byte", 1), `${"71 72 73 74".padEnd(47)}  qrst`);
  assert.equal(shownOf(trace, "byte", 2), undefined);
  assert.equal(shownOf(made({ body: btoa("\n\xff") }), "byte", 0), `${"0a ff".padEnd(47)}  ␊·`);
});

test("the part in which two texts differ, without half characters", async () => {
  assert.deepEqual(differingPart("a moon.", "a moon."),
    { before: "a moon.", left: "", right: "", after: "" });
  assert.deepEqual(differingPart("a \ufffd\ufffd b", "a 🌕 b"),
    { before: "a ", left: "\ufffd\ufffd", right: "🌕", after: " b" });
  assert.deepEqual(differingPart("🌖", "🌕"), { before: "", left: "🌖", right: "🌕", after: "" });
  assert.deepEqual(differingPart("aa", "aaa"), { before: "aa", left: "", right: "a", after: "" });
  assert.deepEqual(differingPart("", "x"), { before: "", left: "", right: "x", after: "" });
});

test("deltas that do not add up to the text", async () => {
  assert.equal(wrongDeltas(text(["a", "b"], "ab", { deltas_match: true })), null);
  assert.equal(wrongDeltas(text(["a"], "ab", { deltas_match: null })), null);
  assert.equal(wrongDeltas(made()), null);
  assert.deepEqual(wrongDeltas(text(["a ", "\ufffd"], "a 月", { deltas_match: false })),
    { deltas: "a \ufffd", text: "a 月" });
});
