/**
 * A row of bytes, as hex and as text. Bytes next to each other that look the same are one element.
 *
 * While time goes on, all rows get other bytes again and again. So the elements stay, and get other
 * texts and classes: to make them anew, the browser would often stop to collect garbage.
 */
import { hex, lengthAt, startOf, symbolAt } from './characters.js';
import { el } from './dom.js';

/**
 * What a row has to know.
 * @typedef {object} Body
 * @property {Uint8Array} bytes
 * @property {(offset: number) => number} chunkOf
 * @property {(chunk: number) => number} endOf  of a chunk
 * @property {(offset: number) => boolean} isRecordStart
 * @property {(chunk: number) => string} timeOf  a chunk
 * @property {number} received  bytes that are there at the moment
 * @property {[number, number]} lit  bytes that the user points at
 *
 * @typedef {{start: number, end: number, name: string, left: string}} Run  bytes, their classes,
 *   and the one of their border
 * @typedef {[name: string, text: string]} Cell  an element: its classes, and what it shows
 */

/** The classes of a byte: one a bit. */
const LOOKS = ['odd', 'top', 'late', 'lit', 'cut'];

/** An empty row. */
export function newRow() {
  return el('div', { class: 'row' },
    ...['offset', 'hex', 'text', 'label'].map((name) => el('span', { class: name })));
}

/** Show bytes in a row. @param {HTMLElement} row @param {Body} body @param {number} start
 * @param {number} columns @param {number} digits */
export function fillRow(row, body, start, columns, digits) {
  const end = Math.min(start + columns, body.bytes.length);
  const chunks = chunksOf(body, start, end);
  const runs = runsOf(body, start, end, columns, chunks);
  const first = chunks.findIndex((chunk, i) => i && chunk !== chunks[i - 1]);
  const from = start === 0 ? chunks[1] : first < 0 ? null : chunks[first];
  const [offset, hexes, texts, label] = row.children;
  show(offset, [['', start.toString(16).padStart(digits, '0')]]);
  show(hexes, runs.map((run) => hexOf(body, run)));
  show(texts, runs.flatMap((run) => textOf(body, run)));
  show(label, from === null ? [] : labelOf(body, from, chunks[chunks.length - 1]));
  row.setAttribute('data-start', String(start));
}

/** @param {Element} parent @param {Cell[]} cells */
function show(parent, cells) {
  cells.forEach(([name, text], i) => {
    const element = parent.children[i] ?? parent.appendChild(el('span', {}, ' '));
    if (element.className !== name) element.className = name;
    /** @type {Text} */ (element.firstChild).data = text;
  });
  while (parent.children.length > cells.length) parent.lastElementChild?.remove();
}

/** The chunk of the byte before a row, and of each of its bytes.
 * @param {Body} body @param {number} start @param {number} end */
function chunksOf(body, start, end) {
  const chunks = [start ? body.chunkOf(start - 1) : -1];
  let chunk = body.chunkOf(start);
  for (let i = start; i < end; i++) {
    if (i >= body.endOf(chunk)) chunk = body.chunkOf(i);
    chunks.push(chunk);
  }
  return chunks;
}

/** @param {Body} body @param {number} start @param {number} end @param {number} columns
 * @param {number[]} chunks @returns {Run[]} */
function runsOf(body, start, end, columns, chunks) {
  /** @type {Run[]} */
  const runs = [];
  let before = -1;
  let [character, length] = [startOf(body.bytes, start), 0];
  for (let i = start; i < end; i++) {
    if (i === start || i >= character + length) {
      if (i > start) character = i;
      length = Math.max(1, lengthAt(body.bytes, character));
    }
    const chunk = chunks[i - start + 1];
    const isCut = length > 1 && body.chunkOf(character) !== body.chunkOf(character + length - 1);
    const above = i - columns;
    const look = chunk % 2
      + (above >= 0 && body.chunkOf(above) !== chunk ? 2 : 0)
      + (i >= body.received ? 4 : 0)
      + (i >= body.lit[0] && i < body.lit[1] ? 8 : 0)
      + (isCut ? 16 : 0);
    const isStart = i > 0 && chunk !== chunks[i - start];
    const left = isStart ? ' chunk' : body.isRecordStart(i) && i > 0 ? ' record' : '';
    if (left || look !== before) {
      const names = LOOKS.filter((_, bit) => look >> bit & 1);
      runs.push({ start: i, end: i + 1, name: names.join(' '), left });
      before = look;
    } else {
      runs[runs.length - 1].end = i + 1;
    }
  }
  return runs;
}

/** @param {Body} body @param {Run} run @returns {Cell} */
function hexOf({ bytes }, { start, end, name, left }) {
  let text = hex(bytes[start]);
  for (let i = start + 1; i < end; i++) text += ` ${hex(bytes[i])}`;
  return [name + left, text];
}

/** @param {Body} body @param {Run} run @returns {Cell[]} */
function textOf({ bytes }, { start, end, name, left }) {
  /** @type {Cell[]} */
  const cells = [];
  let isPlain = false;
  for (let i = start; i < end;) {
    const character = startOf(bytes, i);
    const length = lengthAt(bytes, character);
    const stop = Math.min(character + Math.max(1, length), end);
    const wasPlain = isPlain;
    isPlain = length === 1 && bytes[i] >= 0x20 && bytes[i] < 0x7f;
    const symbol = isPlain ? String.fromCharCode(bytes[i]) : name.includes('cut') ? '\u25cc'
      : character < i ? '' : symbolAt(bytes, i, length);
    if (isPlain && wasPlain) cells[cells.length - 1][1] += symbol;
    else {
      const kind = isPlain ? '' : length > 1 ? ` wide w${stop - i}` : ' control';
      cells.push([name + kind, symbol]);
    }
    i = stop;
  }
  cells[0][0] += left;
  return cells;
}

/** @param {Body} body @param {number} first @param {number} last @returns {Cell[]} */
function labelOf(body, first, last) {
  const number = first === last ? `${first}` : `${first}–${last}`;
  return [['number', number], ['time', ` ${body.timeOf(first)}`]];
}
