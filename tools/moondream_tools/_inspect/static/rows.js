/**
 * A scrolled list of many rows of one height, of which only those in view are in the document.
 * Browsers limit the height of an element: where the rows are higher, a pixel of scrolling is more
 * than a pixel of rows.
 */
import { el } from './dom.js';

const HIGHEST = 8_000_000; // pixels; browsers have 17 million and more

export class Rows {
  count = 0;
  #top = 0;
  #height = 0;
  #space = 0;
  /** @type {Map<number, {key: string, element: HTMLElement}>} */
  #rows = new Map();
  #window = el('div', { class: 'window' });
  #spacer = el('div', { class: 'spacer' }, this.#window);

  /**
   * @param {HTMLElement} scroller  scrolls; it has a height of its own
   * @param {number} height  of a row, in pixels
   * @param {(index: number) => string} key  when it changes, the row is made anew
   * @param {(index: number) => HTMLElement} make
   * @param {() => void} invalidate  to have `draw` called
   */
  constructor(scroller, height, key, make, invalidate) {
    this.scroller = scroller;
    this.height = height;
    this.key = key;
    this.make = make;
    scroller.append(this.#spacer);
    scroller.addEventListener('scroll', () => {
      this.#top = scroller.scrollTop;
      invalidate();
    }, { passive: true });
  }

  /** Rows that fit into the view. */
  get visible() { return Math.floor(this.#height / this.height); }

  /** Take the size of the view. */
  measure() {
    this.#height = this.scroller.clientHeight;
    this.#top = this.scroller.scrollTop;
  }

  /** Forget all rows. */
  clear() {
    this.#rows.clear();
    this.#window.replaceChildren();
  }

  /** Pixels of rows above the view. */
  get #offset() {
    const room = this.#space - this.#height;
    if (room <= 0) return 0;
    return Math.min(this.#top / room, 1) * (this.count * this.height - this.#height);
  }

  draw() {
    const space = Math.min(this.count * this.height, HIGHEST);
    if (space !== this.#space) {
      this.#space = space;
      this.#spacer.style.setProperty('height', `${space}px`);
    }
    const offset = this.#offset;
    const first = Math.floor(offset / this.height);
    const last = Math.min(this.count, Math.ceil((offset + this.#height) / this.height));
    const place = this.#top - (offset - first * this.height);
    this.#window.style.setProperty('transform', `translateY(${place}px)`);
    for (const [index, { element }] of this.#rows) {
      if (index >= first && index < last) continue;
      element.remove();
      this.#rows.delete(index);
    }
    /** @type {Element | null} */
    let next = this.#window.firstElementChild;
    for (let i = first; i < last; i++) {
      const key = this.key(i);
      const row = this.#rows.get(i);
      if (row?.key === key) {
        next = row.element.nextElementSibling;
        continue;
      }
      const element = this.make(i);
      if (row) row.element.replaceWith(element);
      else this.#window.insertBefore(element, next);
      next = element.nextElementSibling;
      this.#rows.set(i, { key, element });
    }
  }

  /** Scroll so that a row is in view. @param {number} index */
  reveal(index) {
    const offset = this.#offset;
    const top = index * this.height;
    if (top >= offset && top + this.height <= offset + this.#height) return;
    const above = Math.max(0, top - Math.floor(this.#height / 3));
    const hidden = this.count * this.height - this.#height;
    const space = Math.min(this.count * this.height, HIGHEST) - this.#height;
    this.#spacer.style.setProperty('height', `${space + this.#height}px`);
    this.scroller.scrollTop = hidden > 0 ? above / hidden * space : 0;
    this.#top = this.scroller.scrollTop;
  }
}
