/**
 * How the page says times, amounts and items.
 *
 * @typedef {import('./trace.js').Trace} Trace
 * @typedef {import('./trace.js').Item} Item
 */

/** What a lane is called. */
export const PLURALS = /** @type {const} */ ({ chunk: 'chunks', record: 'records',
  message: 'messages', event: 'events' });

/** Seconds as a person reads them: `1.25 s`, `30 ms`. @param {number | null | undefined} seconds */
export function inSeconds(seconds) {
  if (seconds === null || seconds === undefined) return 'unknown';
  if (seconds > 0 && seconds < 0.0995) {
    return `${Number((1000 * seconds).toFixed(seconds < 0.001 ? 3 : 1))} ms`;
  }
  return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
}

/** A number and what it counts. @param {number} count @param {string} one @param {string} [many] */
export function amount(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** Bytes as a person reads them: `812 bytes`, `21.3 kB`. @param {number} count */
export function inBytes(count) {
  if (count < 1000) return amount(count, 'byte');
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/** A text in at most so many characters. @param {string} text @param {number} most */
export function shortened(text, most = 60) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** A name of the code as words: `reading_events` is `reading events`, as `ReadingEvents` is.
 * @param {string | null | undefined} name */
export function spaced(name) {
  return (name ?? '').replace(/_|\B(?=[A-Z][a-z])/g, ' ').toLowerCase()
    .replace(/\bjson\b/, 'JSON').replace(/\beof\b/, 'end of the body');
}

/** What an item is, for a line of text: `event 12, text delta, at 1.25 s: “a boat”`.
 * @param {Trace} trace @param {Item} item @returns {string} */
export function describe(trace, item) {
  const title = `${item.lane} ${item.index}`;
  const at = `at ${inSeconds(trace.timeOf(item))}`;
  if (item.lane === 'chunk') {
    const { start, end } = trace.chunks[item.index];
    return `${title}, ${amount(end - start, 'byte')}, ${at}`;
  }
  if (item.lane === 'record') {
    const { start, end, event } = trace.records[item.index];
    return `${title}, ${event ? `${event}, ` : ''}${amount(end - start, 'byte')}, ${at}`;
  }
  if (item.lane === 'message') {
    return `${title}, ${at}: ${shortened(JSON.stringify(trace.messages[item.index].value))}`;
  }
  const { value } = trace.events[item.index];
  return `${title}, ${spaced(value.kind)}, ${at}${content(value)}`;
}

/** @param {import('./trace.js').Event['value']} value @returns {string} */
function content(value) {
  const text = value.text ?? value.data;
  return typeof text === 'string' ? `: “${shortened(text)}”` : '';
}
