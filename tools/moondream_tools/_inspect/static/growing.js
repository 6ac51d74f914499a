/**
 * A long text that grows, and shrinks when time goes back.
 *
 * 1. It is put together from the parts that events bring. A place of the text leads to its event.
 * 2. It stands in blocks of a few thousand characters, so that a browser lays out one of them anew,
 *    and not a whole text of a megabyte. Blocks end at line ends where there are some.
 */
import { el } from './dom.js';
import { Numbers } from './numbers.js';
import { Size } from './size.js';

const LONG = 2000; // characters of a block, at most
const SHORT = 300; // no line end before it ends a block

/** @typedef {{element: HTMLElement, text: Text, marks: HTMLElement}} Block */

export class GrowingText {
  #text = '';
  #ends = new Numbers(); // of the parts
  #events = new Numbers();
  #starts = new Numbers(); // of the blocks
  /** @type {Block[]} */
  #blocks = [];
  #shown = 0;
  #marked = '';

  #inside = el('div');

  /** @param {HTMLElement} element  scrolls; its style keeps the end in view
   * @param {() => void} invalidate */
  constructor(element, invalidate) {
    this.element = element;
    this.size = new Size(element, invalidate);
    element.append(this.#inside);
    this.#starts.push(0);
  }

  /** Characters of the whole text. */
  get length() { return this.#text.length; }

  /** Add parts at the end. @param {string[]} parts @param {number[]} events */
  add(parts, events) {
    if (!parts.length) return;
    let end = this.#text.length;
    for (let i = 0; i < parts.length; i++) {
      this.#ends.push(end += parts[i].length);
      this.#events.push(events[i]);
    }
    this.#text += parts.join('');
    let start = this.#starts.at(this.#starts.length - 1);
    for (let long = this.#block(start); long; long = this.#block(start)) {
      this.#starts.push(start += long);
    }
  }

  /** The length of the complete block that begins somewhere; 0: it is not complete.
   * @param {number} start */
  #block(start) {
    const text = this.#text.slice(start, start + LONG);
    const line = text.indexOf('\n', SHORT);
    if (line >= 0) return line + 1;
    if (text.length < LONG) return 0;
    const space = text.lastIndexOf(' ') + 1;
    if (space > LONG / 2) return space;
    return /[\ud800-\udbff]/.test(text[LONG - 1]) ? LONG - 1 : LONG;
  }

  /** Show the parts of the first events. @param {number} count  of events */
  show(count) {
    const parts = this.#events.below(count);
    const shown = parts ? this.#ends.at(parts - 1) : 0;
    if (shown === this.#shown) return;
    const first = Math.max(0, this.#starts.upTo(Math.min(shown, this.#shown)) - 1);
    const last = this.#starts.below(shown);
    for (const { element } of this.#blocks.splice(last)) element.remove();
    for (let i = first; i < last; i++) {
      const block = this.#blocks[i] ??= this.#newBlock();
      const end = i + 1 < this.#starts.length ? this.#starts.at(i + 1) : shown;
      const text = this.#text.slice(this.#starts.at(i), Math.min(end, shown));
      if (text !== block.text.data) block.text.data = text;
    }
    this.#shown = shown;
    this.#marked = '';
  }

  /** @returns {Block} */
  #newBlock() {
    const text = document.createTextNode('');
    const marks = el('span', { class: 'marks', 'aria-hidden': 'true' });
    const element = el('div', { class: 'block', dir: 'auto' }, marks, text);
    this.#inside.append(element);
    return { element, text, marks };
  }

  /** The event that brought the character at a place of the screen; null: there is none.
   * @param {number} x @param {number} y @returns {number | null} */
  eventAt(x, y) {
    const place = caretAt(x, y);
    const block = this.#blocks.findIndex(({ text }) => text === place?.node);
    if (!place || block < 0) return null;
    const part = this.#ends.upTo(this.#starts.at(block) + place.offset);
    const last = this.#ends.upTo(this.#shown) - 1;
    return last < 0 ? null : this.#events.at(Math.min(part, last));
  }

  /** Mark the parts of some events, and scroll there if it is asked for.
   * @param {[number, number]} range @param {boolean} scroll */
  mark([from, to], scroll) {
    const [first, last] = [this.#events.below(from), this.#events.below(to)];
    const start = first ? this.#ends.at(first - 1) : 0;
    const end = Math.min(last > first ? this.#ends.at(last - 1) : 0, this.#shown);
    const key = `${start} ${end} ${this.size.width}`;
    if (key === this.#marked) return;
    this.#marked = key;
    for (const { element, marks } of this.#blocks) {
      if (marks.firstChild) marks.replaceChildren();
      element.classList.remove('on');
    }
    if (start >= end) return;
    const firstBlock = this.#starts.upTo(start) - 1;
    for (let i = firstBlock; i < this.#starts.below(end); i++) {
      const block = this.#blocks[i];
      const from = Math.max(0, start - this.#starts.at(i));
      const to = Math.min(end - this.#starts.at(i), block.text.length);
      const isWhole = from === 0 && to === block.text.length; // to find its lines takes long
      block.element.classList.toggle('on', isWhole);
      if (!isWhole) markText(block, from, to);
    }
    const { element, marks } = this.#blocks[firstBlock];
    if (scroll) this.#scrollTo(marks.firstElementChild ?? element);
  }

  /** @param {Element} mark */
  #scrollTo(mark) {
    const { top, bottom } = mark.getBoundingClientRect();
    const view = this.element.getBoundingClientRect();
    if (top < view.top) this.element.scrollTop -= view.top - top + 20;
    if (bottom > view.bottom) this.element.scrollTop += bottom - view.bottom + 20;
  }
}

/** @param {Block} block @param {number} from @param {number} to */
function markText({ element, text, marks }, from, to) {
  const range = document.createRange();
  range.setStart(text, from);
  range.setEnd(text, to);
  const { left, top } = element.getBoundingClientRect();
  for (const rect of range.getClientRects()) {
    const mark = el('span');
    mark.style.setProperty('left', `${rect.left - left}px`);
    mark.style.setProperty('top', `${rect.top - top}px`);
    mark.style.setProperty('width', `${Math.max(rect.width, 2)}px`);
    mark.style.setProperty('height', `${rect.height}px`);
    marks.append(mark);
  }
}

/** The text node and the character at a place of the screen.
 * @param {number} x @param {number} y @returns {{node: Node, offset: number} | null} */
function caretAt(x, y) {
  if ('caretPositionFromPoint' in document) {
    const caret = document.caretPositionFromPoint(x, y);
    return caret && { node: caret.offsetNode, offset: caret.offset };
  }
  // Safari before 18.4
  const range = /** @type {any} */ (document).caretRangeFromPoint(x, y);
  return range && { node: range.startContainer, offset: range.startOffset };
}
