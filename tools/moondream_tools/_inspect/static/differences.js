import { hex, symbolAt } from './characters.js';
import { amount, spaced } from './words.js';

/**
 * Where two exchanges differ, and where an answer differs from the sum of its deltas. Nothing here
 * touches the page.
 *
 * @typedef {import('./trace.js').Trace} Trace
 * @typedef {'byte' | 'record' | 'event'} What
 * @typedef {{what: What, index: number, words: string}} Difference
 *   the first one; `index` is -1 for none
 */

const CONTEXT = 12; // bytes and characters that are shown around a difference
const decoder = new TextDecoder();

/** The first index at which two lists differ: the length of the shorter one, if it is how the other
 * begins. -1: they are equal.
 * @template T
 * @param {ArrayLike<T>} left @param {ArrayLike<T>} right
 * @param {(left: T, right: T) => boolean} same @returns {number} */
export function firstDifference(left, right, same = Object.is) {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) if (!same(left[i], right[i])) return i;
  return left.length === right.length ? -1 : length;
}

/** @param {Trace} trace @param {{start: number, end: number}} record @returns {Uint8Array} */
function bytesOf(trace, { start, end }) { return trace.decoded.subarray(start, end); }

/** What is shown of an item: a line of 16 bytes, a record, or an event. Undefined: there is none.
 * @param {Trace} trace @param {What} what @param {number} index @returns {string | undefined} */
export function shownOf(trace, what, index) {
  if (what === 'event') {
    const { kind, version, ...fields } = trace.events[index]?.value ?? {};
    return kind && `${spaced(kind)} ${JSON.stringify(fields)}`;
  }
  if (what === 'record') {
    const record = trace.records[index];
    return record && decoder.decode(bytesOf(trace, record));
  }
  const bytes = trace.body.subarray(16 * index, 16 * index + 16);
  if (!bytes.length) return undefined;
  return `${Array.from(bytes, hex).join(' ').padEnd(47)}  ${readable(bytes)}`;
}

/** Bytes as text of one character a byte. @param {Uint8Array} bytes */
export function readable(bytes) {
  return Array.from(bytes, (byte, i) => symbolAt(bytes, i, +(byte < 128))).join('');
}

/** The first difference in each respect.
 * @param {Trace} left @param {Trace} right @returns {Difference[]} */
export function compare(left, right) {
  const byte = firstDifference(left.body, right.body);
  const record = firstDifference(left.records, right.records, (one, other) =>
    firstDifference(bytesOf(left, one), bytesOf(right, other)) === -1);
  const event = firstDifference(left.events, right.events, (one, other) =>
    JSON.stringify(one.value) === JSON.stringify(other.value));
  return [
    { what: 'byte', index: byte, words: bytesInWords(left, right, byte) },
    { what: 'record', index: record, words: itemInWords('record', record, left, right) },
    { what: 'event', index: event, words: itemInWords('event', event, left, right)
      + kinds(left, right, event) },
  ];
}

/** @param {Trace} left @param {Trace} right @param {number} at */
function bytesInWords({ body: left }, { body: right }, at) {
  /** @param {Uint8Array} body @param {number} before */
  const around = (body, before) =>
    `“${decoder.decode(body.subarray(Math.max(0, at - before), at + CONTEXT))}”`;
  if (at === -1) return `The bodies are equal: ${amount(left.length, 'byte')}.`;
  if (at < Math.min(left.length, right.length)) {
    return `The bodies differ from byte ${at} on: ${around(left, CONTEXT)} left, `
      + `${around(right, CONTEXT)} right.`;
  }
  const isLeft = left.length < right.length;
  return `The ${isLeft ? 'left' : 'right'} body ends after byte ${at}, and the other goes on with `
    + `${around(isLeft ? right : left, 0)}.`;
}

/** @param {'record' | 'event'} what @param {number} index @param {Trace} one @param {Trace} other
 * @returns {string} */
function itemInWords(what, index, one, other) {
  const [left, right] = [one, other].map((trace) => trace.count(what));
  if (index === -1) return `All ${left} ${what}s are equal.`;
  if (index < Math.min(left, right)) return `The ${what}s differ from ${what} ${index} on.`;
  return `The ${what}s are equal up to ${what} ${index}, where the ${
    left < right ? 'left' : 'right'} side has no more: ${left} left, ${right} right.`;
}

/** @param {Trace} left @param {Trace} right @param {number} index @returns {string} */
function kinds(left, right, index) {
  const [one, other] = [left, right].map(({ events, error }) =>
    spaced((events[index]?.value ?? error)?.kind ?? 'nothing'));
  return index === -1 || one === other ? '' : ` It is ${one} left, and ${other} right.`;
}

/** The part in which two texts differ, and what they have in common around it. No character is
 * divided.
 * @param {string} left @param {string} right
 * @returns {{before: string, left: string, right: string, after: string}} */
export function differingPart(left, right) {
  const [one, other] = [[...left], [...right]];
  const at = firstDifference(one, other);
  const start = at === -1 ? one.length : at;
  let tail = 0;
  while (tail < Math.min(one.length, other.length) - start
    && one[one.length - 1 - tail] === other[other.length - 1 - tail]) tail++;
  return {
    before: one.slice(0, start).join(''),
    left: one.slice(start, one.length - tail).join(''),
    right: other.slice(start, other.length - tail).join(''),
    after: one.slice(one.length - tail).join(''),
  };
}

/** The deltas of an answer joined, and its whole text, if the answer says that they differ.
 * @param {Trace} trace @returns {{deltas: string, text: string} | null} */
export function wrongDeltas(trace) {
  if (trace.result?.metadata?.deltas_match !== false) return null;
  const deltas = trace.events.filter(({ value }) => value.kind === 'text_delta')
    .map(({ value }) => value.text);
  return { deltas: deltas.join(''), text: trace.result.text };
}
