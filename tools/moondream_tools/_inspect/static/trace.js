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
 * @typedef {[number, number]} Range  first index, and the one after the last
 */

/** A trace. It dispatches `grow` when an exchange under way has brought more. */
export class Trace extends EventTarget {
  /** @param {object} data  the JSON form of a `Trace` */
  constructor(data) { super(); }

  /** Add what a `TraceUpdate` has. @param {object} update */
  append(update) {}

  /** How many items of each lane are there at a time. @returns {Record<Lane, number>} */
  countsAt(time) {}

  /** What belongs to an item, in all lanes. @param {Item} item @returns {Related} */
  related(item) {}

  /** The time of an item. @param {Item} item @returns {number} */
  timeOf(item) {}

  /** The index of the chunk that has the byte at an offset of the body. */
  chunkOf(offset) {}
}
