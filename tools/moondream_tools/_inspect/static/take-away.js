import { el } from './dom.js';
import { SourceError } from './source.js';
import { inBytes } from './words.js';

/**
 * @typedef {import('./source.js').Source} Source
 * @typedef {import('./source.js').TakeAway} Forms
 * @typedef {'curl' | 'python' | 'recording' | 'har'} Form
 */

/** @type {{form: Form, title: string, about: string, end: string, type: string}[]} */
const FORMS = [
  { form: 'curl', title: 'curl', end: 'sh', type: 'text/x-shellscript',
    about: 'A command for a POSIX shell that sends the same request.' },
  { form: 'python', title: 'Python', end: 'py', type: 'text/x-python',
    about: 'A program on this library that asks the same.' },
  { form: 'recording', title: 'Recording', end: 'jsonl', type: 'application/jsonl',
    about: 'The file: replay it, or open it in this page.' },
  { form: 'har', title: 'HAR', end: 'har', type: 'application/json',
    about: 'For the network tools of browsers.' },
];
/** What stands for something that is not recorded. */
const PLACEHOLDERS = new RegExp('(MOONDREAM_ENDPOINT|MOONDREAM_API_KEY|not-recorded\\.invalid|'
  + '\\bpicture(?:-\\d+)?\\.(?:jpg|png|gif|webp|bin)\\b)');
const SHOWN = 20_000; // characters of a form that are drawn

/** The open exchange in four forms, to copy or to download. */
export class TakeAwayPanel extends HTMLElement {
  /** @type {Source | undefined} */
  source;
  /** @type {import('./view.js').Inspector | null | undefined} */
  #inspector;
  #turn = 0;

  get inspector() { return this.#inspector; }
  set inspector(inspector) {
    this.#inspector = inspector;
    this.#load();
  }

  async #load() {
    const turn = ++this.#turn;
    const { source } = this;
    const shown = this.#inspector;
    if (!source || !shown) return this.replaceChildren();
    const { name, trace } = shown;
    if (trace.live) {
      this.replaceChildren(el('p', {},
        'The exchange is under way. It can be taken away at its end.'));
      trace.addEventListener('grow', () => {
        if (!trace.live && turn === this.#turn) this.#load();
      });
      return undefined;
    }
    this.setAttribute('aria-busy', 'true');
    try {
      const forms = await source.takeAway(name);
      if (turn === this.#turn) this.#show(name, forms);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      if (turn === this.#turn) this.replaceChildren(el('p', { class: 'failed' }, error.message));
    } finally {
      if (turn === this.#turn) this.removeAttribute('aria-busy');
    }
    return undefined;
  }

  /** @param {string} name @param {Forms} forms */
  #show(name, forms) {
    const leftOut = forms.left_out;
    this.replaceChildren(
      el('section', { class: 'left-out' }, el('h3', {}, 'Not recorded, so left out'),
        el('ul', {}, ...leftOut.map((sentence) => el('li', {}, ...marked(sentence))))),
      el('div', { class: 'forms' }, ...FORMS.map(({ form, title, about, end, type }) => {
        const text = forms[form];
        const pre = el('pre', { tabindex: 0, role: 'region', 'aria-label': `${title}, text` },
          ...marked(text.slice(0, SHOWN)));
        const more = text.length - SHOWN;
        const said = el('span', { class: 'said', role: 'status' });
        return el('section', {},
          el('header', {}, el('h3', {}, title), said,
            el('button', { 'aria-label': `Copy ${title}`,
              onclick: () => copy(text, pre, said) }, 'Copy'),
            el('button', { 'aria-label': `Download ${title}`,
              onclick: () => download(`${stem(name)}.${end}`, text, type) }, 'Download')),
          el('p', {}, about),
          pre,
          more > 0 && el('p', {},
            `The first of ${inBytes(text.length)}. Copy and download have all.`));
      })),
    );
  }
}

/** A text whose placeholders are marked. @param {string} text @returns {(string | Node)[]} */
function marked(text) {
  return text.split(PLACEHOLDERS).map((part, i) => (i % 2 ? el('mark', {}, part) : part));
}

/** @param {string} text @param {HTMLElement} pre @param {HTMLElement} said */
async function copy(text, pre, said) {
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = 'Copied';
  } catch {
    // A page from a disk, or without the permission: the user copies what is selected.
    pre.textContent = text;
    getSelection()?.selectAllChildren(pre);
    pre.focus();
    said.textContent = 'Selected: copy it with Ctrl+C or ⌘C';
  }
}

/** @param {string} name @param {string} text @param {string} type */
function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** The name of a recording as that of a file. @param {string} name */
function stem(name) {
  return name.replace(/\.jsonl$/, '').replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'exchange';
}

customElements.define('take-away-panel', TakeAwayPanel);
