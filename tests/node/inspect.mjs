// Traces made by hand, and a clock, for the tests of the page of streams.
const STATIC = "../../tools/moondream_tools/_inspect/static";
export const { Trace } = await import(`${STATIC}/trace.js`);
export const { Player } = await import(`${STATIC}/player.js`);
export const { Selection } = await import(`${STATIC}/selection.js`);
export const { linkTo, readLink } = await import(`${STATIC}/link.js`);
export const words = await import(`${STATIC}/words.js`);

const NOTHING = {
  response: null, times: { connected: null, head: null, first_event: null }, ending: null,
  error: null, result: null, body: "", decoded: null, chunks: [], records: [], messages: [],
  events: [], states: [],
};

/** An update, or with `trace: 1` a trace, that has nothing but these fields. */
export function data(fields) {
  const request = { method: "POST", path: "/v1/query", headers: [], body: null };
  const start = fields.trace ? { name: "made", skill: "query", request, deadlines: null,
    size: null } : {};
  return { ...NOTHING, ...start, ...fields };
}

/** Three chunks of 5, 10 and 5 bytes; records of 7, 7 and 6 bytes; the last has two events. */
export const BODY = "abcdefghijklmnopqrst";
export const STREAM = data({
  trace: 1,
  times: { connected: 0.1, head: 0.5, first_event: 2 },
  ending: { at: 4, fault: "eof", message: "" },
  body: btoa(BODY),
  chunks: [
    { at: 1, start: 0, end: 5, decoded_end: 5, cut: 0 },
    { at: 2, start: 5, end: 15, decoded_end: 15, cut: 0 },
    { at: 3, start: 15, end: 20, decoded_end: 20, cut: 0 },
  ],
  records: [
    { at: 2, chunk: 1, start: 0, end: 7, event: "", message: 0 },
    { at: 2, chunk: 1, start: 7, end: 14, event: "", message: null },
    { at: 3, chunk: 2, start: 14, end: 20, event: "", message: 1 },
  ],
  messages: [{ record: 0, value: { chunk: "A" } }, { record: 2, value: { completed: true } }],
  events: [
    { at: 2, chunk: 1, record: 0, value: { kind: "text_delta", text: "A" } },
    { at: 3, chunk: 2, record: 2, value: { kind: "text_delta", text: "B" } },
    { at: 3, chunk: 2, record: 2, value: { kind: "completed" } },
    { at: 4, chunk: null, record: null, value: { kind: "unknown" } },
  ],
  states: [
    { at: 0, chunk: null, state: "AWAITING_RESPONSE", trigger: null },
    { at: 0.5, chunk: null, state: "READING_EVENTS", trigger: "EVENT_STREAM" },
    { at: 3, chunk: 2, state: "COMPLETED", trigger: "END_OF_ANSWER" },
  ],
});

/** A clock that goes on only by `tick`, as a browser draws frames. */
export class Clock {
  time = 0;
  #frames = new Map();
  #last = 0;

  now = () => this.time;
  request = (callback) => {
    this.#frames.set(++this.#last, callback);
    return this.#last;
  };
  cancel = (id) => this.#frames.delete(id);

  /** Draw one frame so many milliseconds later; whether there was one to draw. */
  tick(milliseconds) {
    this.time += milliseconds;
    const frames = [...this.#frames.values()];
    this.#frames.clear();
    for (const frame of frames) frame();
    return frames.length > 0;
  }
}

/** Count the events of a target by name. */
export function counted(target, ...names) {
  const counts = Object.fromEntries(names.map((name) => [name, 0]));
  for (const name of names) target.addEventListener(name, () => counts[name] += 1);
  return counts;
}
