import { el } from './dom.js';
import { amount, inSeconds, spaced } from './words.js';

/**
 * @typedef {{loop: string, like: string, text: string, error: string | null,
 *   outcome: keyof typeof OUTCOMES, verdict: string}} Plain  of a loop of another client
 */

const MOST = 160; // characters of the end of an answer that are shown
const OUTCOMES = { same: '= same answer', error: '! reports an error', fails: '✕ fails',
  silent: '✕ wrong, and silent', hangs: '✕ hangs' };

/** What becomes of a stream, in our decoder and in plain loops.
 * @param {import('./trace.js').Trace} trace @param {Plain[]} plain */
export function outcome({ error, events, chunks, result, ending }, plain) {
  const found = error === null ? 'whole' : spaced(error.kind);
  const about = `${error?.message ?? 'The answer is complete'}: ${amount(events.length, 'event')} `
    + `of ${amount(chunks.length, 'chunk')}, the end at ${inSeconds(ending?.at)}.`;
  /** @param {string} kind @param {(string | Node)[]} by @param {string} title
   * @param {string} detail @param {string} raised @param {string} text */
  const row = (kind, by, title, detail, raised, text) => el('tr', { class: `is-${kind}` },
    el('th', { scope: 'row' }, ...by), el('td', {}, el('strong', {}, title), ` ${detail} `,
      el('code', {}, raised)), el('td', {}, text.length > MOST ? `…${text.slice(-MOST)}` : text));
  return el('table', {},
    el('thead', {}, el('tr', {}, ...['Read by', 'Outcome', 'Text'].map((title) =>
      el('th', { scope: 'col' }, title)))),
    el('tbody', {}, row('ours', ['this decoder'], found, about, '',
      result?.text ?? result?.path ?? ''),
    ...plain.map(({ outcome: kind, loop, like, verdict, error: raised, text }) =>
      row(kind, [el('code', {}, loop), ` ${like}`], OUTCOMES[kind], verdict, raised ?? '', text))));
}
