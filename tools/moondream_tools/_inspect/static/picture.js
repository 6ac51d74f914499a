/**
 * The picture, and on it what the answer says about it at the moment.
 *
 * 1. Places are fractions of the picture, but those of a path are fractions of its box.
 * 2. A segmentation sends a coarse box (dashed), a path in it, and at the end a refined box (solid)
 *    with a refined path.
 * 3. The text of a path is set anew whenever it grows: a fill cannot be put together from parts.
 *    Of a path of 100,000 commands that takes longer than a frame. So the pause after it is ten
 *    times as long as it took.
 */
import { el, svg } from './dom.js';
import { Labels, MOST, drawBox, drawPoint, isBox, isOnEdge, isPoint } from './marks.js';
import { Numbers } from './numbers.js';
import { GrowingPath } from './path.js';
import { Size } from './size.js';
import { View } from './view.js';
import { amount, shortened } from './words.js';

/** @typedef {import('./marks.js').Box} Box */
/** @typedef {import('./marks.js').Point} Point */
/** @typedef {import('./trace.js').Item} Item */
/** What is known at the moment. `refined`: the path is that of the result.
 * @typedef {{coarse: Box | null, box: Box | null, refined: boolean, characters: number,
 *   boxes: Box[], points: Point[], notes: string[]}} Scene */

const REACH = 14; // pixels from the pointer to what it points at

export class PictureView extends View {
  #coarse = new GrowingPath();
  #refined = new GrowingPath();
  /** How many characters the coarse path has after each event. */
  #lengths = new Numbers();
  /** The event that has the coarse box. @type {number | null} */
  #boxEvent = null;
  /** The event that has the result. @type {number | null} */
  #resultEvent = null;
  #stageSize = new Size(this, () => {});
  /** That is drawn. @type {[number, number]} */
  #size = [0, 0];
  /** @type {Scene | null} */
  #scene = null;
  /** What the elements show, so that they are changed only if that changes. */
  #done = { marks: '', path: '', lit: '', notes: '' };
  #broken = false;

  #image = el('img');
  #area = svg('path');
  #lit = svg('g');
  #place = svg('g');
  #marks = svg('g');
  #drawing = svg('svg');
  #stage = el('div');
  #legend = el('p');
  #notes = el('p');

  open() {
    this.#coarse = new GrowingPath();
    this.#refined = new GrowingPath();
    this.#lengths = new Numbers();
    this.#boxEvent = this.#resultEvent = null;
    this.#done = { marks: '', path: '', lit: '', notes: '' };
    this.#broken = false;
    const { image, trace, selection } = this.shown;
    this.#image = el('img', { alt: '', draggable: 'false', hidden: image === null, src: image,
      onload: () => this.#shape(this.#image.naturalWidth, this.#image.naturalHeight),
      onerror: () => {
        this.#broken = this.#image.hidden = true;
        this.invalidate();
      } });
    this.#area = svg('path', { class: 'area' });
    this.#lit = svg('g', { class: 'lit' }, svg('path', { class: 'halo' }), svg('path'));
    this.#place = svg('g', {}, this.#area, this.#lit);
    this.#marks = svg('g');
    this.#drawing = svg('svg', { role: 'img', 'aria-label': 'What was found, as the text has it',
      onpointermove: (/** @type {PointerEvent} */ event) => selection.hover(this.#itemAt(event)),
      onpointerleave: () => selection.hover(null),
      onclick: (/** @type {PointerEvent} */ event) => selection.select(this.#itemAt(event)),
    }, this.#place, this.#marks);
    this.#stage = el('div', { class: 'stage' }, this.#image, this.#drawing);
    this.#legend = el('p', { class: 'legend' });
    this.#notes = el('p', { class: 'notes' });
    this.append(this.#stage, this.#legend, this.#notes);
    this.#stageSize = new Size(this.#stage, () => this.invalidate());
    this.#shape(...(trace.size ?? /** @type {[number, number]} */ ([1, 1])));
  }

  /** @param {number} width @param {number} height */
  #shape(width, height) {
    this.#stage.style.setProperty('--ratio', String(Math.min(Math.max(width / height, 0.1), 10)));
  }

  draw() {
    this.#learn();
    const { player } = this.shown;
    const { width, height } = this.#stageSize;
    if (this.#size[0] !== width || this.#size[1] !== height) {
      this.#size = [width, height];
      this.#drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
      this.#done.marks = this.#done.lit = '';
    }
    const scene = this.#scene = this.#sceneAt(player.time);
    this.#drawMarks(scene);
    this.#drawPath(scene);
    this.#drawLit(scene);
    this.#drawNotes(scene);
  }

  /** Look at the events that have come since the last time. */
  #learn() {
    const { events } = this.shown.trace;
    /** @type {string[]} */
    const texts = [];
    let length = this.#coarse.text.length;
    for (let i = this.#lengths.length; i < events.length; i++) {
      const { value } = events[i];
      if (value.kind === 'path_chunk') {
        texts.push(value.data);
        length += value.data.length;
      } else if (value.kind === 'bbox') {
        this.#boxEvent ??= i;
      } else if (value.kind === 'completed') {
        this.#resultEvent = i;
        this.#refined.append(value.result.path ?? '');
      }
      this.#lengths.push(length);
    }
    if (texts.length) this.#coarse.append(texts.join(''));
  }

  /** @param {number} time @returns {Scene} */
  #sceneAt(time) {
    const { trace, image, isOther } = this.shown;
    const count = trace.countsAt(time).event;
    const { events } = trace;
    /** @param {number | null} event */
    const has = (event) => event !== null && event < count;
    const result = has(this.#resultEvent) ? events[this.#resultEvent ?? 0].value.result : null;
    const coarse = has(this.#boxEvent) ? events[this.#boxEvent ?? 0].value : null;
    /** @type {string[]} */
    const notes = [];
    if (image === null || this.#broken) notes.push(frameNote(trace.size, this.#broken));
    else if (isOther) notes.push('The recording was made with another picture.');
    const refined = Boolean(result?.path);
    const found = [...(result?.objects ?? []), ...(result?.points ?? []),
      ...(result?.reasoning?.grounding ?? []).flatMap((/** @type {any} */ part) => part.points)];
    const boxes = found.filter(isBox).slice(0, MOST);
    const points = found.filter(isPoint).slice(0, MOST);
    const missing = found.length - boxes.length - points.length;
    if (missing) notes.push(`${amount(missing, 'place')} of ${found.length} cannot be drawn.`);
    const box = result?.bbox ?? null;
    if ([coarse, box].some((one) => one !== null && !isBox(one))) {
      notes.push('A box is not in or near the picture: it cannot be drawn.');
    }
    const path = refined ? this.#refined : this.#coarse;
    const characters = refined ? path.text.length : count && this.#lengths.at(count - 1);
    if (path.error !== null && path.error < characters) {
      notes.push(`The path is wrong at character ${path.error}; it is drawn up to there.`);
    }
    if (result?.parse_error) {
      notes.push(`The model wrote no valid path: ${shortened(result.parse_error, 200)}`);
    }
    if (characters && !box && !coarse) notes.push('The path has no box: its place is not known.');
    return { coarse: isBox(coarse) ? coarse : null, box: isBox(box) ? box : null, refined,
      characters, boxes, points, notes };
  }

  /** @param {Scene} scene */
  #drawMarks({ coarse, box, boxes, points }) {
    const hasPath = this.#coarse.text !== '';
    const key = JSON.stringify([coarse !== null, box, boxes.length, points.length, hasPath]);
    if (key === this.#done.marks) return;
    this.#done.marks = key;
    const [width, height] = this.#size;
    const labels = new Labels(width, height);
    const marks = [
      ...(coarse ? [drawBox(coarse, width, height, 'box coarse')] : []),
      ...(box ? [drawBox(box, width, height, 'box refined')] : []),
      ...boxes.map((one) => drawBox(one, width, height, 'box refined')),
      ...points.map((point) => drawPoint(point, width, height)),
    ];
    points.forEach((point) => labels.keepFree(point.x * width, point.y * height));
    this.#marks.replaceChildren(...marks,
      ...boxes.map((one, i) => labels.draw(`${i + 1}`, one.x_min * width, one.y_min * height, 0)),
      ...points.map((one, i) => labels.draw(`${i + 1}`, one.x * width, one.y * height, 5)));
    this.#legend.replaceChildren(...legend(coarse, box, hasPath));
  }

  /** @param {Scene} scene */
  #drawPath({ coarse, box, refined, characters }) {
    const place = refined ? box : coarse ?? box;
    const key = `${refined} ${characters} ${place === null} ${this.#size}`;
    if (key === this.#done.path) return;
    const began = performance.now();
    this.#done.path = key;
    const text = place ? (refined ? this.#refined : this.#coarse).upTo(characters) : '';
    if (place) {
      const [width, height] = this.#size;
      const { x_min: x, y_min: y, x_max: right, y_max: bottom } = place;
      this.#place.setAttribute('transform', `translate(${x * width} ${y * height}) `
        + `scale(${(right - x) * width} ${(bottom - y) * height})`);
    }
    this.#place.setAttribute('class', refined ? 'path refined' : 'path');
    this.#area.setAttribute('d', text);
    this.pause = 10 * (performance.now() - began);
  }

  /** @param {Scene} scene */
  #drawLit({ refined, characters }) {
    const { trace, selection } = this.shown;
    const item = selection.active;
    const [from, to] = trace.has(item) ? trace.related(item).event : [0, 0];
    /** @param {number | null} event */
    const isLit = (event) => event !== null && event >= from && event < to;
    const result = isLit(this.#resultEvent);
    const start = from ? this.#lengths.at(from - 1) : 0;
    const end = Math.min(to ? this.#lengths.at(to - 1) : 0, characters);
    const key = [start, end, refined, isLit(this.#boxEvent), result, this.#done.marks].join();
    if (key === this.#done.lit) return;
    this.#done.lit = key;
    const text = refined || start >= end ? '' : this.#coarse.part(start, end);
    for (const path of this.#lit.children) path.setAttribute('d', text);
    this.#place.classList.toggle('all', refined && result);
    for (const mark of this.#marks.children) {
      mark.classList.toggle('on', mark.matches('.coarse') ? isLit(this.#boxEvent) : result);
    }
  }

  /** @param {Scene} scene */
  #drawNotes({ notes }) {
    const text = notes.join(' ');
    if (text === this.#done.notes) return;
    this.#done.notes = this.#notes.textContent = text;
  }

  /** What is at a place of the screen. @param {PointerEvent} event @returns {Item | null} */
  #itemAt({ clientX, clientY }) {
    const scene = this.#scene;
    if (scene === null) return null;
    const { left, top } = this.#drawing.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    /** @param {number | null} index @returns {Item | null} */
    const item = (index) => (index === null ? null : { lane: 'event', index });
    const { boxes, points, box, coarse, refined } = scene;
    const [width, height] = this.#size;
    const isNear = points.some((one) => Math.hypot(one.x * width - x, one.y * height - y) < REACH)
      || [...boxes, ...(box ? [box] : [])].some((one) => isOnEdge(one, x, y, width, height));
    if (isNear || (refined && this.#area.matches(':hover'))) return item(this.#resultEvent);
    const command = refined || !coarse ? -1 : this.#nearest(scene, coarse, x, y);
    if (command >= 0) {
      const last = this.#coarse.commands[command].end;
      return item(this.#lengths.below(last));
    }
    return coarse && isOnEdge(coarse, x, y, width, height) ? item(this.#boxEvent) : null;
  }

  /** The command of the coarse path that ends nearest to a place, or -1.
   * @param {Scene} scene @param {Box} box @param {number} x @param {number} y */
  #nearest({ characters }, box, x, y) {
    const { commands } = this.#coarse;
    const [width, height] = this.#size;
    const [wide, high] = [(box.x_max - box.x_min) * width, (box.y_max - box.y_min) * height];
    let [best, least] = [-1, REACH];
    for (let i = 0; i < commands.length && commands[i].end <= characters; i++) {
      const far = Math.hypot(box.x_min * width + commands[i].x * wide - x,
        box.y_min * height + commands[i].y * high - y);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }
}

customElements.define('picture-view', PictureView);

/** @param {[number, number] | null} size @param {boolean} broken */
function frameNote(size, broken) {
  const why = broken ? 'The picture cannot be shown.' : 'No picture is given.';
  if (size === null) return `${why} The frame is a square, as its size is not known.`;
  return `${why} The frame has its size: ${size[0]} × ${size[1]} pixels.`;
}

/** @param {Box | null} coarse @param {Box | null} box @param {boolean} path */
function legend(coarse, box, path) {
  /** @type {[string, string][]} */
  const lines = [];
  if (coarse) lines.push(['coarse', 'coarse box']);
  if (box) lines.push(['refined', 'refined box']);
  if (path) lines.push(['area', 'path']);
  return lines.map(([name, text]) => el('span', {},
    svg('svg', { class: `swatch ${name}`, viewBox: '0 0 22 12', 'aria-hidden': 'true' },
      svg('rect', { x: 1, y: 2, width: 20, height: 8 })), text));
}
