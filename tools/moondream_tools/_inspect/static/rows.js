/**
 * A scrolled list of many rows of one height, of which only those in view are in the document.
 * Each element shows another row when the list scrolls.
 *
 * 1. `offset` says which rows are in view, in pixels. The scroll bar follows it, and after the
 *    frame: to set it earlier would have the browser lay out the page within the frame.
 * 2. Browsers limit the height of an element. Where the rows are higher, a pixel of the scroll bar
 *    is more than a pixel of rows.
 */
import { el } from './dom.js';
import { Size } from './size.js';

const HIGHEST = 8_000_000; // pixels; browsers have 17 million and more

export class Rows {
  count = 0;
  #offset = 0;
  #space = 0;
  /** Where we have put the scroll bar. */
  #scrolled = 0;
  #timer = 0;
  /** @type {{key: string, element: HTMLElement}[]} */
  #rows = [];
  #list = el('div', { role: 'none' });
  #window = el('div', { class: 'window', role: 'none' }, this.#list);
  #spacer = el('div', { class: 'spacer', role: 'none' }, this.#window);

  /**
   * @param {HTMLElement} scroller  it has a height of its own
   * @param {number} height  of a row, in pixels
   * @param {(index: number) => string} key  when it changes, the row is made anew
   * @param {(index: number, old?: HTMLElement) => HTMLElement} make  it may change the old element
   * @param {() => void} invalidate  to have `draw` called
   * @param {() => void} scrolled  called when the user has scrolled
   */
  constructor(scroller, height, key, make, invalidate, scrolled = () => {}) {
    this.height = height;
    this.key = key;
    this.make = make;
    this.scroller = scroller;
    this.size = new Size(scroller, invalidate);
    scroller.append(this.#spacer);
    scroller.addEventListener('scroll', () => {
      const { scrollTop } = scroller;
      if (Math.abs(scrollTop - this.#scrolled) < 2) return;
      this.#scrolled = scrollTop;
      const room = this.#space - this.size.height;
      this.#offset = room > 0 ? Math.min(1, scrollTop / room) * this.#last : 0;
      scrolled();
      invalidate();
    }, { passive: true });
  }

  /** Rows that fit into the view. */
  get visible() { return Math.floor(this.size.height / this.height); }

  /** The offset at the end. */
  get #last() { return Math.max(0, this.count * this.height - this.size.height); }

  /** Forget all rows. */
  clear() {
    this.#rows = [];
    this.#list.replaceChildren();
  }

  /** The first row in view. */
  get first() { return Math.floor(this.#offset / this.height); }

  /** Have a row in view. @param {number} index */
  reveal(index) {
    const top = index * this.height;
    if (top >= this.#offset && top + this.height <= this.#offset + this.size.height) return;
    this.scrollTo(top - Math.floor(this.size.height / 3));
  }

  /** @param {number} offset  in pixels of the rows */
  scrollTo(offset) {
    this.#offset = Math.max(0, Math.min(offset, this.#last));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const room = this.#space - this.size.height;
      this.scroller.scrollTop = this.#last ? this.#offset / this.#last * room : 0;
      this.#scrolled = this.scroller.scrollTop;
    });
  }

  draw() {
    const { height, count } = this;
    const space = Math.min(count * height, HIGHEST);
    if (space !== this.#space) {
      this.#space = space;
      this.#spacer.style.setProperty('height', `${space}px`);
    }
    this.#offset = Math.min(this.#offset, this.#last);
    const { first } = this;
    const last = Math.min(count, Math.ceil((this.#offset + this.size.height) / height));
    this.#window.style.setProperty('height', `${Math.min(this.size.height, space)}px`);
    this.#list.style.setProperty('transform', `translateY(${first * height - this.#offset}px)`);
    for (const { element } of this.#rows.splice(Math.max(0, last - first))) element.remove();
    for (let i = first; i < last; i++) {
      const key = `${i} ${this.key(i)}`;
      const old = this.#rows[i - first];
      if (old?.key === key) continue;
      const element = this.make(i, old?.element);
      if (!old) this.#list.append(element);
      else if (old.element !== element) old.element.replaceWith(element);
      this.#rows[i - first] = { key, element };
    }
  }
}
