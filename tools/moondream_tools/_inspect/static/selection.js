/** @typedef {import('./trace.js').Item} Item */

/** What the user points at. It dispatches `change`. Hovering goes before what was selected. */
export class Selection extends EventTarget {
  /** @type {Item | null} */
  #hovered = null;
  /** @type {Item | null} */
  #selected = null;

  /** @returns {Item | null} */
  get hovered() { return this.#hovered; }
  /** @returns {Item | null} */
  get selected() { return this.#selected; }
  /** @returns {Item | null} */
  get active() { return this.#hovered ?? this.#selected; }

  /** @param {Item | null} item */
  hover(item) {
    if (same(this.#hovered, item)) return;
    this.#hovered = item;
    this.dispatchEvent(new Event('change'));
  }

  /** @param {Item | null} item */
  select(item) {
    if (same(this.#selected, item)) return;
    this.#selected = item;
    this.dispatchEvent(new Event('change'));
  }
}

/** Whether two items are the same one. @param {Item | null} one @param {Item | null} other */
export function same(one, other) {
  return one?.lane === other?.lane && one?.index === other?.index;
}
