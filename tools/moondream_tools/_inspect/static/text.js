/**
 * The answer in words: the text as it grows, the reasoning apart, the path of a segmentation, the
 * places of a detection; and how the exchange ended. It is the picture's alternative, too.
 */
import { el } from './dom.js';
import { GrowingText } from './growing.js';
import { View } from './view.js';
import { amount, shortened, spaced } from './words.js';

/** @typedef {import('./trace.js').Event['value']} Value */
/** @typedef {'reasoning' | 'text' | 'path'} Part */

/** Which field of which event is text. @type {{[kind: string]: [Part, string]}} */
const TEXTS = {
  reasoning_delta: ['reasoning', 'text'],
  text_delta: ['text', 'text'],
  path_chunk: ['path', 'data'],
};
/** @type {{[part in Part]: string}} */
const TITLES = { reasoning: 'Reasoning', text: 'Text', path: 'Path as it grows' };
const MOST_PLACES = 1000;

export class TextView extends View {
  /** @type {Partial<{[part in Part]: {box: HTMLElement, text: GrowingText}}>} */
  #parts = {};
  #learned = 0;
  /** What came as a whole, at the end. @type {HTMLElement[]} */
  #wholes = [];
  /** @type {number | null} */
  #resultEvent = null;
  /** @type {boolean | null} */
  #ended = null;
  #texts = el('div');
  #whole = el('div');
  #ending = el('p');

  open() {
    this.#parts = {};
    this.#learned = 0;
    this.#wholes = [];
    this.#resultEvent = this.#ended = null;
    const question = questionOf(this.shown.trace.request.body);
    this.#texts = el('div', { class: 'texts' });
    this.#whole = el('div', { class: 'texts', hidden: true });
    this.#ending = el('p', { class: 'ending', hidden: true });
    this.append(question ? el('p', { class: 'question' }, shortened(question, 500)) : '',
      this.#texts, this.#whole, this.#ending);
  }

  draw() {
    const { trace, player } = this.shown;
    this.#learn();
    const count = trace.countsAt(player.time).event;
    for (const { box, text } of Object.values(this.#parts)) {
      text.show(count);
      box.hidden = count === 0 || !box.querySelector('.block');
    }
    this.#whole.hidden = this.#resultEvent === null || this.#resultEvent >= count;
    this.#mark();
    const ended = trace.ending !== null && player.time >= trace.ending.at;
    if (ended === this.#ended) return;
    const [kind, words] = ended ? endingOf(trace) : ['', ''];
    this.#ending.hidden = !ended;
    this.#ending.className = `ending ${kind}`;
    this.#ending.textContent = words;
    if (ended && this.#ended === false) this.say(words);
    this.#ended = ended;
  }

  /** Take the events that have come since the last time. */
  #learn() {
    const { events } = this.shown.trace;
    /** @type {{[part in Part]: [string[], number[]]}} */
    const news = { reasoning: [[], []], text: [[], []], path: [[], []] };
    for (; this.#learned < events.length; this.#learned++) {
      const { value } = events[this.#learned];
      const [part, field] = TEXTS[value.kind] ?? [];
      if (part) {
        news[part][0].push(value[field ?? '']);
        news[part][1].push(this.#learned);
      } else if (value.kind === 'completed') {
        this.#resultEvent = this.#learned;
      }
    }
    for (const [name, [texts, indexes]] of Object.entries(news)) {
      const part = /** @type {Part} */ (name);
      if (texts.length) (this.#parts[part] ??= this.#newPart(part)).text.add(texts, indexes);
    }
    if (this.#resultEvent !== null && !this.#wholes.length) this.#addWhole();
  }

  /** @param {Part} part */
  #newPart(part) {
    const { selection } = this.shown;
    const element = scroller(TITLES[part], part === 'path');
    const text = new GrowingText(element, () => this.invalidate());
    /** @param {PointerEvent} event @returns {import('./trace.js').Item | null} */
    const at = ({ clientX, clientY }) => {
      const index = text.eventAt(clientX, clientY);
      return index === null ? null : { lane: 'event', index };
    };
    element.addEventListener('pointermove', (event) => selection.hover(at(event)));
    element.addEventListener('pointerleave', () => selection.hover(null));
    element.addEventListener('click', (event) => {
      if (getSelection()?.isCollapsed) selection.select(at(/** @type {PointerEvent} */ (event)));
    });
    const box = el('section', { class: part }, title(TITLES[part]), element);
    this.#texts.append(box);
    return { box, text };
  }

  /** Add what the result has and no delta brought. */
  #addWhole() {
    const { trace, selection } = this.shown;
    const index = this.#resultEvent ?? 0;
    const { result } = trace.events[index].value;
    const differs = result.metadata?.deltas_match === false;
    /** @type {[string, string, boolean][]} */
    const texts = [];
    if (!this.#parts.reasoning && result.reasoning) {
      texts.push(['Reasoning', result.reasoning.text, false]);
    }
    if (result.text && (differs || !this.#parts.text)) {
      texts.push([differs ? 'Whole text: the deltas differ from it' : 'Text', result.text, false]);
    }
    if (result.path) texts.push(['Refined path', result.path, true]);
    this.#wholes = texts.map(([name, text, isPath]) => {
      const element = scroller(name, isPath);
      const whole = new GrowingText(element, () => {});
      whole.add([text], [0]);
      whole.show(1);
      return el('section', {}, title(name), element);
    });
    const places = result.objects ?? result.points;
    if (places) this.#wholes.push(el('section', {}, title(found(result)), placeList(places)));
    for (const section of this.#wholes) {
      section.addEventListener('pointerenter', () => selection.hover({ lane: 'event', index }));
      section.addEventListener('pointerleave', () => selection.hover(null));
      section.addEventListener('click', () => selection.select({ lane: 'event', index }));
    }
    this.#whole.append(...this.#wholes);
  }

  #mark() {
    const { trace, selection } = this.shown;
    const item = selection.active;
    const range = trace.has(item) ? trace.related(item).event : [0, 0];
    const scroll = selection.hovered === null;
    for (const { text } of Object.values(this.#parts)) {
      text.mark(/** @type {[number, number]} */ (range), scroll);
    }
    const index = this.#resultEvent ?? -1;
    const isOn = index >= range[0] && index < range[1];
    for (const section of this.#wholes) section.classList.toggle('on', isOn);
  }
}

customElements.define('text-view', TextView);

/** @param {string} text */
function title(text) {
  return el('h4', {}, text);
}

/** @param {string} label @param {boolean} isPath */
function scroller(label, isPath) {
  return el('div', { class: isPath ? 'scroller code' : 'scroller', tabindex: 0, role: 'group',
    'aria-label': label });
}

/** What was asked. @param {any} body  of the request @returns {string} */
function questionOf(body) {
  if (typeof body?.question === 'string') return body.question;
  if (typeof body?.object === 'string') return body.object;
  const content = body?.messages?.at?.(-1)?.content;
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [];
  return parts.map((part) => part?.text).filter((text) => typeof text === 'string').join(' ');
}

/** @param {any} result */
function found(result) {
  return result.objects ? amount(result.objects.length, 'box', 'boxes')
    : amount(result.points.length, 'point');
}

/** @param {any[]} places  boxes or points, numbered as on the picture */
function placeList(places) {
  const rest = places.length - MOST_PLACES;
  return el('ol', { class: 'places', tabindex: 0, 'aria-label': 'Places' },
    ...places.slice(0, MOST_PLACES).map((place) => el('li', {}, inFractions(place))),
    rest > 0 && el('li', { class: 'rest' }, `and ${rest} more`));
}

/** @param {any} place */
function inFractions(place) {
  /** @param {any} value */
  const number = (value) => (typeof value === 'number' ? Number(value.toFixed(4)) : 'unknown');
  if ('x' in place) return `x ${number(place.x)}, y ${number(place.y)}`;
  return `x ${number(place.x_min)} to ${number(place.x_max)}, `
    + `y ${number(place.y_min)} to ${number(place.y_max)}`;
}

/** How the exchange ended: a class, and words.
 * @param {import('./trace.js').Trace} trace @returns {[string, string]} */
function endingOf({ error, ending, result, skill }) {
  const partial = result?.partial ? ' The result is partial.' : '';
  if (error) return ['bad', `${sentence(spaced(error.kind))}: ${error.message}${partial}`];
  if (ending && ending.fault !== 'eof' && partial) {
    return ['bad', `${sentence(ending.message || spaced(ending.fault))}.${partial}`];
  }
  if (skill === null) return ['', 'The end. The request names no skill, so there are no events.'];
  if (partial) return ['bad', partial.trim()];
  if (result?.metadata?.finish_reason === 'length') {
    return ['warn', 'Complete, but max_tokens cut the answer.'];
  }
  return ['good', 'Complete.'];
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
