import { el } from './dom.js';
import { PictureDrop } from './drop.js';
import { SourceError } from './source.js';

/**
 * @typedef {import('./source.js').Source} Source
 * @typedef {import('./source.js').Failure} Failure
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {{role: 'user' | 'assistant', content: string}} Said
 */

/** What is typed for a skill, or null. @type {{[skill: string]: string | null}} */
const LABELS = { query: 'Question', caption: null, segment: 'Object to outline',
  detect: 'Objects to find', point: 'Objects to point at', chat: 'Message' };
/** @type {[string, string, string][]} */
const SETTINGS = [['temperature', 'Temperature', 'any'], ['top_p', 'Top p', 'any'],
  ['max_tokens', 'Tokens at most', '1'], ['max_objects', 'Objects at most', '1']];

/**
 * Ask the endpoint. Rules:
 *
 * 1. An answer is a recording. The page opens it and follows it; this panel has only the form.
 * 2. It waits for the end by itself, as the page may open another recording meanwhile.
 * 3. A conversation grows by each complete answer. A message that failed comes back into the form.
 */
export class AskPanel extends HTMLElement {
  /** @type {Source | undefined} */
  source;
  /** @type {Inspector | null | undefined} */
  #inspector;
  /** @type {string | null} */
  #running = null;
  #waiting = new AbortController();
  /** @type {Said[]} */
  #talk = [];
  #picture = new PictureDrop();
  #label = el('span', { class: 'label' });
  #text = el('textarea', { rows: 2, onkeydown: (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#ask();
  } });
  #length = el('select', {}, ...['', 'short', 'normal', 'long'].map((length) => (
    el('option', { value: length }, length || 'the server’s choice'))));
  #reasoning = el('input', { type: 'checkbox' });
  #log = el('ol', { class: 'talk', 'aria-label': 'Conversation', tabindex: 0 });
  #failed = el('div', { class: 'failed', role: 'alert', hidden: true });
  #state = el('span', { class: 'state', role: 'status' });
  #cancel = el('button', { type: 'button', hidden: true, onclick: () => this.#leave() }, 'Cancel');
  #anew = el('button', { type: 'button', hidden: true, onclick: () => this.#begin() },
    'New conversation');
  /** @type {{[name: string]: HTMLElement}} */
  #rows = {};
  /** @type {{[name: string]: HTMLInputElement}} */
  #settings = {};

  get inspector() { return this.#inspector; }
  set inspector(inspector) {
    this.#inspector = inspector;
    if (this.firstChild === null) this.#build();
    this.#picture.offer(inspector?.image ?? null);
  }

  #build() {
    const { source } = this;
    if (!source) return;
    if (!source.canAsk) {
      // Commands are between backticks.
      this.append(el('p', {}, ...source.whyNoAsk.split('`').map((part, i) => (
        i % 2 ? el('code', {}, part) : part))));
      return;
    }
    const { url, skills } = source.endpoint ?? { url: '', skills: [] };
    const form = el('form', { onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#ask();
    }, onchange: () => this.#choose(), onpaste: (/** @type {ClipboardEvent} */ event) => (
      this.#picture.paste(event)) },
    el('fieldset', { class: 'skills' }, el('legend', {}, `Ask ${url}`),
      el('div', {}, ...skills.map((skill, i) => el('label', {},
        el('input', { type: 'radio', name: 'skill', class: 'visually-hidden', value: skill,
          checked: i === 0 }), skill)))),
    this.#picture.element,
    el('div', { class: 'words' }, this.#log,
      this.#row('text', this.#label, this.#text),
      this.#row('length', el('span', { class: 'label' }, 'Length'), this.#length),
      el('details', {}, el('summary', {}, 'Settings'), el('div', { class: 'settings' },
        this.#row('reasoning', this.#reasoning, ' Ask for the reasoning, too'),
        ...SETTINGS.map(([name, title, step]) => {
          this.#settings[name] = el('input', { type: 'number', min: 0, step });
          return this.#row(name, title, this.#settings[name]);
        }))),
      this.#failed,
      el('div', { class: 'buttons' }, el('button', { class: 'primary' }, 'Ask'),
        this.#cancel, this.#anew, this.#state)));
    this.append(form);
    this.#picture.addEventListener('refused', (event) => {
      const reason = /** @type {CustomEvent} */ (event).detail;
      this.#fail(reason ? { message: reason } : null);
    });
    this.#choose();
  }

  /** @param {string} name @param {(string | Node)[]} children */
  #row(name, ...children) {
    this.#rows[name] = el('label', {}, ...children);
    return this.#rows[name];
  }

  /** @returns {string} */
  get #skill() {
    return /** @type {HTMLInputElement} */ (this.querySelector('[name=skill]:checked')).value;
  }

  /** Show what the skill takes. */
  #choose() {
    const skill = this.#skill;
    const label = LABELS[skill] ?? null;
    this.#label.textContent = label;
    this.#rows.text.hidden = label === null;
    this.#rows.length.hidden = skill !== 'caption';
    this.#rows.reasoning.hidden = skill !== 'query' && skill !== 'chat';
    this.#rows.max_objects.hidden = skill === 'chat';
    this.#log.hidden = this.#anew.hidden = skill !== 'chat' || this.#talk.length === 0;
    if (skill !== 'chat') return;
    this.#log.replaceChildren(...this.#talk.map(({ role, content }) => el('li', { class: role },
      el('strong', {}, role === 'user' ? 'You' : 'Model'), content)));
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  async #ask() {
    const { source } = this;
    if (!source) return;
    this.#fail(null);
    this.#state.textContent = 'Sending …';
    try {
      const asked = await this.#asked();
      const { name } = await source.ask(asked);
      this.#waiting.abort();
      this.#waiting = new AbortController();
      this.#running = name;
      this.#cancel.hidden = false;
      if (asked.messages) {
        this.#talk = asked.messages;
        this.#text.value = '';
        this.#choose();
      }
      this.#state.textContent = `${name} is under way`;
      this.dispatchEvent(new CustomEvent('open', { bubbles: true, detail: name }));
      document.querySelector('main')?.scrollIntoView();
      await this.#end(await source.ended(name, this.#waiting.signal), asked.messages && name);
    } catch (error) {
      this.#state.textContent = '';
      if (!(error instanceof SourceError)) throw error;
      this.#fail({ message: error.message });
    }
  }

  /** @returns {Promise<{skill: string, [field: string]: any}>} */
  async #asked() {
    const skill = this.#skill;
    /** @type {{[name: string]: number}} */
    const settings = {};
    for (const [name, input] of Object.entries(this.#settings)) {
      if (input.value !== '' && !this.#rows[name].hidden) settings[name] = input.valueAsNumber;
    }
    /** @type {{skill: string, [field: string]: any}} */
    const asked = { skill, image: await this.#picture.dataURL() };
    if (Object.keys(settings).length) asked.settings = settings;
    if (this.#reasoning.checked && !this.#rows.reasoning.hidden) asked.reasoning = true;
    const text = this.#text.value.trim() ? this.#text.value : null;
    if (skill === 'query') asked.question = text;
    else if (skill === 'caption') asked.length = this.#length.value || null;
    else if (skill !== 'chat') asked.object = text;
    else asked.messages = text && [...this.#talk, { role: 'user', content: text }];
    return asked;
  }

  async #leave() {
    try {
      if (this.#running !== null) await this.source?.cancel(this.#running);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      this.#fail({ message: error.message });
    }
  }

  /** @param {import('./source.js').End} end
   * @param {string | undefined} chat  its name, if it is one */
  async #end({ error, complete }, chat) {
    this.#running = null;
    this.#cancel.hidden = true;
    this.#fail(error);
    if (chat && complete) {
      const { text } = (await /** @type {Source} */ (this.source).trace(chat)).result;
      this.#talk.push({ role: 'assistant', content: text });
    } else if (chat) {
      this.#text.value ||= this.#talk.pop()?.content ?? '';
    }
    this.#choose();
    this.#state.textContent = error ? '' : complete ? 'Complete' : 'Left';
  }

  #begin() {
    this.#talk = [];
    this.#choose();
    this.#text.focus();
  }

  /** @param {Failure | null} error */
  #fail(error) {
    this.#failed.hidden = error === null;
    this.#failed.replaceChildren(...(error === null ? [] : [
      el('strong', {}, error.kind ?? 'Not sent'), error.message,
      ...(error.advice ? [el('p', {}, error.advice)] : [])]));
  }
}

customElements.define('ask-panel', AskPanel);
