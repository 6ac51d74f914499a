/**
 * SVG path text that grows. Browsers report an incomplete path as an error on their console, so the
 * page has to know how far the text is valid. It also has to know where each command ends, to find
 * the chunk at a place of the picture, and the place of a chunk.
 *
 * 1. A command is complete with its last number; a further set of numbers is a command of its own.
 * 2. The last number of the text may still grow. It is drawn, and read again with the next text.
 * 3. After the first error nothing more is drawn, as in browsers.
 */
import { firstIndex } from './numbers.js';

/** @type {Record<string, number>} */
const NUMBERS = { M: 2, L: 2, H: 1, V: 1, C: 6, S: 4, Q: 4, T: 2, A: 7, Z: 0 };
const BLANK = /[ \t\n\f\r]*/y;
const SEPARATOR = /[ \t\n\f\r]*,?[ \t\n\f\r]*/y;
const NUMBER = /[+-]?(?:\d*\.\d+(?!\d)|\d+(?![\d.]))(?:[eE][+-]?\d+|(?![eE]))/y;
const FLAG = /[01]/y;
const LARGEST = 3.4e38; // browsers store 32-bit floats

/** Where its text ends, and where it leads.
 * @typedef {{end: number, letter: string, x: number, y: number}} Command */

/** A path that grows by `append`. */
export class GrowingPath {
  text = '';
  /** The complete commands. @type {Command[]} */
  commands = [];
  /** Where the text is no path, in characters; null: nowhere so far. @type {number | null} */
  error = null;
  /** Where the subpath began. @type {[number, number]} */
  #start = [0, 0];

  /** The complete commands in the first characters, as text. @param {number} characters */
  upTo(characters) {
    return this.text.slice(0, this.commands[this.commandAfter(characters) - 1]?.end ?? 0);
  }

  /** @param {string} text */
  append(text) {
    const rest = this.text.slice(this.commands.at(-1)?.end ?? 0);
    this.text += text;
    if (this.error !== null) return;
    if (/^[.eE+-]{0,2}$/.test(rest)) this.commands.pop();
    while (this.#readCommand());
  }

  /** The first command that ends after a place of the text. @param {number} position */
  commandAfter(position) {
    return firstIndex(this.commands.length, (i) => this.commands[i].end > position);
  }

  /**
   * The part of the path that a part of the text draws, as a path of its own.
   * @param {number} from @param {number} to  characters
   */
  part(from, to) {
    const first = this.commandAfter(from);
    const last = this.commandAfter(to - 1);
    const { end, x, y } = this.commands[first - 1] ?? { end: 0, x: 0, y: 0 };
    const stop = this.commands[Math.min(last, this.commands.length - 1)]?.end ?? 0;
    if (first >= this.commands.length) return '';
    const text = this.text.slice(end, stop);
    const letter = this.commands[first].letter;
    const repeats = !/^[ \t\n\f\r]*[a-z]/i.test(text);
    return `M${x} ${y}${repeats ? letter : ''}${text}`;
  }

  #readCommand() {
    const before = this.commands.at(-1);
    let at = this.#match(BLANK, before?.end ?? 0);
    const next = this.text[at];
    if (next === undefined) return false;
    let letter = before?.letter ?? '';
    if (/[a-z]/i.test(next)) {
      letter = next;
      at = this.#match(BLANK, at + 1);
    } else {
      if (letter === 'M') letter = 'L';
      if (letter === 'm') letter = 'l';
      if (before) at = this.#match(SEPARATOR, before.end);
    }
    const kind = letter.toUpperCase();
    if (!(kind in NUMBERS) || (!before && kind !== 'M') || (kind === 'Z' && next !== letter)) {
      return this.#fail(at);
    }
    const numbers = [];
    let end = at;
    for (let i = 0; i < NUMBERS[kind]; i++) {
      if (i) at = this.#match(SEPARATOR, at);
      end = this.#match(kind === 'A' && (i === 3 || i === 4) ? FLAG : NUMBER, at);
      const number = Number(this.text.slice(at, end));
      if (end === at || Math.abs(number) > LARGEST) return this.#fail(at);
      numbers.push(number);
      at = end;
    }
    this.#add(kind === 'Z' ? at : end, letter, numbers);
    return true;
  }

  /** @param {number} end @param {string} letter @param {number[]} numbers */
  #add(end, letter, numbers) {
    const { x, y } = this.commands.at(-1) ?? { x: 0, y: 0 };
    const kind = letter.toUpperCase();
    const [dx, dy] = letter === kind ? [0, 0] : [x, y];
    let place = [(numbers.at(-2) ?? 0) + dx, (numbers.at(-1) ?? 0) + dy];
    if (kind === 'H') place = [place[1] - dy + dx, y];
    if (kind === 'V') place = [x, place[1]];
    if (kind === 'Z') place = this.#start;
    if (kind === 'M') this.#start = [place[0], place[1]];
    this.commands.push({ end, letter, x: place[0], y: place[1] });
  }

  /** An incomplete command at the end of the text is no error yet. @param {number} at */
  #fail(at) {
    if (!/^[+\-\d.eE]*$/.test(this.text.slice(at, at + 400))) this.error = at;
    return false;
  }

  /** @param {RegExp} pattern @param {number} at */
  #match(pattern, at) {
    pattern.lastIndex = at;
    return pattern.test(this.text) ? pattern.lastIndex : at;
  }
}
