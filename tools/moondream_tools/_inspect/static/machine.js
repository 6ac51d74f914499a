import { el, svg } from './dom.js';
import { View } from './view.js';
import { inSeconds, spaced } from './words.js';

/** @typedef {[number, number]} Place  the middle of a state */

const WIDE = 368;
const [W, H] = [82, 34]; // of a state
/** Where the states are; others get a place below them. @type {{[state: string]: Place}} */
const PLACES = {
  AWAITING_RESPONSE: [180, 30],
  READING_EVENTS: [45, 112],
  READING_JSON: [135, 112],
  READING_UNNAMED: [225, 112],
  READING_ERROR: [315, 112],
  COMPLETED: [110, 194],
  FAILED: [250, 194],
};

/** The state machine, with the current state lit and the transitions that were taken. */
export class MachineView extends View {
  /** All states and transitions; without, those that the trace has.
   * @type {import('./source.js').Machine | undefined} */
  machine;

  /** @type {Map<string, SVGElement>} */
  #states = new Map();
  /** @type {Map<string, SVGElement>} */
  #edges = new Map();
  #drawing = svg('svg');
  #taken = el('ol', { 'aria-label': 'States that it came to' });
  #drawn = -1;

  open() {
    const { states, transitions } = this.machine ?? { states: [], transitions: [] };
    const names = [...new Set([...states, ...this.shown.trace.states.map(({ state }) => state)])];
    const unknown = names.filter((name) => !Object.hasOwn(PLACES, name));
    /** @param {string} name @returns {Place} */
    const place = (name) => {
      if (Object.hasOwn(PLACES, name)) return PLACES[name];
      const index = unknown.indexOf(name);
      return [45 + 90 * (index % 4), 250 + 56 * Math.floor(index / 4)];
    };
    const height = 220 + 56 * Math.ceil(unknown.length / 4);
    this.#edges = new Map(transitions.map(([from, trigger, to]) => [
      `${from} ${trigger}`, edge(place(from), place(to), `${spaced(trigger)}: to ${spaced(to)}`)]));
    this.#states = new Map(names.map((name) => [name, box(name, place(name))]));
    this.#drawing = svg('svg', { viewBox: `0 0 ${WIDE} ${height}`, role: 'img' },
      ...this.#edges.values(), ...this.#states.values());
    this.#drawn = -1;
    this.append(this.#drawing, this.#taken);
  }

  draw() {
    const { trace, player } = this.shown;
    const count = trace.statesAt(player.time);
    if (count === this.#drawn) return;
    this.#drawn = count;
    const states = trace.states.slice(0, count);
    const now = states.at(-1)?.state;
    this.#drawing.setAttribute('aria-label', `State machine, now ${spaced(now) || 'not begun'}`);
    const visited = new Set(states.map(({ state }) => state));
    for (const [name, element] of this.#states) {
      element.classList.toggle('visited', visited.has(name));
      element.classList.toggle('now', name === now);
    }
    const taken = new Set(states.map(({ trigger }, i) => `${states[i - 1]?.state} ${trigger}`));
    for (const [key, element] of this.#edges) element.classList.toggle('taken', taken.has(key));
    this.#taken.replaceChildren(...states.map(({ at, state, trigger }) => el('li', {},
      el('button', { class: 'link', onclick: () => player.seek(at) },
        inSeconds(at)),
      trigger === null ? ' ' : ` ${spaced(trigger)} → `, el('b', {}, spaced(state)))));
  }
}

customElements.define('machine-view', MachineView);

/** @param {string} name @param {Place} middle */
function box(name, [x, y]) {
  const words = spaced(name).split(' ');
  const lines = words.length > 1 ? [words[0], words.slice(1).join(' ')] : words;
  return svg('g', { class: 'state' },
    svg('rect', { x: x - W / 2, y: y - H / 2, width: W, height: H, rx: 6 }),
    ...lines.map((line, i) => svg('text', { x, y: y + 4 + 13 * (i - (lines.length - 1) / 2) },
      line)));
}

/** @param {Place} from @param {Place} to @param {string} title */
function edge([x0, y0], [x1, y1], title) {
  /** @type {string} */
  let line;
  let head = `M${x1} ${y1 - H / 2}l-3.5 -6h7z`;
  if (x0 === x1 && y0 === y1) {
    line = `M${x0 - W / 2} ${y0 - 8}h-14v16h9`;
    head = `M${x0 - W / 2} ${y0 + 8}l-6 -3.5v7z`;
  } else if (y1 - y0 > 100) {
    // Past the row between them.
    line = `M${x0 + W / 2} ${y0}H${WIDE - 10}q8 0 8 8V${y1 - 8}q0 8 -8 8H${x1 + W / 2 + 5}`;
    head = `M${x1 + W / 2} ${y1}l6 -3.5v7z`;
  } else {
    const [start, end] = [y0 + H / 2, y1 - H / 2 - 5];
    line = `M${x0} ${start}C${x0} ${start + 24} ${x1} ${end - 24} ${x1} ${end}`;
  }
  return svg('g', { class: 'edge' }, svg('title', {}, title), svg('path', { d: line }),
    svg('path', { class: 'head', d: head }));
}
