import { el } from './dom.js';
import { readLink, writeLink } from './link.js';
import { Player } from './player.js';
import { Selection, same } from './selection.js';
import { SourceError, openSource } from './source.js';
import { setUpTabs } from './tabs.js';
import { Trace } from './trace.js';
import { amount, describe, inBytes, inSeconds, spaced } from './words.js';

/**
 * @typedef {import('./source.js').Listing} Listing
 * @typedef {import('./source.js').Recording} Recording
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {HTMLElement & {inspector: Inspector | null, source?: object,
 *   machine?: object}} Shown
 */

const VIEWS = 'play-controls, picture-view, text-view, lanes-view, bytes-view, waterfall-view, '
  + 'machine-view, details-view';
const QUIET = 250; // milliseconds without a change, before the page says or links it

/**
 * The page. It lists recordings, opens one, and gives it to all views and panels. It listens to
 * three events of theirs: `say`, with a text for the live region; `open`, with the name of a
 * recording that it shall open; and `trace`, with another trace of the open recording.
 */
export class InspectPage extends HTMLElement {
  #source = openSource();
  /** @type {Recording[]} */
  #recordings = [];
  /** @type {Inspector | null} */
  #inspector = null;
  #turn = 0;
  #timer = 0;
  #listeners = new AbortController();
  #stopLive = () => {};
  #saying = 0;
  /** @type {import('./trace.js').Item | null} */
  #said = null;

  connectedCallback() {
    this.addEventListener('say', (event) => this.#say(/** @type {CustomEvent} */ (event).detail));
    this.addEventListener('open', (event) => this.open(/** @type {CustomEvent} */ (event).detail));
    this.addEventListener('trace', (event) =>
      this.#swap(/** @type {CustomEvent} */ (event).detail));
    addEventListener('hashchange', () => this.#follow());
    setUpTabs(this.#part('.panels'), (panel) => this.#give(panel));
    this.#start();
  }

  /** @param {string} selector @returns {HTMLElement} */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.querySelector(selector));
  }

  async #start() {
    try {
      await this.#list();
    } catch (error) {
      this.#notice('Nothing to show', inWords(error));
      return;
    }
    const first = this.#recordings.find(({ error }) => !error) ?? this.#recordings[0];
    if (readLink(location.hash).name === null && first !== undefined) {
      writeLink({ name: first.name, time: null, item: null });
    }
    if (first === undefined) this.#empty();
    else this.#follow();
  }

  async #list() {
    const listing = await this.#source.list();
    this.#recordings = listing.recordings;
    const machine = /** @type {Shown} */ (this.#part('machine-view'));
    machine.machine = listing.machine;
    this.#part('.recordings ul').replaceChildren(...this.#recordings.map(entry));
    this.#part('.version').textContent = listing.version ?? '';
    this.#part('.recordings').hidden = this.#recordings.length === 0;
  }

  /** Open what the address names. */
  #follow() {
    const { name, time, item } = readLink(location.hash);
    if (name === null) return;
    if (name === this.#inspector?.name) this.#restore(time, item);
    else this.open(name, time, item);
  }

  /** Open a recording, at a moment.
   * @param {string} name @param {number | null} time
   * @param {import('./trace.js').Item | null} item */
  async open(name, time = null, item = null) {
    const turn = ++this.#turn;
    const main = this.#part('main');
    main.setAttribute('aria-busy', 'true');
    try {
      if (!this.#recordings.some((recording) => recording.name === name)) await this.#list();
      const listed = this.#recordings.find((recording) => recording.name === name);
      if (listed === undefined) throw new SourceError(`There is no recording “${name}” here.`);
      if (listed.error) throw new SourceError(listed.error.message, listed.error.line);
      const data = await this.#source.trace(name);
      if (turn !== this.#turn) return;
      this.#show(name, new Trace(data), this.#source.image(listed));
      this.#restore(time, item);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#close();
      this.#notice(`Cannot show ${name}`, inWords(error));
    } finally {
      if (turn === this.#turn) {
        main.removeAttribute('aria-busy');
        this.#mark(name);
      }
    }
  }

  /** @param {string} name @param {Trace} trace @param {string | null} image */
  #show(name, trace, image) {
    this.#close();
    const player = new Player(trace);
    const selection = new Selection();
    this.#inspector = { name, trace, player, selection, image };
    this.#part('.notice').hidden = true;
    this.#part('.exchange').hidden = false;
    this.#part('.panels').hidden = false;
    document.title = `${name} · Moondream stream`;
    this.#part('.exchange h2').textContent = name;
    this.#facts();
    const { signal } = this.#listeners;
    trace.addEventListener('grow', () => this.#facts(), { signal });
    player.addEventListener('moment', () => this.#settle(), { signal });
    player.addEventListener('mode', () => this.#settle(), { signal });
    selection.addEventListener('change', () => this.#settle(), { signal });
    for (const view of this.querySelectorAll(VIEWS)) {
      /** @type {Shown} */ (view).inspector = this.#inspector;
    }
    this.#give(null);
    this.#say(`${name}: ${this.#part('.facts').textContent}`);
    if (trace.live) {
      this.#stopLive = this.#source.live(name, trace, ({ error, reload }) => {
        if (error !== null) this.#say(error.message);
        if (reload) this.open(name, player.time, selection.selected);
      });
      player.follow();
    }
  }

  /** Show another trace of the open recording, at the same moment.
   * @param {{trace: Trace, note: string}} other  with what is special about it */
  #swap({ trace, note }) {
    if (this.#inspector === null) return;
    const { name, image, player: { time } } = this.#inspector;
    this.#show(name, trace, image);
    this.#part('.exchange h2').append(note && ` (${note})`);
    this.#restore(time, null);
  }

  #close() {
    this.#stopLive();
    this.#stopLive = () => {};
    this.#listeners.abort();
    this.#listeners = new AbortController();
    this.#inspector?.player.pause();
    this.#inspector = null;
    clearTimeout(this.#timer);
    for (const view of this.querySelectorAll(VIEWS)) {
      /** @type {Shown} */ (view).inspector = null;
    }
  }

  /** Give what is open to a panel, when it is shown. @param {HTMLElement | null} panel */
  #give(panel) {
    const shown = panel ?? this.querySelector('[role=tabpanel]:not([hidden])');
    const element = /** @type {Shown | null} */ (shown?.firstElementChild ?? null);
    if (element === null || element.inspector === this.#inspector) return;
    element.source = this.#source;
    element.inspector = this.#inspector;
  }

  #facts() {
    if (this.#inspector === null) return;
    const { trace } = this.#inspector;
    const { request, response, ending } = trace;
    const facts = [
      `${request.method} ${request.path}`,
      response === null ? 'no response' : `status ${response.status_code}`,
      amount(trace.count('chunk'), 'chunk'),
      amount(trace.count('event'), 'event'),
      inBytes(trace.body.length),
      inSeconds(trace.end),
      ending === null ? 'under way' : spaced(trace.states.at(-1)?.state ?? ending.fault),
    ];
    this.#part('.facts').replaceChildren(...facts.map((fact) => el('li', {}, fact, ' ')));
    const failed = trace.error !== null;
    this.#part('.error').hidden = !failed;
    this.#part('.error').textContent = failed
      ? `${spaced(trace.error.kind)}: ${trace.error.message}` : '';
  }

  /** @param {number | null} time @param {import('./trace.js').Item | null} item */
  #restore(time, item) {
    if (this.#inspector === null) return;
    const { trace, player, selection } = this.#inspector;
    if (time !== null) player.seek(time);
    selection.select(trace.has(item) ? item : null);
    if (trace.has(item) && time === null) player.seek(trace.timeOf(item));
  }

  /** Once nothing changes any more, link to the moment, and say what was selected. */
  #settle() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#inspector === null || this.#inspector.player.playing) return;
      const { name, trace, player, selection } = this.#inspector;
      const item = selection.selected;
      writeLink({ name, time: player.time, item });
      if (item !== null && !same(item, this.#said)) this.#say(describe(trace, item));
      this.#said = item;
    }, QUIET);
  }

  /** @param {string} name */
  #mark(name) {
    for (const link of this.querySelectorAll('.recordings a')) {
      const isOpen = /** @type {HTMLElement} */ (link).dataset.name === name;
      link.toggleAttribute('aria-current', isOpen);
      if (isOpen) link.setAttribute('aria-current', 'page');
    }
  }

  #empty() {
    this.#notice('No recordings yet', 'Start this page with a recording, or a folder of them:',
      'moondream-stream inspect RECORDING', 'Record an exchange of your own with:',
      'moondream-stream record --upstream URL --to recordings');
    this.#part('.panels').hidden = !this.#source.canAsk;
    if (this.#source.canAsk) this.#part('#tab-ask').click();
  }

  /** Say what is there to see instead of an exchange.
   * @param {string} title @param {string[]} lines  text and commands, by turns */
  #notice(title, ...lines) {
    const notice = this.#part('.notice');
    notice.replaceChildren(el('h2', {}, title), ...lines.map((line, i) => el('p', {},
      i % 2 ? el('code', {}, line) : line)));
    notice.hidden = false;
    this.#part('.exchange').hidden = true;
    this.#part('.panels').hidden = true;
    this.#say(`${title}. ${lines[0]}`);
  }

  /** @param {string} text */
  #say(text) {
    clearTimeout(this.#saying);
    this.#saying = setTimeout(() => {
      this.#part('.says').textContent = text;
    }, QUIET);
  }
}

customElements.define('inspect-page', InspectPage);

/** A recording in the list. @param {Recording} recording */
function entry({ name, error, skill, status_code: status, chunks }) {
  const about = error ? 'cannot be read'
    : [skill, status, chunks === undefined ? null : amount(chunks, 'chunk')]
      .filter((fact) => fact !== null && fact !== undefined).join(' · ');
  const link = el('a', { href: `#${new URLSearchParams({ name })}`, class: error ? 'broken' : '' },
    el('span', { class: 'name' }, name), ' ', el('span', { class: 'about' }, about));
  link.dataset.name = name;
  return el('li', {}, link);
}

/** @param {unknown} error @returns {string} */
function inWords(error) {
  if (!(error instanceof Error)) return String(error);
  const line = error instanceof SourceError ? error.line : null;
  return line === null ? error.message : `Line ${line}: ${error.message}`;
}
