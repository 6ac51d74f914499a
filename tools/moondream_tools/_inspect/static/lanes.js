/**
 * Chunks, records, messages and events below each other on one axis: of time, or of bytes. The same
 * items are there as a list.
 */
import { Axis } from './axis.js';
import { el } from './dom.js';
import { LaneDrawing, RULER, laneAt } from './lane-drawing.js';
import { LaneList } from './lane-list.js';
import { Size } from './size.js';
import { LANES } from './trace.js';
import { PLURALS, amount, describe } from './words.js';
import { View } from './view.js';

/** @typedef {import('./trace.js').Item} Item */
/** @typedef {import('./trace.js').Lane} Lane */
/** @typedef {'time' | 'bytes' | 'list'} Mode */

const REACH = 8; // pixels from the pointer to an item
const STEP = 1.5; // of the zoom
const DARK = matchMedia('(prefers-color-scheme: dark)');
const HINT = 'Drag to move, Ctrl and wheel to zoom. Keys: ← → ↑ ↓ + − 0.';
/** @type {[Mode, string][]} */
const MODES = [['time', 'By time'], ['bytes', 'By bytes'], ['list', 'As a list']];

export class LanesView extends View {
  /** @type {Mode} */
  #mode = 'time';
  /** @type {Axis | null} */
  #axis = null;
  /** @type {LaneDrawing | null} */
  #drawing = null;
  /** @type {LaneList | null} */
  #list = null;
  /** Pointers that are down, and where. @type {Map<number, {x: number, y: number}>} */
  #down = new Map();
  #moved = false;
  /** @type {Item | null} */
  #selected = null;
  #canvas = el('canvas');
  #area = el('div');
  #size = new Size(this, () => {});
  #readout = el('p');
  #fit = el('button');
  /** @type {HTMLElement[]} */
  #counts = [];
  /** @type {HTMLButtonElement[]} */
  #modes = [];

  connectedCallback() {
    DARK.addEventListener('change', this.#recolor);
  }

  disconnectedCallback() {
    DARK.removeEventListener('change', this.#recolor);
  }

  #recolor = () => {
    this.#drawing?.takeColors();
    this.invalidate();
  };

  open() {
    const { trace } = this.shown;
    this.#canvas = el('canvas', { 'aria-hidden': 'true' });
    this.#axis = new Axis(trace);
    this.#drawing = new LaneDrawing(this.#canvas, this.#axis);
    this.#list = new LaneList(this.shown, () => this.invalidate());
    this.#selected = null;
    this.#down.clear();
    this.#area = el('div', { class: 'area', role: 'application', tabindex: 0,
      'aria-label': 'Lanes. Left and right select an item, up and down change the lane.',
      onwheel: (/** @type {WheelEvent} */ event) => this.#wheel(event),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#press(event),
      onpointerdown: (/** @type {PointerEvent} */ event) => this.#grab(event),
      onpointermove: (/** @type {PointerEvent} */ event) => this.#move(event),
      onpointerup: (/** @type {PointerEvent} */ event) => this.#release(event),
      onpointercancel: (/** @type {PointerEvent} */ event) => this.#down.delete(event.pointerId),
      onpointerleave: () => this.shown.selection.hover(null) }, this.#canvas);
    this.#size = new Size(this.#area, () => this.invalidate());
    this.#readout = el('p', { class: 'readout' }, HINT);
    this.#counts = LANES.map(() => el('span', { class: 'count' }));
    this.#modes = MODES.map(([mode, name]) => el('button', {
      onclick: () => this.#turnTo(mode) }, name));
    /** @param {string} label @param {string} text @param {() => void} act */
    const button = (label, text, act) => el('button', { 'aria-label': label,
      title: label, onclick: () => {
        act();
        this.invalidate();
      } }, text);
    const middle = () => (this.#axis?.width ?? 0) / 2;
    this.#fit = button('Fit', 'Fit', () => this.#axis?.fit());
    this.append(
      el('div', { class: 'bar' },
        el('div', { class: 'modes', role: 'group', 'aria-label': 'Axis' }, ...this.#modes),
        el('div', { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
          button('Zoom out', '−', () => this.#axis?.zoom(STEP, middle())),
          button('Zoom in', '+', () => this.#axis?.zoom(1 / STEP, middle())), this.#fit)),
      el('div', { class: 'lanes' },
        el('div', { class: 'names' }, ...LANES.map((lane, i) => el('div', { class: lane },
          el('span', { class: 'name' }, PLURALS[lane]), this.#counts[i]))), this.#area),
      this.#list.element, this.#readout);
    this.#drawing.takeColors();
    this.#turnTo(this.#mode);
  }

  /** @param {Mode} mode */
  #turnTo(mode) {
    this.#mode = mode;
    this.className = mode;
    this.#modes.forEach((button, i) => {
      button.setAttribute('aria-pressed', String(MODES[i][0] === mode));
    });
    const axis = this.#axis;
    if (axis && mode !== 'list' && axis.unit !== mode) {
      axis.unit = mode;
      axis.fit();
    }
    this.invalidate();
  }

  draw() {
    const { trace, player, selection } = this.shown;
    const axis = this.#axis;
    if (!axis || !this.#drawing || !this.#list) return;
    const counts = trace.countsAt(player.time);
    LANES.forEach((lane, i) => {
      const text = `${counts[lane]} / ${trace.count(lane)}`;
      if (this.#counts[i].textContent !== text) this.#counts[i].textContent = text;
    });
    const active = trace.has(selection.active) ? selection.active : null;
    const words = active ? describe(trace, active) : HINT;
    if (this.#readout.textContent !== words) this.#readout.textContent = words;
    if (this.#mode === 'list') {
      this.#list.draw();
      return;
    }
    axis.width = Math.max(1, this.#size.width);
    this.#follow();
    this.#fit.disabled = axis.isFit;
    const moment = this.#mode === 'time' ? player.time
      : trace.chunks[counts.chunk - 1]?.decoded_end ?? 0;
    this.#drawing.draw(moment, active, active !== null && active === selection.selected);
  }

  /** Keep in view what grows, and what was selected elsewhere. */
  #follow() {
    const { trace, selection } = this.shown;
    const axis = this.#axis;
    if (!axis) return;
    if (axis.isFit || axis.to > axis.end) axis.fit();
    if (selection.selected === this.#selected) return;
    this.#selected = selection.selected;
    if (trace.has(this.#selected)) {
      axis.reveal(...axis.span(this.#selected.lane, this.#selected.index));
    }
  }

  /** @param {{clientX: number, clientY: number}} event */
  #place({ clientX, clientY }) {
    const { left, top } = this.#area.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  /** @param {{x: number, y: number}} place @returns {Item | null} */
  #itemAt({ x, y }) {
    const lane = laneAt(y);
    const index = lane && this.#axis?.itemAt(lane, x, REACH);
    return lane && typeof index === 'number' ? { lane, index } : null;
  }

  /** @param {number} x */
  #seek(x) {
    const { trace, player } = this.shown;
    const value = this.#axis?.toValue(x) ?? 0;
    const chunk = trace.chunks[trace.chunkOfDecoded(Math.floor(value))];
    player.seek(this.#mode === 'time' ? value : chunk?.at ?? 0);
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    if (event.button) return;
    const place = this.#place(event);
    this.#area.setPointerCapture(event.pointerId);
    this.#down.set(event.pointerId, place);
    this.#moved = false;
    if (place.y < RULER) this.#seek(place.x);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const axis = this.#axis;
    const place = this.#place(event);
    const before = this.#down.get(event.pointerId);
    if (!before || !axis) {
      this.shown.selection.hover(this.#itemAt(place));
      return;
    }
    if (!this.#moved && Math.hypot(place.x - before.x, place.y - before.y) < 4) return;
    this.#moved = true;
    const [one, other] = this.#down.values();
    this.#down.set(event.pointerId, place);
    if (other) {
      const [a, b] = this.#down.values();
      const middle = (a.x + b.x) / 2;
      axis.pan((one.x + other.x) / 2 - middle);
      axis.zoom(Math.abs(one.x - other.x) / Math.max(1, Math.abs(a.x - b.x)), middle);
    } else if (before.y < RULER) {
      this.#down.set(event.pointerId, { x: place.x, y: 0 });
      this.#seek(place.x);
    } else {
      axis.pan(before.x - place.x);
    }
    this.invalidate();
  }

  /** @param {PointerEvent} event */
  #release(event) {
    const before = this.#down.get(event.pointerId);
    this.#down.delete(event.pointerId);
    if (!before || this.#moved || before.y < RULER) return;
    this.shown.selection.select(this.#itemAt(before));
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const axis = this.#axis;
    if (!axis) return;
    const { deltaX, deltaY, deltaMode } = event;
    const sideways = event.shiftKey && !deltaX ? deltaY : deltaX;
    if (event.ctrlKey || event.metaKey) {
      const pixels = Math.max(-100, Math.min(100, deltaY * (deltaMode ? 16 : 1)));
      axis.zoom(1.01 ** pixels, this.#place(event).x);
    } else if (!axis.isFit && Math.abs(sideways) >= Math.abs(event.shiftKey ? 0 : deltaY)) {
      axis.pan(sideways * (deltaMode ? 16 : 1));
    } else {
      return; // the page scrolls
    }
    event.preventDefault();
    this.invalidate();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const axis = this.#axis;
    if (!axis || event.ctrlKey || event.altKey || event.metaKey) return;
    const { trace, selection } = this.shown;
    const { key } = event;
    const { lane, index } = trace.has(selection.selected) ? selection.selected
      : /** @type {Item} */ ({ lane: 'chunk', index: -1 });
    const middle = index < 0 ? axis.width / 2
      : Math.max(0, Math.min(axis.width, axis.toPixel(axis.span(lane, index)[0])));
    if (key === 'ArrowRight') this.#select({ lane, index: index + 1 });
    else if (key === 'ArrowLeft') this.#select({ lane, index: index - 1 });
    else if (key === 'Home') this.#select({ lane, index: 0 });
    else if (key === 'End') this.#select({ lane, index: trace.count(lane) - 1 });
    else if (key === 'ArrowDown') this.#change(lane, index, 1);
    else if (key === 'ArrowUp') this.#change(lane, index, -1);
    else if (key === '+') axis.zoom(1 / STEP, middle);
    else if (key === '-') axis.zoom(STEP, middle);
    else if (key === '0') axis.fit();
    else if (key === 'PageDown') axis.pan(axis.width * 0.8);
    else if (key === 'PageUp') axis.pan(-axis.width * 0.8);
    else return;
    event.preventDefault();
    this.invalidate();
  }

  /** To what belongs to the item in the next lane that has something.
   * @param {Lane} lane @param {number} index @param {1 | -1} by */
  #change(lane, index, by) {
    const { trace } = this.shown;
    const related = index < 0 ? null : trace.related({ lane, index });
    for (let i = LANES.indexOf(lane) + by; LANES[i]; i += by) {
      const [first, last] = related?.[LANES[i]] ?? [0, trace.count(LANES[i])];
      if (last > first) {
        this.#select({ lane: LANES[i], index: first });
        return;
      }
    }
  }

  /** @param {Item} item */
  #select(item) {
    const { trace, selection } = this.shown;
    const { lane } = item;
    if (!trace.has(item)) {
      this.say(`no other ${lane} of ${amount(trace.count(lane), lane)}`);
      return;
    }
    selection.select(item);
    this.say(describe(trace, item));
  }
}

customElements.define('lanes-view', LanesView);
