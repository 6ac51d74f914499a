import { brokenTraces } from './breaking.js';
import { compare, differingPart, shownOf, wrongDeltas } from './differences.js';
import { el } from './dom.js';
import { Trace } from './trace.js';
import { shortened } from './words.js';

/**
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {import('./source.js').Source} Source
 * @typedef {import('./differences.js').Difference} Difference
 */

const BEFORE = 20; // rows above the first difference
const ROWS = 200;
const MOST = 600; // characters of a row
const BROKEN = '\0broken'; // no recording has this name
/** @type {{[what in Difference['what']]: string}} */
const TITLES = { byte: 'Bytes', record: 'Records', event: 'Events' };

/** Two recordings side by side, from their first difference on. */
export class ComparePanel extends HTMLElement {
  /** @type {Source | null} */
  source = null;
  /** @type {Inspector | null} */
  #inspector = null;
  #turn = 0;

  /** What is on the left side. */
  get inspector() { return this.#inspector; }

  set inspector(inspector) {
    this.#inspector = inspector;
    this.#open();
  }

  async #open() {
    const turn = ++this.#turn;
    this.replaceChildren();
    if (this.#inspector === null || this.source === null) return;
    const { name, trace } = this.#inspector;
    const { recordings } = await this.source.list();
    if (turn !== this.#turn) return;
    const pair = brokenTraces.get(name);
    const others = recordings.filter((other) => !other.error && other.name !== name);
    const select = el('select', { onchange: () => this.#choose(select.value) },
      el('option', { value: '' }, 'Choose a recording …'),
      pair && el('option', { value: BROKEN }, `${name}, broken`),
      ...others.map((other) => el('option', { value: other.name }, other.name)));
    this.append(
      el('label', { class: 'with' }, el('span', {}, 'Compare ', el('strong', {}, name), ' with'),
        select),
      el('div', { class: 'differences' }), ...deltas(trace, ''));
    if (pair?.broken === trace) {
      select.value = BROKEN;
      this.#choose(BROKEN);
    }
  }

  /** @param {string} name */
  async #choose(name) {
    const turn = ++this.#turn;
    const shown = /** @type {HTMLElement} */ (this.querySelector('.differences'));
    shown.replaceChildren();
    if (this.#inspector === null || this.source === null || name === '') return;
    const pair = name === BROKEN ? brokenTraces.get(this.#inspector.name) : undefined;
    try {
      const right = pair?.broken ?? new Trace(await this.source.trace(name));
      if (turn !== this.#turn) return;
      const { name: own, trace } = this.#inspector;
      const isBroken = brokenTraces.get(own)?.broken === trace;
      const sides = pair
        ? { left: pair.recorded, right, names: [`${own}, as recorded`, 'broken'] }
        : { left: trace, right, names: [own + (isBroken ? ', broken' : ''), name] };
      this.#show(shown, sides);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (turn === this.#turn) shown.append(el('p', {}, message));
    }
  }

  /** @param {HTMLElement} shown @param {Sides} sides */
  #show(shown, sides) {
    const found = compare(sides.left, sides.right);
    const rows = el('div', { class: 'rows' });
    const pick = (/** @type {Difference} */ difference) => {
      for (const button of shown.querySelectorAll('.found button')) {
        const isPicked = /** @type {HTMLElement} */ (button).dataset.what === difference.what;
        button.setAttribute('aria-pressed', String(isPicked));
      }
      rows.replaceChildren(table(sides, difference));
      const first = rows.querySelector('.differs');
      const scroller = rows.querySelector('[tabindex]');
      if (first instanceof HTMLElement && scroller) scroller.scrollTop = first.offsetTop - 80;
    };
    shown.append(el('ul', { class: 'found' }, ...found.map((difference) => {
      const button = el('button', { 'aria-pressed': 'false',
        onclick: () => pick(difference) }, `${TITLES[difference.what]} ${
        difference.index === -1 ? '=' : '≠'}`);
      button.dataset.what = difference.what;
      return el('li', {}, button, ' ', difference.words);
    })), ...deltas(sides.right, 'right: '), rows);
    // Events say more than bytes, where both differ.
    pick([...found].reverse().find(({ index }) => index !== -1) ?? found[0]);
    this.dispatchEvent(new CustomEvent('say', { bubbles: true,
      detail: found.map(({ words }) => words).join(' ') }));
  }
}

/** @typedef {{left: Trace, right: Trace, names: string[]}} Sides */

/** The rows around a difference. @param {Sides} sides @param {Difference} difference */
function table({ left, right, names }, { what, index }) {
  const first = index === -1 ? 0 : what === 'byte' ? Math.floor(index / 16) : index;
  const start = Math.max(0, first - BEFORE);
  const rows = [];
  for (let i = start; i < start + ROWS; i++) {
    const [one, other] = [left, right].map((trace) => shownOf(trace, what, i));
    if (one === undefined && other === undefined) break;
    const differs = one !== other;
    rows.push(el('tr', { class: differs ? 'differs' : '' },
      el('th', { scope: 'row' }, what === 'byte' ? 16 * i : i, differs ? ' ≠' : ''),
      ...[one, other].map((text) => el('td', {}, text === undefined
        ? el('em', {}, 'nothing') : shortened(text, MOST)))));
  }
  return el('div', { class: 'scroll', tabindex: 0, role: 'group',
    'aria-label': `${TITLES[what]}, side by side` },
  el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, what),
    ...names.map((name) => el('th', { scope: 'col' }, name)))), el('tbody', {}, ...rows)));
}

/** Where the deltas of an answer are not its text. @param {Trace} trace @param {string} side
 * @returns {HTMLElement[]} */
function deltas(trace, side) {
  const wrong = wrongDeltas(trace);
  if (wrong === null) return [];
  const part = differingPart(wrong.deltas, wrong.text);
  return [el('p', { class: 'deltas' }, `${side}The deltas do not add up to the whole text: “…${
    part.before.slice(-30)}`, el('del', {}, part.left), el('ins', {}, part.right), `${
    part.after.slice(0, 30)}…”. The deltas had “${shortened(part.left)}”, and the text has “${
    shortened(part.right)}”.`)];
}

customElements.define('compare-panel', ComparePanel);
