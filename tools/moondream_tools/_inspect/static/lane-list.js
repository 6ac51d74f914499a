/**
 * The items of a lane as a list: what the canvas shows, for those who cannot see it. It follows the
 * pattern of a list box, with the options that are in view.
 */
import { el } from './dom.js';
import { Rows } from './rows.js';
import { LANES } from './trace.js';
import { PLURALS, describe } from './words.js';

/** @typedef {import('./trace.js').Item} Item */
/** @typedef {import('./view.js').Inspector} Inspector */

const ROW = 26; // pixels, as in the style sheet

export class LaneList {
  /** @type {import('./trace.js').Lane} */
  lane = 'event';
  #index = 0;

  /** @param {Inspector} inspector @param {() => void} invalidate */
  constructor(inspector, invalidate) {
    this.inspector = inspector;
    this.invalidate = invalidate;
    this.box = el('div', { class: 'list', role: 'listbox', tabindex: 0, 'aria-label': 'Items',
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#press(event) });
    this.choice = el('select', { 'aria-label': 'Lane', onchange: () => {
      this.#turnTo(LANES[this.choice.selectedIndex]);
      this.invalidate();
    } }, ...LANES.map((lane) => el('option', { selected: lane === this.lane }, PLURALS[lane])));
    this.element = el('div', { class: 'as-list' }, this.choice, this.box);
    this.rows = new Rows(this.box, ROW, (index) => `${this.#isOn(index)}`,
      (index) => this.#option(index), invalidate);
  }

  /** @param {import('./trace.js').Lane} lane */
  #turnTo(lane) {
    this.lane = lane;
    this.choice.selectedIndex = LANES.indexOf(lane);
    this.#index = 0;
    this.rows.clear();
    this.rows.reveal(0);
  }

  draw() {
    const { trace, selection } = this.inspector;
    const { selected } = selection;
    if (trace.has(selected)) {
      if (selected.lane !== this.lane) this.#turnTo(selected.lane);
      this.rows.count = trace.count(this.lane);
      if (selected.index !== this.#index) {
        this.#index = selected.index;
        this.rows.reveal(selected.index);
      }
    }
    this.rows.count = trace.count(this.lane);
    this.rows.draw();
    const id = idOf(this.#index);
    if (this.box.querySelector(`#${id}`)) this.box.setAttribute('aria-activedescendant', id);
    else this.box.removeAttribute('aria-activedescendant');
  }

  /** @param {number} index */
  #isOn(index) {
    const { selected } = this.inspector.selection;
    return selected?.lane === this.lane && selected.index === index;
  }

  /** @param {number} index */
  #option(index) {
    const { trace, selection } = this.inspector;
    const item = { lane: this.lane, index };
    return el('div', { id: idOf(index), role: 'option', 'aria-selected': String(this.#isOn(index)),
      'aria-setsize': trace.count(this.lane), 'aria-posinset': index + 1,
      onpointerenter: () => selection.hover(item), onpointerleave: () => selection.hover(null),
      onclick: () => selection.select(item) }, describe(trace, item));
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const { trace, selection } = this.inspector;
    const last = trace.count(this.lane) - 1;
    const page = Math.max(1, this.rows.visible - 1);
    const none = !this.#isOn(this.#index);
    /** @type {{[key: string]: number}} */
    const steps = { ArrowDown: none ? 0 : 1, ArrowUp: -1, PageDown: page, PageUp: -page,
      Home: -last, End: last };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey || last < 0) return;
    event.preventDefault();
    selection.select({ lane: this.lane,
      index: Math.min(Math.max(this.#index + step, 0), last) });
  }
}

/** @param {number} index */
function idOf(index) {
  return `lane-item-${index}`;
}
