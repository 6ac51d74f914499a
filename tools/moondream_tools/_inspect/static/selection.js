/** What the user points at. It dispatches `change`. Hovering goes before what was selected. */
export class Selection extends EventTarget {
  /** @type {import('./trace.js').Item | null} */
  hovered;
  /** @type {import('./trace.js').Item | null} */
  selected;
  /** @returns {import('./trace.js').Item | null} */
  get active() { return this.hovered ?? this.selected; }
  /** @param {import('./trace.js').Item | null} item */
  hover(item) {}
  /** @param {import('./trace.js').Item | null} item */
  select(item) {}
}
