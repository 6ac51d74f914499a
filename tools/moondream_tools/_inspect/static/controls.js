import { el, svg } from './dom.js';
import { SPEEDS } from './player.js';
import { amount, inSeconds, spaced } from './words.js';
import { View } from './view.js';

/** @typedef {import('./trace.js').Lane} Lane */

const KEYS = [
  ['Space', 'play, pause'],
  ['← →', 'to the previous or next chunk'],
  ['Shift ← →', 'to the previous or next event'],
  ['Home End', 'to the request, to the end'],
  ['0 … 9', 'to that many tenths of the time'],
  ['− +', 'slower, faster'],
  ['Esc', 'select nothing'],
  ['?', 'this list'],
];
const ICONS = {
  play: 'M4 2.5v11l9.5-5.5z',
  pause: 'M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z',
  back: 'M10.5 3 5.5 8l5 5',
  forth: 'M5.5 3l5 5-5 5',
};

/** Scrubber, play and pause, steps and speed; and the keys of the page. */
export class PlayControls extends View {
  /** What the elements show, apart from the time. */
  #mode = '';
  #icon = svg('path');
  #play = el('button', { class: 'primary icon',
    onclick: () => this.shown.player.toggle() }, icon(this.#icon, 'filled'));
  #live = el('button', { class: 'live',
    onclick: () => this.shown.player.follow() }, 'Live');
  #scrubber = el('input', { type: 'range', min: 0, step: 'any', 'aria-label': 'Moment',
    oninput: () => this.shown.player.seek(this.#scrubber.valueAsNumber) });
  #time = el('output', { class: 'time', 'aria-live': 'off' });
  #speed = el('select', { 'aria-label': 'Speed', onchange: () => {
    this.shown.player.speed = SPEEDS[this.#speed.selectedIndex];
  } }, ...SPEEDS.map((speed) => el('option', {}, speed === Infinity ? 'max' : `${speed}×`)));
  #help = el('dialog', { 'aria-labelledby': 'keys-title' },
    el('h2', { id: 'keys-title' }, 'Keys'),
    el('dl', { class: 'keys' }, ...KEYS.flatMap(([keys, does]) => [
      el('dt', {}, ...keys.split(' ').map((key) => el('kbd', {}, key))), el('dd', {}, does),
    ])),
    el('form', { method: 'dialog' }, el('button', { autofocus: true }, 'Close')));

  connectedCallback() {
    document.addEventListener('keydown', this.#key);
  }

  disconnectedCallback() {
    document.removeEventListener('keydown', this.#key);
  }

  open() {
    this.append(this.#play, this.#live, this.#steps('chunk'), this.#steps('event'), this.#speed,
      this.#scrubber, this.#time,
      el('button', { class: 'icon', 'aria-label': 'Keys',
        onclick: () => this.#help.showModal() }, '?'),
      this.#help);
  }

  /** @param {'chunk' | 'event'} lane */
  #steps(lane) {
    /** @param {1 | -1} by @param {string} name @param {string} d */
    const button = (by, name, d) => el('button', { class: 'icon',
      'aria-label': `${name} ${lane}`, onclick: () => this.#step(lane, by) },
    icon(svg('path', { d }), 'stroked'));
    return el('span', { class: `steps ${lane}`, role: 'group', 'aria-label': `By ${lane}` },
      button(-1, 'Previous', ICONS.back), el('span', { 'aria-hidden': 'true' }, lane),
      button(1, 'Next', ICONS.forth));
  }

  draw() {
    const { trace, player } = this.shown;
    const { end, following, playing, speed, time } = player;
    const mode = [end, following, playing, speed, trace.live].join();
    if (mode !== this.#mode) {
      this.#mode = mode;
      this.#icon.setAttribute('d', playing ? ICONS.pause : ICONS.play);
      this.#play.ariaLabel = playing ? 'Pause' : 'Play';
      this.#live.hidden = !trace.live;
      this.#live.ariaPressed = String(following);
      this.#scrubber.max = String(end);
      this.#speed.selectedIndex = SPEEDS.indexOf(speed);
    }
    this.#scrubber.valueAsNumber = time;
    this.#time.textContent = `${time.toFixed(3)} / ${end.toFixed(3)} s`;
    // A screen reader that is on the scrubber would read each frame.
    if (!playing) this.#scrubber.setAttribute('aria-valuetext', this.#moment());
  }

  /** @returns {string} */
  #moment() {
    const { trace, player } = this.shown;
    const { chunk, event } = trace.countsAt(player.time);
    const state = trace.stateAt(player.time);
    return [
      `${inSeconds(player.time)} of ${inSeconds(player.end)}`,
      `${chunk} of ${amount(trace.count('chunk'), 'chunk')}`,
      `${event} of ${amount(trace.count('event'), 'event')}`,
      ...(state === null ? [] : [spaced(state.state)]),
    ].join(', ');
  }

  /** @param {'chunk' | 'event'} lane @param {1 | -1} by */
  #step(lane, by) {
    const { player, selection } = this.shown;
    const item = player.step(lane, by, selection.selected);
    if (item === null) this.say(`There is no ${by > 0 ? 'later' : 'earlier'} ${lane}.`);
    else selection.select(item);
  }

  /** @param {KeyboardEvent} event */
  #key = (event) => {
    const { key, shiftKey, altKey, ctrlKey, metaKey, defaultPrevented } = event;
    if (this.inspector === null || defaultPrevented || altKey || ctrlKey || metaKey
      || this.#help.open || isTyping(event)) return;
    const { player, selection } = this.shown;
    const lane = shiftKey ? 'event' : 'chunk';
    /** @param {number} by */
    const faster = (by) => {
      player.speed = SPEEDS[SPEEDS.indexOf(player.speed) + by] ?? player.speed;
    };
    /** @type {{[key: string]: () => void}} */
    const actions = {
      ' ': () => player.toggle(),
      ArrowLeft: () => this.#step(lane, -1),
      ArrowRight: () => this.#step(lane, 1),
      Home: () => player.seek(0),
      End: () => player.seek(player.end),
      '+': () => faster(1),
      '-': () => faster(-1),
      Escape: () => selection.select(null),
      '?': () => this.#help.showModal(),
    };
    const tenths = /^[0-9]$/.test(key) && (() => player.seek(Number(key) / 10 * player.end));
    const action = tenths || Object.hasOwn(actions, key) && actions[key];
    if (!action) return;
    event.preventDefault();
    action();
  };
}

customElements.define('play-controls', PlayControls);

/** Whether a key is for the element that has the focus. @param {KeyboardEvent} event */
function isTyping({ target, key }) {
  if (!(target instanceof HTMLElement) || target.matches('[type=range]')) return false;
  return target.isContentEditable || target.matches('input, textarea, select')
    || key === ' ' && target.matches('button, summary, a');
}

/** @param {SVGPathElement} path @param {string} name */
function icon(path, name) {
  return svg('svg', { viewBox: '0 0 16 16', class: name, 'aria-hidden': 'true' }, path);
}
