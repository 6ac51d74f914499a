import { Bytes, firstIndex, fromBase64 } from './numbers.js';
import { PLURALS } from './words.js';

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
/** @type {readonly ('chunks' | 'records' | 'messages' | 'events' | 'states')[]} */
const LISTS = ['chunks', 'records', 'messages', 'events', 'states'];

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
  /** The last moment that the trace knows. */ end = 0;

  #body;
  /** Null: the same as the body. @type {Bytes | null} */
  #decoded = null;

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
      this.#decoded ??= new Bytes(this.body.slice());
      this.#decoded.append(fromBase64(update.decoded));
    } else {
      this.#decoded?.append(more);
    }
    this.#body.append(more);
    this.#take(update);
    this.dispatchEvent(new Event('grow'));
  }

  /** @param {Update} update */
  #take(update) {
    const { response, times, ending, error, result } = update;
    Object.assign(this, { response, times, ending, error, result });
    for (const list of LISTS) {
      const items = /** @type {object[]} */ (this[list]);
      for (const item of update[list]) items.push(item);
    }
    const { chunks, events, states } = this;
    this.end = Math.max(...[ending, chunks.at(-1), events.at(-1), states.at(-1)]
      .map((item) => item?.at ?? 0), times.connected ?? 0, times.head ?? 0);
  }

  /** The bytes as they were received. @returns {Uint8Array} */
  get body() { return this.#body.view; }

  /** The body, inflated if it is compressed. @returns {Uint8Array} */
  get decoded() { return (this.#decoded ?? this.#body).view; }

  /** Whether `decoded` differs from `body`. */
  get compressed() { return this.#decoded !== null; }

  /** Whether the exchange is under way. */
  get live() { return this.ending === null; }

  /** How many items a lane has. @param {Lane} lane @returns {number} */
  count(lane) { return this[PLURALS[lane]].length; }

  /** How many items of each lane are there at a time. @param {number} time @returns {Counts} */
  countsAt(time) {
    /** @param {Lane} lane */
    const count = (lane) => (
      firstIndex(this.count(lane), (index) => this.timeOf({ lane, index }) > time));
    return { chunk: count('chunk'), record: count('record'), message: count('message'),
      event: count('event') };
  }

  /** How many items of a lane came before a time. @param {Lane} lane @param {number} time */
  countBefore(lane, time) {
    return firstIndex(this.count(lane), (index) => this.timeOf({ lane, index }) >= time);
  }

  /** The state of the machine at a time. @param {number} time @returns {State | null} */
  stateAt(time) { return this.states[this.statesAt(time) - 1] ?? null; }

  /** How many states the machine has come to at a time. @param {number} time */
  statesAt(time) { return firstIndex(this.states.length, (i) => this.states[i].at > time); }

  /** The time of an item. @param {Item} item @returns {number} */
  timeOf({ lane, index }) {
    if (lane !== 'message') return this[PLURALS[lane]][index].at;
    const { record } = this.messages[index];
    // The events of a body that is JSON as a whole are ready with it.
    return record === null ? this.events[0]?.at ?? this.end : this.records[record].at;
  }

  /** Whether there is such an item.
   * @overload @param {Item} item @returns {boolean} */
  /** @overload @param {Item | null} item @returns {item is Item} */
  /** @param {Item | null} item */
  has(item) {
    return item !== null && LANES.includes(item.lane) && Number.isInteger(item.index)
      && item.index >= 0 && item.index < this.count(item.lane);
  }

  /** The index of the chunk that has the byte at an offset of the body; the last for its end.
   * @param {number} offset @returns {number} */
  chunkOf(offset) { return firstIndex(this.chunks.length - 1, (i) => this.chunks[i].end > offset); }

  /** The same for an offset of the decoded body. @param {number} offset @returns {number} */
  chunkOfDecoded(offset) {
    return firstIndex(this.chunks.length - 1, (i) => this.chunks[i].decoded_end > offset);
  }

  /** The index of the record that has the byte at an offset of the decoded body, or -1.
   * @param {number} offset @returns {number} */
  recordOf(offset) {
    const index = this.#recordFrom(offset);
    return (this.records[index]?.start ?? Infinity) <= offset ? index : -1;
  }

  /** The index of the first record that ends after an offset. @param {number} offset */
  #recordFrom(offset) {
    return firstIndex(this.records.length, (i) => this.records[i].end > offset);
  }

  /** Where the bytes of an item are in the decoded body. @param {Item} item @returns {Range} */
  span(item) {
    if (item.lane === 'chunk') {
      const { index } = item;
      return [this.chunks[index - 1]?.decoded_end ?? 0, this.chunks[index].decoded_end];
    }
    const record = this.#recordOfItem(item);
    if (record !== null) return [this.records[record].start, this.records[record].end];
    return this.#isWhole ? [0, this.decoded.length] : [0, 0];
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
    const { lane, index } = item;
    let first = this.#recordOfItem(item) ?? this.#recordFrom(start);
    let after = lane === 'chunk'
      ? firstIndex(this.records.length, (i) => this.records[i].start >= end) : first + 1;
    if (after <= first) first = after = 0;
    /** @param {'messages' | 'events'} list @returns {Range} */
    const ofRecords = (list) => {
      const items = this[list];
      const [from, to] = [first, after].map((record) => (
        firstIndex(items.length, (i) => (items[i].record ?? Infinity) >= record)));
      return [from, to];
    };
    const last = firstIndex(this.chunks.length - 1, (i) => this.chunks[i].decoded_end >= end);
    return {
      chunk: [this.chunkOfDecoded(start), last + 1],
      record: [first, after],
      message: ofRecords('messages'),
      event: ofRecords('events'),
      [lane]: [index, index + 1],
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
