/**
 * The axis that the lanes share: from a time, or from a byte of the body, to a pixel.
 *
 * 1. By time an item is at its moment. By bytes it is as long as its bytes are.
 * 2. The axis shows a part of its domain. `fit` shows all of it.
 * 3. Items that are closer than a pixel are drawn as one bundle.
 */
import { firstIndex } from './numbers.js';

/** @typedef {import('./trace.js').Lane} Lane */
/** @typedef {import('./trace.js').Trace} Trace */
/** @typedef {'time' | 'bytes'} Unit */
/** Items first to before last, from pixel x to pixel end. By time they have no length.
 * @typedef {{first: number, last: number, x: number, end: number}} Bundle */

const CLOSEST = 1e-6; // seconds over the whole width
const LEAST = 2; // pixels between two items that are drawn apart
const EDGE = 8; // pixels beside the axis, so that its ends are seen

export class Axis {
  /** @type {Unit} */
  unit = 'time';
  /** What is visible: seconds, or bytes. */
  from = 0;
  to = 1;
  /** Whether all of the domain is visible. It stays so when the domain grows, with `fit`. */
  isFit = true;
  /** Pixels. */
  width = 1;

  /** @param {Trace} trace */
  constructor(trace) {
    this.trace = trace;
    this.fit();
  }

  /** The end of the domain. */
  get end() {
    const { trace } = this;
    return (this.unit === 'time' ? trace.end : trace.decoded.length) || 1;
  }

  fit() {
    this.from = 0;
    this.to = this.end;
    this.isFit = true;
  }

  /** @param {number} value @returns {number} */
  toPixel(value) { return EDGE + (value - this.from) / this.#scale; }

  /** @param {number} pixel @returns {number} */
  toValue(pixel) { return this.from + (pixel - EDGE) * this.#scale; }

  /** Of a pixel. */
  get #scale() { return (this.to - this.from) / Math.max(1, this.width - 2 * EDGE); }

  /** Make the visible part longer or shorter, with a pixel in place.
   * @param {number} factor  less than 1: shorter @param {number} pixel */
  zoom(factor, pixel) {
    const fixed = this.toValue(pixel);
    const least = this.unit === 'time' ? CLOSEST : 8;
    const length = Math.min(Math.max((this.to - this.from) * factor, least), this.end);
    const share = (fixed - this.from) / (this.to - this.from);
    this.#move(fixed - share * length, length);
  }

  /** @param {number} pixels */
  pan(pixels) {
    this.#move(this.from + pixels * this.#scale, this.to - this.from);
  }

  /** Make a part visible. @param {number} from @param {number} to */
  reveal(from, to) {
    const length = this.to - this.from;
    if (from >= this.from && to <= this.to) return;
    this.#move((from + to) / 2 - length / 2, length);
  }

  /** @param {number} from @param {number} length */
  #move(from, length) {
    this.from = Math.max(0, Math.min(from, this.end - length));
    this.to = Math.min(this.from + length, this.end);
    this.isFit = this.from === 0 && this.to === this.end;
  }

  /** Where an item begins and ends. @param {Lane} lane @param {number} index
   * @returns {[number, number]} */
  span(lane, index) {
    const { trace } = this;
    if (this.unit === 'time') {
      const at = trace.timeOf({ lane, index });
      return [at, at];
    }
    if (lane === 'event' && trace.events[index].record === null && trace.records.length) {
      const { chunk } = trace.events[index]; // the end of the body completed it
      const end = chunk === null ? trace.decoded.length : trace.chunks[chunk].decoded_end;
      return [end, end];
    }
    return trace.span({ lane, index });
  }

  /** The first item that ends at a value or after it. @param {Lane} lane @param {number} value */
  firstAt(lane, value) {
    return firstIndex(this.trace.count(lane), (i) => this.span(lane, i)[1] >= value);
  }

  /** What is visible of a lane. @param {Lane} lane @returns {Bundle[]} */
  bundles(lane) {
    /** @type {Bundle[]} */
    const bundles = [];
    const count = this.trace.count(lane);
    let first = Math.max(0, this.firstAt(lane, this.from) - 1);
    while (first < count) {
      const from = this.span(lane, first)[0];
      if (from > this.to) break;
      const x = this.toPixel(from);
      const last = Math.max(first + 1, this.firstAt(lane, this.toValue(x + LEAST)));
      bundles.push({ first, last, x, end: this.toPixel(this.span(lane, last - 1)[1]) });
      first = last;
    }
    return bundles;
  }

  /** The item that is nearest to a pixel, if one is near. @param {Lane} lane @param {number} pixel
   * @param {number} reach  pixels @returns {number | null} */
  itemAt(lane, pixel, reach) {
    const value = this.toValue(pixel);
    const after = this.firstAt(lane, value);
    let [best, least] = [/** @type {number | null} */ (null), reach];
    for (let i = Math.max(0, after - 1); i <= after && i < this.trace.count(lane); i++) {
      const [from, to] = this.span(lane, i).map((edge) => this.toPixel(edge));
      const far = pixel < from ? from - pixel : Math.max(0, pixel - to);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  /** Round values to write on the axis. @returns {number[]} */
  get ticks() {
    const rough = (this.to - this.from) * 90 / this.width;
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? power;
    if (this.unit === 'bytes') step = Math.max(1, step);
    const ticks = [];
    for (let i = Math.ceil(this.from / step); i * step <= this.to; i++) ticks.push(i * step);
    return ticks;
  }
}
