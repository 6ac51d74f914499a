/**
 * The bytes of the body as hex and as text, with the borders of chunks and records in them. A body
 * of many megabytes scrolls: only the rows in view exist.
 *
 * A byte of the hex side stands for its chunk, one of the text side for its record.
 *
 * The rows of a fast stream all change at once, which nobody can read. So there is a pause.
 */
import { fillRow, newRow } from './byte-row.js';
import { hex, lengthAt, startOf, symbolAt } from './characters.js';
import { el } from './dom.js';
import { Rows } from './rows.js';
import { View } from './view.js';
import { inSeconds } from './words.js';

/** @typedef {import('./byte-row.js').Body} Body */
/** @typedef {import('./trace.js').Item} Item */

const ROW = 22; // pixels, as in the style sheet
const COLUMNS = [32, 16, 8]; // bytes of a row, if there is room for them
const HINT = 'Hex selects a chunk, text a record.';

export class BytesView extends View {
  pause = 50;
  /** Whether the inflated body is shown. */
  #inflated = true;
  #follows = true;
  #columns = 16;
  /** Pixels that the columns are made for. */
  #width = 0;
  #time = -1;
  /** @type {Item | null} */
  #selected = null;
  /** @type {Body | null} */
  #body = null;
  /** @type {Rows | null} */
  #rows = null;
  #scroller = el('div');
  #probe = el('span');
  #readout = el('p');
  #follow = el('button');
  #codings = el('div');
  #empty = el('p');

  open() {
    this.#inflated = true;
    this.#selected = null;
    this.#width = 0;
    this.#time = -1;
    this.#scroller = el('div', { class: 'scroller', tabindex: 0, role: 'group',
      'aria-label': 'Bytes',
      onpointermove: (/** @type {PointerEvent} */ event) => this.#point(event),
      onpointerleave: () => this.shown.selection.hover(null),
      onclick: (/** @type {PointerEvent} */ event) => this.#click(event) });
    this.#rows = new Rows(this.#scroller, ROW, (index) => this.#key(index),
      (index, row = newRow()) => this.#fill(row, index), () => this.invalidate(),
      () => this.#setFollow(false));
    this.#probe = el('span', { class: 'probe', 'aria-hidden': 'true' }, '0'.repeat(20));
    this.#readout = el('p', { class: 'readout' }, HINT);
    this.#follow = el('button', { onclick: () => {
      this.#setFollow(!this.#follows);
      this.#time = -1;
      this.invalidate();
    } }, 'Follow');
    this.#codings = el('div', { class: 'codings', role: 'group', 'aria-label': 'Body' },
      ...['As received', 'Inflated'].map((name, i) => el('button', {
        onclick: () => this.#inflate(i === 1) }, name)));
    this.#empty = el('p', { class: 'empty' }, 'The body is empty.');
    this.append(el('div', { class: 'bar' }, this.#codings, this.#follow), this.#empty,
      this.#scroller, el('p', { class: 'legend' },
        el('span', { class: 'key chunk' }, 'chunk'), el('span', { class: 'key record' }, 'record'),
        el('span', { class: 'key late' }, 'not yet received'),
        el('span', { class: 'key cut' }, 'character cut by a chunk border')),
      this.#readout, this.#probe);
    this.#setFollow(true);
    this.#inflate(true);
  }

  /** @param {boolean} follows */
  #setFollow(follows) {
    this.#follows = follows;
    this.#follow.setAttribute('aria-pressed', String(follows));
  }

  /** @param {boolean} inflated */
  #inflate(inflated) {
    this.#inflated = inflated;
    [...this.#codings.children].forEach((button, i) => {
      button.setAttribute('aria-pressed', String(inflated === (i === 1)));
    });
    this.#selected = null;
    this.#time = -1;
    this.#rows?.clear();
    this.invalidate();
  }

  draw() {
    const { trace, player, selection } = this.shown;
    const rows = this.#rows;
    if (!rows) return;
    this.#codings.hidden = !trace.compressed;
    const body = this.#body = this.#bodyNow();
    this.#empty.hidden = body.bytes.length > 0;
    this.#scroller.hidden = body.bytes.length === 0;
    const top = rows.first * this.#columns;
    const columns = this.#columns;
    this.#measure(rows);
    rows.count = Math.ceil(body.bytes.length / this.#columns);
    if (this.#columns !== columns) {
      rows.scrollTo(Math.floor(top / this.#columns) * ROW);
      if (this.#follows) { // reveal it again
        this.#selected = null;
        this.#time = -1;
      }
    }
    const isNew = selection.selected !== this.#selected && selection.selected !== null;
    this.#selected = selection.selected;
    if (isNew && body.lit[1] > body.lit[0]) {
      rows.reveal(Math.floor(body.lit[0] / this.#columns));
    } else if (this.#follows && player.time !== this.#time) {
      rows.reveal(Math.floor(Math.max(0, body.received - 1) / this.#columns));
    }
    this.#time = player.time;
    rows.draw();
  }

  /** @param {Rows} rows */
  #measure(rows) {
    const { width } = rows.size;
    if (this.#width === width) return;
    this.#width = width;
    const room = width / (this.#probe.offsetWidth / 20 || 8);
    const digits = this.#digits;
    const columns = COLUMNS.find((count) => digits + 4 * count + (count > 8 ? 24 : 8) <= room);
    this.#columns = columns ?? 8;
    this.className = `columns-${this.#columns}`;
    this.#scroller.style.setProperty('--columns', String(this.#columns));
    this.#scroller.style.setProperty('--digits', String(digits));
    rows.clear();
  }

  get #digits() {
    return Math.max(4, (this.#body?.bytes.length ?? 0).toString(16).length);
  }

  /** @returns {Body} */
  #bodyNow() {
    const { trace, player } = this.shown;
    const inflated = this.#inflated || !trace.compressed;
    const chunk = trace.countsAt(player.time).chunk - 1;
    /** @param {number} index */
    const endOf = (index) => {
      const { end = 0, decoded_end: decodedEnd = 0 } = trace.chunks[index] ?? {};
      return inflated ? decodedEnd : end;
    };
    return {
      bytes: inflated ? trace.decoded : trace.body,
      chunkOf: (offset) => (inflated ? trace.chunkOfDecoded(offset) : trace.chunkOf(offset)),
      endOf,
      isRecordStart: (offset) => {
        const record = inflated ? trace.recordOf(offset) : -1;
        return record >= 0 && trace.records[record].start === offset;
      },
      timeOf: (index) => inSeconds(trace.chunks[index].at),
      received: endOf(chunk),
      lit: this.#lit(inflated, endOf),
    };
  }

  /** @param {boolean} inflated @param {(chunk: number) => number} endOf
   * @returns {[number, number]} */
  #lit(inflated, endOf) {
    const { trace, selection } = this.shown;
    const item = selection.active;
    if (!trace.has(item)) return [0, 0];
    if (inflated) return trace.span(item);
    const [first, last] = trace.related(item).chunk;
    return [endOf(first - 1), endOf(last - 1)];
  }

  /** What a row looks like, in short. @param {number} index */
  #key(index) {
    const body = this.#body;
    if (!body) return '';
    const start = index * this.#columns;
    return [body.received, ...body.lit, body.bytes.length]
      .map((offset) => Math.max(0, Math.min(this.#columns, offset - start))).join();
  }

  /** @param {HTMLElement} row @param {number} index */
  #fill(row, index) {
    fillRow(row, /** @type {Body} */ (this.#body), index * this.#columns, this.#columns,
      this.#digits);
    return row;
  }

  /** The byte at a place of the screen, and whether it is on the text side.
   * @param {PointerEvent} event @returns {{offset: number, isText: boolean} | null} */
  #byteAt({ target, clientX }) {
    const side = /** @type {Element} */ (target).closest('.hex, .text');
    const row = /** @type {HTMLElement | null} */ (side?.closest('.row') ?? null);
    if (!side || !row || !this.#body) return null;
    const { left, width } = side.getBoundingClientRect();
    const column = Math.floor((clientX - left) / width * this.#columns);
    const offset = Number(row.dataset.start) + Math.max(0, Math.min(column, this.#columns - 1));
    if (offset >= this.#body.bytes.length) return null;
    return { offset, isText: side.matches('.text') };
  }

  /** @param {{offset: number, isText: boolean} | null} place @returns {Item | null} */
  #itemAt(place) {
    if (!place || !this.#body) return null;
    const record = this.#inflated ? this.shown.trace.recordOf(place.offset) : -1;
    if (place.isText && record >= 0) return { lane: 'record', index: record };
    return { lane: 'chunk', index: this.#body.chunkOf(place.offset) };
  }

  /** @param {PointerEvent} event */
  #point(event) {
    const place = this.#byteAt(event);
    this.shown.selection.hover(this.#itemAt(place));
    const words = place ? this.#describe(place.offset) : HINT;
    if (words !== this.#readout.textContent) this.#readout.textContent = words;
  }

  /** @param {number} offset */
  #describe(offset) {
    const { trace } = this.shown;
    const { bytes, chunkOf, timeOf } = /** @type {Body} */ (this.#body);
    const start = startOf(bytes, offset);
    const length = lengthAt(bytes, start);
    const chunk = chunkOf(offset);
    const record = this.#inflated ? trace.recordOf(offset) : -1;
    const isCut = chunkOf(start) !== chunkOf(start + Math.max(1, length) - 1);
    return `byte ${offset}: ${hex(bytes[offset])} ${symbolAt(bytes, start, length)}${
      isCut ? ', cut by a chunk border' : ''}, chunk ${chunk} at ${timeOf(chunk)}${
      record < 0 ? '' : `, record ${record}`}`;
  }

  /** A click also says which byte it was: `byte`, with the offset and whether it is one of the
   * body as received. @param {PointerEvent} event */
  #click(event) {
    const place = this.#byteAt(event);
    if (!place) return;
    const { selection } = this.shown;
    selection.select(this.#itemAt(place));
    this.#selected = selection.selected; // it is in view
    const received = !this.#inflated || !this.shown.trace.compressed;
    this.dispatchEvent(new CustomEvent('byte', { bubbles: true,
      detail: { offset: place.offset, received } }));
  }
}

customElements.define('bytes-view', BytesView);
