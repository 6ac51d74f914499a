/**
 * What is drawn on a picture: boxes, points and their numbers. Places are fractions of the picture,
 * and become CSS pixels here, so that lines and labels have the same size on every picture.
 */
import { svg } from './dom.js';

/** @typedef {{x_min: number, y_min: number, x_max: number, y_max: number}} Box */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Rect */

const FAR = 1e6; // in widths of the picture: what is beyond it is nonsense
const HEIGHT = 18; // of a label, in pixels
/** The most marks that are drawn: with more nobody sees anything, and the page becomes slow. */
export const MOST = 1000;

/** @param {any} box @returns {box is Box} */
export function isBox(box) {
  return !!box && [box.x_min, box.y_min, box.x_max, box.y_max].every(isNear);
}

/** @param {any} point @returns {point is Point} */
export function isPoint(point) {
  return !!point && isNear(point.x) && isNear(point.y);
}

/** @param {any} number */
function isNear(number) {
  return typeof number === 'number' && Math.abs(number) <= FAR;
}

/**
 * A rectangle: a dark line below a bright one, so that it shows on any picture.
 * @param {Box} box @param {number} width @param {number} height @param {string} name
 */
export function drawBox(box, width, height, name) {
  const place = {
    x: Math.min(box.x_min, box.x_max) * width,
    y: Math.min(box.y_min, box.y_max) * height,
    width: Math.abs(box.x_max - box.x_min) * width,
    height: Math.abs(box.y_max - box.y_min) * height,
  };
  return svg('g', { class: name }, svg('rect', { ...place, class: 'halo' }), svg('rect', place));
}

/** Whether a place is on the border of a box, in pixels.
 * @param {Box} box @param {number} x @param {number} y @param {number} width
 * @param {number} height */
export function isOnEdge(box, x, y, width, height) {
  const [left, right] = [box.x_min * width, box.x_max * width];
  const [top, bottom] = [box.y_min * height, box.y_max * height];
  const inside = x > left - 5 && x < right + 5 && y > top - 5 && y < bottom + 5;
  return inside && !(x > left + 5 && x < right - 5 && y > top + 5 && y < bottom - 5);
}

/** @param {Point} point @param {number} width @param {number} height */
export function drawPoint(point, width, height) {
  const place = { cx: point.x * width, cy: point.y * height };
  return svg('g', { class: 'point' }, svg('circle', { ...place, r: 6, class: 'halo' }),
    svg('circle', { ...place, r: 6 }), svg('circle', { ...place, r: 2.5, class: 'dot' }));
}

/** Numbers beside marks, where no other number is. */
export class Labels {
  /** @type {Rect[]} */
  #taken = [];

  /** @param {number} width @param {number} height  of the picture */
  constructor(width, height) {
    this.width = width;
    this.height = height;
  }

  /** Put no label on a mark. @param {number} x @param {number} y */
  keepFree(x, y) {
    this.#taken.push({ left: x - 5, top: y - 5, right: x + 5, bottom: y + 5 });
  }

  /** A number beside a mark, with a line to it unless it is at its corner.
   * @param {string} text @param {number} x @param {number} y @param {number} distance */
  draw(text, x, y, distance) {
    const width = 10 + 7 * text.length;
    const rects = [0, 18, 36].flatMap((more) => this.#around(x, y, width, distance + more));
    const free = rects.findIndex((rect) => !this.#taken.some((other) => overlap(rect, other)));
    const rect = rects[Math.max(0, free)];
    this.#taken.push(rect);
    const { left, top } = rect;
    const middle = left + width / 2;
    return svg('g', { class: 'label' },
      distance > 0 && svg('line', { x1: x, y1: y, x2: middle, y2: top + HEIGHT / 2 }),
      svg('rect', { x: left, y: top, width, height: HEIGHT, rx: 4 }),
      svg('text', { x: middle, y: top + 13 }, text));
  }

  /** Places around a mark. @param {number} x @param {number} y @param {number} width
   * @param {number} distance @returns {Rect[]} */
  #around(x, y, width, distance) {
    const [right, below] = [x + distance, y + distance];
    const [left, above] = [x - distance - width, y - distance - HEIGHT];
    const [center, middle] = [x - width / 2, y - HEIGHT / 2];
    return [[right, above], [right, below], [left, above], [left, below], [center, above],
      [center, below], [right, middle], [left, middle]].map((at) => this.#inside(at, width));
  }

  /** @param {number[]} place @param {number} width @returns {Rect} */
  #inside([x, y], width) {
    const left = Math.max(0, Math.min(this.width - width, x));
    const top = Math.max(0, Math.min(this.height - HEIGHT, y));
    return { left, top, right: left + width, bottom: top + HEIGHT };
  }
}

/** @param {Rect} one @param {Rect} other */
function overlap(one, other) {
  const apart = one.right <= other.left || other.right <= one.left;
  return !apart && one.top < other.bottom && other.top < one.bottom;
}
