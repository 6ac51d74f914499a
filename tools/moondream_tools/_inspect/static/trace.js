import { Bytes, Numbers, fromBase64 } from './numbers.js';

/**
 * The trace of an exchange, as `moondream_tools.trace` makes it, with what views look up in it.
 * Times are seconds since the request was sent; offsets are bytes.
 *
 * @typedef {{at: number, start: number, end: number, decoded_end: number, cut: number}} Chunk
 * @typedef {{at: number, chunk: number, start: number, end: number, event: string,
 *   message: number | null}} Record
 * @typedef {{record: number | null, value: any}} Message
 * @typedef {{at: number, chunk: number | null, record: number | null,
 *   value: {kind: string, [field: string]: any}}} Event
 * @typedef {{at: number, chunk: number | null, state: string, trigger: string | null}} State
 * @typedef {'chunk' | 'record' | 'message' | 'event'} Lane
 * @typedef {{lane: Lane, index: number}} Item
 * @typedef {{chunk: Range, record: Range, message: Range, event: Range}} Related
 * @typedef {{chunk: number, record: number, message: number, event: number}} Counts
 * @typedef {[number, number]} Range  first index, and the one after the last
 * @typedef {[string, string][]} HeaderPairs
 * @typedef {{at: number, fault: string, message: string}} Ending
 * @typedef {{connected: number | null, head: number | null, first_event: number | null}} Times
 * @typedef {{connect: number | null, first_event: number | null, idle: number | null,
 *   total: number | null}} Deadlines
 * @typedef {{response: {status_code: number, headers: HeaderPairs} | null, times: Times,
 *   ending: Ending | null, error: any, result: any, body: string, decoded: string | null,
 *   chunks: Chunk[], records: Record[], messages: Message[], events: Event[],
 *   states: State[]}} Update
 * @typedef {Update & {trace: number, name: string, skill: string | null,
 *   request: {method: string, path: string, headers: HeaderPairs, body: any},
 *   deadlines: Deadlines | null, size: [number, number] | null}} TraceData
 */

/** @type {readonly Lane[]} */
export const LANES = ['chunk', 'record', 'message', 'event'];

/** The version of the JSON form that this page draws. */
const VERSION = 1;
/** Sorts after each index of a record. */
const NO_RECORD = 2 ** 31;

/** A trace. It dispatches `grow` when an exchange under way has brought more. */
export class Trace extends EventTarget {
  /** @type {Chunk[]} */ chunks = [];
  /** @type {Record[]} */ records = [];
  /** @type {Message[]} */ messages = [];
  /** @type {Event[]} */ events = [];
  /** @type {State[]} */ states = [];
  /** @type {TraceData['response']} */ response = null;
  /** @type {Times} */ times = { connected: null, head: null, first_event: null };
  /** Null while the exchange is under way. @type {Ending | null} */ ending = null;
  /** The JSON form of the error, or null. @type {any} */ error = null;
  /** The JSON form of the result, or null. @type {any} */ result = null;

  #times = { chunk: new Numbers(), record: new Numbers(), message: new Numbers(),
    event: new Numbers() };
  #stateTimes = new Numbers();
  #ends = { raw: new Numbers(), decoded: new Numbers() }; // of chunks
  #recordStarts = new Numbers();
  #recordEnds = new Numbers();
  #recordOf = { message: new Numbers(), event: new Numbers() };
  #body = new Bytes(new Uint8Array(0));
  /** Null: the same as the body. @type {Bytes | null} */
  #decoded = null;
  #bodyView = this.#body.view;
  #decodedView = this.#bodyView;

  /** @param {TraceData} data  the JSON form of a `Trace` */
  constructor(data) {
    super();
    if (data.trace !== VERSION) {
      throw new Error(`this page draws traces of version ${VERSION}, and got ${data.trace}`);
    }
    this.name = data.name;
    this.skill = data.skill;
    this.request = data.request;
    this.deadlines = data.deadlines;
    this.size = data.size;
    this.#body = new Bytes(fromBase64(data.body));
    if (data.decoded !== null) this.#decoded = new Bytes(fromBase64(data.decoded));
    this.#take(data);
  }

  /** Add what a `TraceUpdate` has. @param {Update} update */
  append(update) {
    const more = fromBase64(update.body);
    if (update.decoded !== null) {
      this.#decoded ??= new Bytes(this.#bodyView.slice());
      this.#decoded.append(fromBase64(update.decoded));
    } else {
      this.#decoded?.append(more);
    }
    this.#body.append(more);
    this.#take(update);
    this.dispatchEvent(new Event('grow'));
  }

  /** @param {Update} data */
  #take({ response, times, ending, error, result, chunks, records, messages, events, states }) {
    Object.assign(this, { response, times, ending, error, result });
    this.#bodyView = this.#body.view;
    this.#decodedView = this.#decoded?.view ?? this.#bodyView;
    for (const chunk of chunks) {
      this.chunks.push(chunk);
      this.#times.chunk.push(chunk.at);
      this.#ends.raw.push(chunk.end);
      this.#ends.decoded.push(chunk.decoded_end);
    }
    for (const record of records) {
      this.records.push(record);
      this.#times.record.push(record.at);
      this.#recordStarts.push(record.start);
      this.#recordEnds.push(record.end);
    }
    for (const event of events) {
      this.events.push(event);
      this.#times.event.push(event.at);
      this.#recordOf.event.push(event.record ?? NO_RECORD);
    }
    for (const state of states) {
      this.states.push(state);
      this.#stateTimes.push(state.at);
    }
    for (const message of messages) {
      this.messages.push(message);
      this.#times.message.push(this.#timeOfMessage(message));
      this.#recordOf.message.push(message.record ?? NO_RECORD);
    }
  }

  /** @param {Message} message @returns {number} */
  #timeOfMessage({ record }) {
    if (record !== null) return this.records[record].at;
    // A body that is JSON as a whole: its events are ready with it.
    return this.events[0]?.at ?? this.ending?.at ?? this.chunks.at(-1)?.at ?? 0;
  }

  /** The bytes as they were received. @returns {Uint8Array} */
  get body() { return this.#bodyView; }

  /** The body, inflated if it is compressed. @returns {Uint8Array} */
  get decoded() { return this.#decodedView; }

  /** Whether `decoded` differs from `body`. */
  get compressed() { return this.#decoded !== null; }

  /** Whether the exchange is under way. */
  get live() { return this.ending === null; }

  /** The last moment that the trace knows. @returns {number} */
  get end() {
    const last = [this.#times.chunk, this.#times.event, this.#stateTimes]
      .map((times) => (times.length ? times.at(times.length - 1) : 0));
    return Math.max(this.ending?.at ?? 0, this.times.connected ?? 0, this.times.head ?? 0, ...last);
  }

  /** How many items a lane has. @param {Lane} lane @returns {number} */
  count(lane) { return this.#times[lane].length; }

  /** How many items of each lane are there at a time. @param {number} time @returns {Counts} */
  countsAt(time) {
    return {
      chunk: this.#times.chunk.upTo(time),
      record: this.#times.record.upTo(time),
      message: this.#times.message.upTo(time),
      event: this.#times.event.upTo(time),
    };
  }

  /** How many items of a lane came before a time. @param {Lane} lane @param {number} time */
  countBefore(lane, time) { return this.#times[lane].below(time); }

  /** The state of the machine at a time. @param {number} time @returns {State | null} */
  stateAt(time) { return this.states[this.#stateTimes.upTo(time) - 1] ?? null; }

  /** How many states the machine has come to at a time. @param {number} time */
  statesAt(time) { return this.#stateTimes.upTo(time); }

  /** The time of an item. @param {Item} item @returns {number} */
  timeOf({ lane, index }) { return this.#times[lane].at(index); }

  /** Whether there is such an item.
   * @overload @param {Item} item @returns {boolean} */
  /** @overload @param {Item | null} item @returns {item is Item} */
  /** @param {Item | null} item */
  has(item) {
    return item !== null && Number.isInteger(item.index) && item.index >= 0
      && item.index < (this.#times[item.lane]?.length ?? 0);
  }

  /** The index of the chunk that has the byte at an offset of the body; the last for its end.
   * @param {number} offset @returns {number} */
  chunkOf(offset) { return Math.min(this.#ends.raw.upTo(offset), this.chunks.length - 1); }

  /** The same for an offset of the decoded body. @param {number} offset @returns {number} */
  chunkOfDecoded(offset) {
    return Math.min(this.#ends.decoded.upTo(offset), this.chunks.length - 1);
  }

  /** The index of the record that has the byte at an offset of the decoded body, or -1.
   * @param {number} offset @returns {number} */
  recordOf(offset) {
    const index = this.#recordEnds.upTo(offset);
    return index < this.records.length && this.records[index].start <= offset ? index : -1;
  }

  /** Where the bytes of an item are in the decoded body. @param {Item} item @returns {Range} */
  span(item) {
    if (item.lane === 'chunk') {
      const { index } = item;
      return [this.chunks[index - 1]?.decoded_end ?? 0, this.chunks[index].decoded_end];
    }
    const record = this.#recordOfItem(item);
    if (record !== null) return [this.records[record].start, this.records[record].end];
    return this.#isWhole ? [0, this.#decodedView.length] : [0, 0];
  }

  /** What belongs to an item, in all lanes: the records whose bytes it has a part of, their
   * messages and events, and the chunks that these bytes came in.
   * @param {Item} item @returns {Related} */
  related(item) {
    const own = /** @type {Range} */ ([item.index, item.index + 1]);
    if (this.#isWhole) {
      return { chunk: [0, this.chunks.length], record: [0, 0], message: [0, 1],
        event: [0, this.events.length], [item.lane]: own };
    }
    const [start, end] = this.span(item);
    if (item.lane === 'event' && this.#recordOfItem(item) === null) {
      const { chunk } = this.events[item.index];
      return { chunk: chunk === null ? [0, 0] : [chunk, chunk + 1], record: [0, 0],
        message: [0, 0], event: own };
    }
    /** @type {Range} */
    const records = item.lane === 'chunk'
      ? [this.#recordEnds.upTo(start), this.#recordStarts.below(end)]
      : [/** @type {number} */ (this.#recordOfItem(item)), 0];
    if (item.lane !== 'chunk') records[1] = records[0] + 1;
    if (records[1] <= records[0]) records[0] = records[1] = 0;
    const { message, event } = this.#recordOf;
    return {
      chunk: [this.chunkOfDecoded(start),
        Math.min(this.#ends.decoded.below(end) + 1, this.chunks.length)],
      record: records,
      message: [message.below(records[0]), message.below(records[1])],
      event: [event.below(records[0]), event.below(records[1])],
      [item.lane]: own,
    };
  }

  /** Whether the body is one JSON value: all chunks make one message. */
  get #isWhole() { return this.messages[0]?.record === null; }

  /** @param {Item} item @returns {number | null} */
  #recordOfItem({ lane, index }) {
    if (lane === 'record') return index;
    if (lane === 'message') return this.messages[index].record;
    return lane === 'event' ? this.events[index].record : null;
  }
}
