/**
 * The drawing of the lanes.
 *
 * All items are drawn once on a canvas of their own, and again only when the axis, the size, the
 * colours or the trace change. A frame copies it, pale where the moment has not come to, and draws
 * on top of it the moment and what the user points at.
 */
import { LANES } from './trace.js';
import { inBytes, inSeconds, shortened } from './words.js';

/** @typedef {import('./axis.js').Axis} Axis */
/** @typedef {import('./axis.js').Bundle} Bundle */
/** @typedef {import('./trace.js').Item} Item */
/** @typedef {import('./trace.js').Lane} Lane */
/** @typedef {import('./trace.js').Related} Related */

export const RULER = 24; // pixels
export const ROW = 36;
export const HEIGHT = RULER + LANES.length * ROW;
const BAR = 22; // height of an item
const THIN = 3; // width of an item that has no length
const MOST = 400; // items that are lit one by one
const COLORS = ['surface', 'line', 'text', 'muted', 'bad', 'select', 'on-select', 'raised',
  ...LANES, ...LANES.map((lane) => `${lane}-soft`)];

/** The lane at a height of the drawing. @param {number} y @returns {Lane | null} */
export function laneAt(y) {
  return LANES[Math.floor((y - RULER) / ROW)] ?? null;
}

/** @param {Lane} lane */
function topOf(lane) {
  return RULER + LANES.indexOf(lane) * ROW + (ROW - BAR) / 2;
}

export class LaneDrawing {
  #items = document.createElement('canvas');
  #drawn = '';
  /** @type {{[name: string]: string}} */
  #colors = {};
  #font = '';

  /** @param {HTMLCanvasElement} canvas @param {Axis} axis */
  constructor(canvas, axis) {
    this.canvas = canvas;
    this.axis = axis;
  }

  /** Take the colours of the page, as they are now. */
  takeColors() {
    const style = getComputedStyle(this.canvas);
    for (const name of COLORS) this.#colors[name] = style.getPropertyValue(`--${name}`).trim();
    this.#font = `11px ${style.fontFamily}`;
    this.#drawn = '';
  }

  /**
   * @param {number} moment  on the axis
   * @param {Item | null} active
   * @param {boolean} isSelected  and not only hovered
   */
  draw(moment, active, isSelected) {
    const { canvas, axis } = this;
    const ratio = devicePixelRatio;
    const size = [Math.round(axis.width * ratio), Math.round(HEIGHT * ratio)];
    const { trace } = axis;
    const key = [axis.unit, axis.from, axis.to, size, trace.end, trace.decoded.length,
      trace.events.length].join();
    if (key !== this.#drawn) {
      this.#drawn = key;
      for (const one of [canvas, this.#items]) [one.width, one.height] = size;
      this.#drawItems(pen(this.#items, ratio, this.#font));
    }
    const on = pen(canvas, ratio, active === null ? '' : this.#font);
    on.clearRect(0, 0, axis.width, HEIGHT);
    const now = Math.min(Math.max(axis.toPixel(moment), 0), axis.width);
    this.#copy(on, 0, now, ratio);
    on.globalAlpha = 0.4;
    this.#copy(on, now, axis.width, ratio);
    on.globalAlpha = 1;
    if (active !== null) this.#drawLit(on, active, trace.related(active), isSelected);
    this.#drawMoment(on, axis.toPixel(moment));
  }

  /** @param {CanvasRenderingContext2D} on @param {number} from @param {number} to
   * @param {number} ratio */
  #copy(on, from, to, ratio) {
    if (to - from < 0.5) return;
    const height = this.#items.height;
    on.drawImage(this.#items, from * ratio, 0, (to - from) * ratio, height, from, 0, to - from,
      height / ratio);
  }

  /** @param {CanvasRenderingContext2D} on */
  #drawItems(on) {
    const { axis } = this;
    this.#drawRuler(on);
    for (const lane of LANES) {
      const bundles = axis.bundles(lane);
      const top = topOf(lane);
      bundles.forEach((bundle, i) => {
        const room = (bundles[i + 1]?.x ?? axis.width) - bundle.x;
        if (axis.unit === 'time') this.#drawInstant(on, lane, bundle, top, room);
        else this.#drawBlock(on, lane, bundle, top);
      });
      if (axis.unit === 'time' && lane === 'chunk') this.#drawGaps(on, bundles, top);
    }
  }

  /** @param {CanvasRenderingContext2D} on */
  #drawRuler(on) {
    const { axis } = this;
    const colors = this.#colors;
    const isTime = axis.unit === 'time';
    on.fillStyle = colors.line;
    for (const lane of LANES) on.fillRect(0, topOf(lane) - (ROW - BAR) / 2, axis.width, 1);
    for (const tick of axis.ticks) {
      const x = Math.round(axis.toPixel(tick));
      on.fillStyle = colors.line;
      on.fillRect(x, RULER - 6, 1, HEIGHT);
      on.fillStyle = colors.muted;
      const text = isTime ? inSeconds(tick) : inBytes(tick);
      on.fillText(text, Math.min(x + 4, axis.width - on.measureText(text).width), RULER / 2);
    }
    const { ending, error } = axis.trace;
    if (!isTime || ending === null) return;
    on.fillStyle = error ? colors.bad : colors.muted;
    on.fillRect(Math.round(axis.toPixel(ending.at)) - (error ? 2 : 1), RULER - 6, error ? 2 : 1,
      HEIGHT);
  }

  /** @param {CanvasRenderingContext2D} on @param {Lane} lane @param {Bundle} bundle
   * @param {number} top @param {number} room  pixels up to the next one */
  #drawInstant(on, lane, { first, last, x, end }, top, room) {
    const many = last - first > 1;
    on.fillStyle = this.#colors[lane];
    const width = Math.max(THIN, end - x);
    on.fillRect(x, top + (many ? 0 : 3), width, BAR - (many ? 0 : 6));
    if (many) this.#write(on, `× ${last - first}`, x + width + 4, top, room - width - 8);
    else if (lane !== 'chunk') this.#write(on, this.#label(lane, first), x + 7, top, room - 11);
  }

  /** @param {CanvasRenderingContext2D} on @param {Lane} lane @param {Bundle} bundle
   * @param {number} top */
  #drawBlock(on, lane, { first, last, x, end }, top) {
    const width = Math.max(end - x, 1);
    const many = last - first > 1;
    on.fillStyle = this.#colors[many ? lane : `${lane}-soft`];
    on.fillRect(x, top, width, BAR);
    on.fillStyle = this.#colors[lane];
    on.fillRect(x, top, Math.min(2, width), BAR);
    if (!many) this.#writeInside(on, lane, first, x, end);
  }

  /** @param {CanvasRenderingContext2D} on @param {Lane} lane @param {number} index
   * @param {number} x @param {number} end @param {string} [color] */
  #writeInside(on, lane, index, x, end, color) {
    const left = Math.max(x, 0) + 6;
    const room = Math.min(end, this.axis.width) - left - 2;
    this.#write(on, this.#label(lane, index), left, topOf(lane), room, color);
  }

  /** How long nothing came. @param {CanvasRenderingContext2D} on @param {Bundle[]} bundles
   * @param {number} top */
  #drawGaps(on, bundles, top) {
    const { axis } = this;
    const y = top + BAR / 2;
    on.textAlign = 'center';
    for (let i = 1; i < bundles.length; i++) {
      const from = Math.max(bundles[i - 1].end + THIN + 3, 0);
      const to = Math.min(bundles[i].x - 3, axis.width);
      const seconds = axis.span('chunk', bundles[i].first)[0]
        - axis.span('chunk', bundles[i - 1].last - 1)[0];
      const text = inSeconds(seconds);
      const width = on.measureText(text).width;
      if (to - from < width + 24) continue;
      on.fillStyle = this.#colors.muted;
      const middle = (from + to) / 2;
      on.fillText(text, middle, y);
      for (const [x, end] of [[from, middle - width / 2 - 4], [middle + width / 2 + 4, to]]) {
        on.fillRect(x, Math.round(y), end - x, 1);
      }
      on.fillRect(from, y - 3, 1, 7);
      on.fillRect(to - 1, y - 3, 1, 7);
    }
    on.textAlign = 'start';
  }

  /** Write a text where there is room for it. @param {CanvasRenderingContext2D} on
   * @param {string} text @param {number} x @param {number} top @param {number} room
   * @param {string} color */
  #write(on, text, x, top, room, color = this.#colors.text) {
    if (room < 14 || !text) return;
    const most = Math.floor(room / 5);
    let shown = shortened(text, most);
    while (shown.length > 1 && on.measureText(shown).width > room) {
      shown = `${shown.slice(0, -2)}…`;
    }
    if (shown === '…') return;
    on.fillStyle = color;
    on.fillText(shown, x, top + BAR / 2);
  }

  /** @param {Lane} lane @param {number} index @returns {string} */
  #label(lane, index) {
    const { trace } = this.axis;
    if (lane === 'event') {
      const { value } = trace.events[index];
      const text = value.text ?? value.data;
      return typeof text === 'string' ? visible(text) : value.kind;
    }
    if (lane === 'message') return visible(brief(trace.messages[index].value));
    const name = lane === 'record' ? trace.records[index].event : '';
    return name ? visible(name) : String(index);
  }

  /** @param {CanvasRenderingContext2D} on @param {Item} active @param {Related} related
   * @param {boolean} isSelected */
  #drawLit(on, active, related, isSelected) {
    const colors = this.#colors;
    /** @type {[number, number] | null} */
    let above = null;
    for (const lane of LANES) {
      const [first, last] = related[lane];
      if (first >= last) continue;
      const top = topOf(lane);
      const [x] = this.#place(lane, first);
      const [, end] = this.#place(lane, last - 1);
      if (above) {
        on.fillStyle = colors.select;
        on.globalAlpha = 0.45;
        on.beginPath();
        on.moveTo(above[0], top - (ROW - BAR));
        on.lineTo(above[1], top - (ROW - BAR));
        on.lineTo(end, top);
        on.lineTo(x, top);
        on.fill();
        on.globalAlpha = 1;
      }
      above = [x, end];
      const whole = last - first > MOST;
      for (let i = first; i < (whole ? first + 1 : last); i++) {
        const [left, right] = whole ? above : this.#place(lane, i);
        on.fillStyle = colors.select;
        on.fillRect(left, top - 1, right - left, BAR + 2);
        on.strokeStyle = colors.text;
        const isActive = lane === active.lane && i === active.index;
        on.lineWidth = isActive && isSelected ? 2 : 1;
        on.strokeRect(left - 0.5, top - 1.5, right - left + 1, BAR + 3);
        if (!whole) this.#writeInside(on, lane, i, left, right, colors['on-select']);
      }
    }
  }

  /** @param {Lane} lane @param {number} index @returns {[number, number]} */
  #place(lane, index) {
    const [from, to] = this.axis.span(lane, index);
    const x = this.axis.toPixel(from);
    return [x, Math.max(this.axis.toPixel(to), x + THIN)];
  }

  /** @param {CanvasRenderingContext2D} on @param {number} x */
  #drawMoment(on, x) {
    on.fillStyle = this.#colors.text;
    on.fillRect(Math.round(x) - 1, 6, 2, HEIGHT);
    on.beginPath();
    on.moveTo(x - 6, 1);
    on.lineTo(x + 6, 1);
    on.lineTo(x + 6, 7);
    on.lineTo(x, 13);
    on.lineTo(x - 6, 7);
    on.fill();
  }
}

/** @param {HTMLCanvasElement} canvas @param {number} ratio @param {string} font  to set it has the
 * browser look up styles, which takes longer than to draw */
function pen(canvas, ratio, font) {
  const on = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  on.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (font) on.font = font;
  on.textBaseline = 'middle';
  return on;
}

/** A text without what a canvas would draw in another direction, or not at all.
 * @param {string} text */
function visible(text) {
  return text.slice(0, 200).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '·').trim();
}

/** @param {any} value @returns {string} */
function brief(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const fields = Object.entries(value).slice(0, 4).map(([name, field]) => `${name}: ${
    field !== null && typeof field === 'object' ? '…' : JSON.stringify(field)?.slice(0, 60)}`);
  return `{${fields.join(', ')}}`;
}
