/**
 * A row of bytes, as hex and as text. Bytes next to each other that look the same are one element.
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
 * @typedef {{start: number, end: number, name: string}} Run  bytes, and their classes
 */

/** @param {Body} body @param {number} start @param {number} columns @param {number} digits
 * @returns {HTMLElement} */
export function byteRow(body, start, columns, digits) {
  const end = Math.min(start + columns, body.bytes.length);
  const chunks = chunksOf(body, start, end);
  const runs = runsOf(body, start, end, columns, chunks);
  const first = chunks.findIndex((chunk, i) => i && chunk !== chunks[i - 1]);
  const from = start === 0 ? chunks[1] : first < 0 ? null : chunks[first];
  const row = el('div', { class: 'row' },
    el('span', { class: 'offset' }, start.toString(16).padStart(digits, '0')),
    el('span', { class: 'hex' }, ...runs.map((run) => cells(run, 3, hexOf(body, run)))),
    el('span', { class: 'text' }, ...runs.map((run) => cells(run, 1, textOf(body, run)))),
    el('span', { class: 'label' }, ...(from === null ? [] : labelOf(body, from,
      chunks[chunks.length - 1]))));
  row.dataset.start = String(start);
  return row;
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
  let before = '';
  let [character, length] = [startOf(body.bytes, start), 0];
  for (let i = start; i < end; i++) {
    if (i === start || i >= character + length) {
      if (i > start) character = i;
      length = Math.max(1, lengthAt(body.bytes, character));
    }
    const chunk = chunks[i - start + 1];
    const isCut = length > 1 && body.chunkOf(character) !== body.chunkOf(character + length - 1);
    const above = i - columns;
    const name = [
      chunk % 2 ? 'odd' : 'even',
      ...(above >= 0 && body.chunkOf(above) !== chunk ? ['top'] : []),
      ...(i >= body.received ? ['late'] : []),
      ...(i >= body.lit[0] && i < body.lit[1] ? ['lit'] : []),
      ...(isCut ? ['cut'] : []),
    ].join(' ');
    const isStart = i > 0 && chunk !== chunks[i - start];
    const left = isStart ? ' chunk' : body.isRecordStart(i) && i > 0 ? ' record' : '';
    if (left || name !== before || i === start) {
      runs.push({ start: i, end: i + 1, name: name + left });
      before = name;
    } else {
      runs[runs.length - 1].end = i + 1;
    }
  }
  return runs;
}

/** @param {Run} run @param {number} width @param {(Node | string)[]} content */
function cells({ start, end, name }, width, content) {
  const element = el('span', { class: name }, ...content);
  element.style.setProperty('width', `${width * (end - start)}ch`);
  return element;
}

/** @param {Body} body @param {Run} run */
function hexOf({ bytes }, { start, end }) {
  return [Array.from(bytes.subarray(start, end), hex).join(' ')];
}

/** @param {Body} body @param {Run} run @returns {(Node | string)[]} */
function textOf({ bytes }, run) {
  const content = [];
  let text = '';
  for (let i = run.start; i < run.end;) {
    const character = startOf(bytes, i);
    const length = lengthAt(bytes, character);
    const stop = Math.min(character + Math.max(1, length), run.end);
    if (length === 1 && bytes[i] >= 0x20 && bytes[i] < 0x7f) {
      text += String.fromCharCode(bytes[i]);
    } else {
      const symbol = run.name.includes('cut') ? '\u25cc'
        : character < i ? '' : symbolAt(bytes, i, length);
      const cell = el('span', { class: length > 1 ? 'wide' : 'control' }, symbol);
      cell.style.setProperty('width', `${stop - i}ch`);
      content.push(text, cell);
      text = '';
    }
    i = stop;
  }
  return [...content, text];
}

/** @param {Body} body @param {number} first @param {number} last */
function labelOf(body, first, last) {
  const number = first === last ? `${first}` : `${first}–${last}`;
  return [el('b', {}, number), el('span', { class: 'time' }, ` ${body.timeOf(first)}`)];
}
