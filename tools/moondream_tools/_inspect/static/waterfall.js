import { el, svg } from './dom.js';
import { View } from './view.js';
import { inSeconds, spaced } from './words.js';

/**
 * @typedef {{name: string, from: number, to: number | null, limit?: number | null, since?: number,
 *   text?: string, chunk?: number}} Row  of the waterfall. `to` is null if it is not known; `limit`
 *   is that of a deadline, which counts from `since`, or else from `from`
 */

const GAPS = 3; // that are named
const WIDE = 1000; // units of a bar

/** Connection, head, first event, the longest gaps, and the end, with the client's deadlines. */
export class WaterfallView extends View {
  #list = el('ol');
  /** @type {SVGElement[]} */
  #cursors = [];
  #drawn = '';

  open() {
    this.#drawn = '';
    this.append(this.#list);
  }

  draw() {
    const { trace, player } = this.shown;
    const known = `${trace.chunks.length} ${trace.events.length} ${trace.end} ${trace.live}`;
    if (known !== this.#drawn) {
      this.#drawn = known;
      this.#cursors = [];
      this.#list.replaceChildren(...rows(trace).map((row) => this.#row(row)));
    }
    const x = WIDE * player.time / (trace.end || 1);
    for (const cursor of this.#cursors) cursor.setAttribute('transform', `translate(${x} 0)`);
  }

  /** @param {Row} row */
  #row({ name, from, to, limit, since = from, text, chunk }) {
    const { trace, player, selection } = this.shown;
    const scale = WIDE / (trace.end || 1);
    const cursor = svg('path', { class: 'cursor', d: 'M0 0V12' });
    this.#cursors.push(cursor);
    const deadline = limit === null || limit === undefined ? null : since + limit;
    const width = to === null ? 0 : Math.max((to - from) * scale, 4);
    const bar = svg('svg', { viewBox: `0 0 ${WIDE} 12`, preserveAspectRatio: 'none',
      'aria-hidden': 'true' },
    svg('rect', { class: 'track', width: WIDE, height: 12 }),
    to !== null && svg('rect', { class: 'bar', y: 1, width, height: 10,
      x: Math.min(from * scale, WIDE - width) }),
    deadline !== null && deadline <= trace.end && svg('path', { class: 'deadline',
      d: `M${deadline * scale} 0V12` }),
    cursor);
    const label = chunk === undefined ? name : el('button', { class: 'link',
      onclick: () => {
        const item = { lane: /** @type {const} */ ('chunk'), index: chunk };
        if (trace.has(item)) selection.select(item);
        player.seek(to ?? trace.end);
      } }, name);
    const late = deadline !== null && to !== null && to >= deadline - 1e-6;
    return el('li', {},
      el('span', { class: 'name' }, label),
      el('span', { class: 'value' }, text ?? (to === null ? 'none' : inSeconds(to - from)),
        deadline !== null && el('span', { class: late ? 'limit late' : 'limit' },
          ` · deadline ${limit} s${late ? ', passed' : ''}`)),
      bar);
  }
}

customElements.define('waterfall-view', WaterfallView);

/** @param {import('./trace.js').Trace} trace @returns {Row[]} */
function rows(trace) {
  const { times, deadlines, ending, events, end } = trace;
  const connected = times.connected ?? 0;
  const first = times.first_event;
  return [
    { name: 'Connect', from: 0, to: times.connected, limit: deadlines?.connect,
      text: times.connected === null ? 'not recorded' : undefined },
    { name: 'Head', from: connected, to: times.head },
    { name: 'First event', from: times.head ?? connected, to: first,
      limit: deadlines?.first_event, since: connected },
    { name: 'Events', from: first ?? end, to: events.at(-1)?.at ?? null,
      text: first === null ? 'none' : undefined },
    ...gaps(trace).map(({ chunk, from, to }) => ({ from, to, chunk, limit: deadlines?.idle,
      name: `Gap before ${chunk < trace.chunks.length ? `chunk ${chunk}` : 'the end'}` })),
    { name: ending === null ? 'Under way' : 'End', from: end, to: end,
      limit: deadlines?.total, since: 0,
      text: `${inSeconds(end)}${ending === null ? '' : `, ${spaced(ending.fault)}`}` },
  ];
}

/** The longest gaps before chunks and the end, in the order of time.
 * @param {import('./trace.js').Trace} trace */
function gaps({ chunks, end }) {
  /** @type {{chunk: number, from: number, to: number}[]} */
  const longest = [];
  let shortest = 0; // of those that are kept
  for (let chunk = 1; chunk <= chunks.length; chunk++) {
    const from = chunks[chunk - 1].at;
    const to = chunks[chunk]?.at ?? end;
    if (to - from <= shortest) continue;
    longest.push({ chunk, from, to });
    if (longest.length <= GAPS) continue;
    longest.sort((a, b) => (b.to - b.from) - (a.to - a.from)).pop();
    shortest = longest[GAPS - 1].to - longest[GAPS - 1].from;
  }
  return longest.sort((a, b) => a.chunk - b.chunk);
}
