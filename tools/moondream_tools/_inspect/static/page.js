import './controls.js';
import './picture.js';
import './text.js';
import './lanes.js';
import './bytes.js';
import './waterfall.js';
import './machine.js';
import './details.js';
import './breaking.js';
import './compare.js';
import './take-away.js';
import './asking.js';
import { el } from './dom.js';
import { readLink, writeLink } from './link.js';
import { Player } from './player.js';
import { entry, mark, noneYet } from './recordings.js';
import { Selection, same } from './selection.js';
import { SourceError, openSource } from './source.js';
import { setUpTabs } from './tabs.js';
import { Trace } from './trace.js';
import { amount, describe, inBytes, inSeconds, spaced } from './words.js';

/**
 * @typedef {import('./source.js').Recording} Recording
 * @typedef {import('./trace.js').Item} Item
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {HTMLElement & {inspector: Inspector | null, source?: object,
 *   machine?: object}} Shown  a view or a panel
 */

const VIEWS = 'play-controls, .views > * > :not(summary)';
const SMALL = '(max-width: 47.99rem)';
const QUIET = 250; // milliseconds without a change, before the page says or links it

/**
 * The page. It lists recordings, opens one, and gives it to all views, and to a panel when that is
 * shown. It listens to three events of theirs: `say`, with a text for the live region; `open`,
 * with the name of a recording that it shall open; and `trace`, with another trace of the open
 * recording.
 */
export class InspectPage extends HTMLElement {
  #source = openSource();
  /** @type {Recording[]} */
  #recordings = [];
  /** @type {Inspector | null} */
  #inspector = null;
  /** Ends what belongs to the open recording. */
  #closing = new AbortController();
  #turn = 0;
  #settling = 0;
  #saying = 0;
  /** @type {Item | null} */
  #said = null;

  connectedCallback() {
    this.#on('say', (text) => this.#say(text));
    this.#on('open', (name) => this.open(name));
    this.#on('trace', (other) => this.#swap(other));
    addEventListener('hashchange', ({ newURL }) => this.#follow(new URL(newURL).hash));
    setUpTabs(this.#part('.panels'), () => this.#give());
    if (matchMedia(SMALL).matches) {
      for (const aside of this.querySelectorAll('.aside')) aside.removeAttribute('open');
    }
    this.#start();
  }

  /** @param {string} name @param {(detail: any) => void} listener */
  #on(name, listener) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
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
    if (first === undefined) {
      this.#notice(...noneYet(this.#source.canAsk));
      return;
    }
    if (readLink(location.hash).name === null) {
      writeLink({ name: first.name, time: null, item: null });
    }
    this.#follow();
  }

  async #list() {
    const { recordings, machine, version } = await this.#source.list();
    this.#recordings = recordings;
    /** @type {Shown} */ (this.#part('machine-view')).machine = machine;
    this.#part('.recordings ul').replaceChildren(...recordings.map(entry));
    this.#part('.recordings').hidden = recordings.length === 0;
    this.#part('.version').textContent = version ?? '';
  }

  /** Open what the address names. Since a link was followed, `#settle` may have replaced it.
   * @param {string} hash */
  #follow(hash = location.hash) {
    const { name, time, item } = readLink(hash);
    if (name === null) return;
    if (name === this.#inspector?.name) this.#restore(time, item);
    else this.open(name, time, item);
  }

  /** Open a recording, at a moment.
   * @param {string} name @param {number | null} time @param {Item | null} item */
  async open(name, time = null, item = null) {
    const turn = ++this.#turn;
    const main = this.#part('main');
    main.setAttribute('aria-busy', 'true');
    try {
      const find = () => this.#recordings.find((recording) => recording.name === name);
      if (find() === undefined) await this.#list();
      const found = find();
      if (found === undefined) throw new SourceError(`There is no recording “${name}” here.`);
      if (found.error) throw new SourceError(found.error.message, found.error.line);
      const trace = new Trace(await this.#source.trace(name));
      if (turn !== this.#turn) return;
      this.#show(name, trace,
        { image: this.#source.image(found), isOther: found.image === 'other' });
      this.#restore(time, item);
      this.#settle();
    } catch (error) {
      if (turn === this.#turn) this.#notice(`Cannot show ${name}`, inWords(error));
    }
    if (turn !== this.#turn) return;
    main.removeAttribute('aria-busy');
    mark(this.#part('.recordings ul'), name);
  }

  /** @param {string} name @param {Trace} trace
   * @param {Pick<Inspector, 'image' | 'isOther'>} picture @param {string} note */
  #show(name, trace, picture, note = '') {
    this.#close();
    const player = new Player(trace);
    const selection = new Selection();
    this.#inspector = { name, trace, player, selection, ...picture };
    this.#part('.notice').hidden = true;
    this.#part('.exchange').hidden = false;
    this.#part('.exchange h2').textContent = name + (note && ` (${note})`);
    document.title = `${name} · Moondream stream`;
    this.#facts();
    const { signal } = this.#closing;
    trace.addEventListener('grow', () => this.#facts(), { signal });
    for (const what of ['moment', 'mode']) {
      player.addEventListener(what, () => this.#settle(), { signal });
    }
    selection.addEventListener('change', () => this.#settle(), { signal });
    this.#giveAll();
    this.#say(`${name}: ${this.#part('.facts').textContent}`);
    if (!trace.live) return;
    const stop = this.#source.live(name, trace, (end) => this.#ended(name, end));
    signal.addEventListener('abort', stop);
    player.follow();
  }

  /** Show another trace of the open recording, at the same moment.
   * @param {{trace: Trace, note: string}} other  with what is special about it */
  #swap({ trace, note }) {
    if (this.#inspector === null) return;
    const { name, image, isOther, player: { time } } = this.#inspector;
    this.#show(name, trace, { image, isOther }, note);
    this.#restore(time, null);
  }

  /** What was followed has ended.
   * @param {string} name @param {import('./source.js').End} end */
  async #ended(name, { error, reload }) {
    if (this.#inspector === null) return;
    const { player, selection } = this.#inspector;
    if (error) this.#say(error.message);
    if (reload) await this.open(name, player.time, selection.selected);
    try {
      await this.#list();
      mark(this.#part('.recordings ul'), name);
    } catch (gone) {
      this.#say(inWords(gone));
    }
  }

  #close() {
    this.#closing.abort();
    this.#closing = new AbortController();
    this.#inspector?.player.pause();
    this.#inspector = null;
    clearTimeout(this.#settling);
  }

  #giveAll() {
    for (const view of this.querySelectorAll(VIEWS)) {
      /** @type {Shown} */ (view).inspector = this.#inspector;
    }
    // Without a recording one can only ask.
    const isOpen = this.#inspector !== null;
    for (const tab of this.querySelectorAll('[role=tab]')) {
      /** @type {HTMLElement} */ (tab).hidden = !isOpen && tab.id !== 'tab-ask';
    }
    this.#part('.panels').hidden = !isOpen && !this.#source.canAsk;
    if (!isOpen && this.#source.canAsk) this.#part('#tab-ask').click();
    this.#give();
  }

  /** Give what is open to the panel that is shown. */
  #give() {
    const panel = /** @type {Shown} */ (this.#part('[role=tabpanel]:not([hidden]) > *'));
    if (panel.source !== undefined && panel.inspector === this.#inspector) return;
    panel.source = this.#source;
    panel.inspector = this.#inspector;
  }

  #facts() {
    if (this.#inspector === null) return;
    const { trace } = this.#inspector;
    const { request, response, ending, error } = trace;
    const facts = [
      `${request.method} ${request.path}`,
      response === null ? 'no response' : `status ${response.status_code}`,
      amount(trace.chunks.length, 'chunk'),
      amount(trace.events.length, 'event'),
      inBytes(trace.body.length),
      inSeconds(trace.end),
      ending === null ? 'under way' : spaced(trace.states.at(-1)?.state ?? ending.fault),
    ];
    this.#part('.facts').replaceChildren(...facts.map((fact) => el('li', {}, fact, ' ')));
    this.#part('.error').hidden = error === null;
    this.#part('.error').textContent = error && `${spaced(error.kind)}: ${error.message}`;
  }

  /** @param {number | null} time @param {Item | null} item */
  #restore(time, item) {
    if (this.#inspector === null) return;
    const { trace, player, selection } = this.#inspector;
    const found = trace.has(item) ? item : null;
    selection.select(found);
    if (time !== null) player.seek(time);
    else if (found !== null) player.seek(trace.timeOf(found));
  }

  /** Once nothing changes any more, link to the moment, and say what was selected. */
  #settle() {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      if (this.#inspector === null || this.#inspector.player.playing) return;
      const { name, trace, player, selection } = this.#inspector;
      const item = selection.selected;
      writeLink({ name, time: player.time, item });
      if (item !== null && !same(item, this.#said)) this.#say(describe(trace, item));
      this.#said = item;
    }, QUIET);
  }

  /** Say what is there to see instead of an exchange.
   * @param {string} title @param {string[]} lines  text and commands, by turns */
  #notice(title, ...lines) {
    this.#close();
    const notice = this.#part('.notice');
    notice.replaceChildren(el('h2', {}, title), ...lines.map((line, i) => el('p', {},
      i % 2 ? el('code', {}, line) : line)));
    notice.hidden = false;
    this.#part('.exchange').hidden = true;
    this.#giveAll();
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

/** @param {unknown} error @returns {string} */
function inWords(error) {
  const { message, line } = /** @type {SourceError} */ (error);
  return line ? `Line ${line}: ${message}` : message;
}
