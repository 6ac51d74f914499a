import { hex } from './characters.js';
import { readable } from './differences.js';
import { el } from './dom.js';
import { faultButtons, faultItem, withFault } from './faults.js';
import { outcome } from './outcome.js';
import { Trace } from './trace.js';
import { amount } from './words.js';

/**
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {import('./source.js').Source} Source
 * @typedef {import('./source.js').Asked} Asked
 * @typedef {import('./faults.js').Fault} Fault
 */

const QUIET = 200; // milliseconds without a change, before the recording is broken anew
const AROUND = 16; // bytes that are shown on each side of the chosen one
const CHUNKS = { recorded: 'as recorded', whole: 'in one chunk', each: 'byte by byte',
  size: 'of … bytes', offsets: 'cut at the offsets …' };

/** Traces of recordings that this panel has broken, by their names. Compare shows them.
 * @type {Map<string, {recorded: Trace, broken: Trace}>} */
export const brokenTraces = new Map();

/**
 * Breaks the open recording: other chunks, and faults at bytes. The server decodes it anew after
 * each change. `trace` asks the page to show the outcome, or the recording again, in its views.
 */
export class BreakPanel extends HTMLElement {
  /** @type {Source | null} */
  source = null;
  /** @type {Inspector | null} */
  #inspector = null;
  /** As recorded. @type {Trace | null} */
  #recorded = null;
  /** @type {Trace | null} */
  #broken = null;
  /** @type {Fault[]} */
  #faults = [];
  /** Where the user has pointed last. */
  #pointer = [0, 0];
  #turn = 0;
  #timer = 0;
  #listeners = new AbortController();

  /** What the page shows: a recording, or what this panel has made of it. */
  get inspector() { return this.#inspector; }

  set inspector(inspector) {
    this.#inspector = inspector;
    this.#listeners.abort();
    this.#listeners = new AbortController();
    const trace = inspector?.trace ?? null;
    if (trace === null || trace !== this.#recorded && trace !== this.#broken) this.#open(trace);
    if (inspector === null || this.#form === null) return;
    const { signal } = this.#listeners;
    inspector.selection.addEventListener('change', () => this.#follow(), { signal });
    document.addEventListener('pointerdown', ({ clientX, clientY }) => {
      this.#pointer = [clientX, clientY];
    }, { signal, capture: true });
    document.addEventListener('byte', (event) => {
      const { offset, received } = /** @type {CustomEvent} */ (event).detail;
      if (received) this.#offer(offset);
    }, { signal });
    this.#mark();
  }

  /** @returns {any} */
  get #form() { return this.querySelector('form'); }

  /** Begin anew. @param {Trace | null} trace */
  #open(trace) {
    clearTimeout(this.#timer);
    this.#turn++;
    this.#faults = [];
    this.#broken = null;
    this.#recorded = trace;
    this.replaceChildren();
    if (trace === null || this.source === null) return;
    const why = this.source.canBreak ? '' : this.source.whyNoBreak;
    if (why || trace.live) {
      this.append(el('p', {}, why || 'The stream is under way. Break it when it has ended.'));
      if (!why) trace.addEventListener('grow', () => this.#ended(trace));
      return;
    }
    const add = (/** @type {string} */ kind) => this.#add(kind);
    this.append(this.#controls(trace.body.length, add),
      el('div', { class: 'outcome', role: 'group', 'aria-label': 'Outcome' }),
      el('div', { popover: 'auto', class: 'offer' }, el('p'), faultButtons(add)));
    this.#list();
  }

  /** @param {Trace} trace */
  #ended(trace) {
    if (trace.live || trace !== this.#recorded || this.#form !== null) return;
    this.#recorded = null;
    this.inspector = this.#inspector;
  }

  /** @param {number} size  of the body @param {(kind: string) => void} add */
  #controls(size, add) {
    const change = () => this.#change();
    const choose = () => this.#choose(this.#form.at.valueAsNumber);
    /** @param {string} name @param {string} text @param {() => void} onclick */
    const button = (name, text, onclick) => el('button', { type: 'button', name, onclick }, text);
    return el('form', { onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      el('label', {}, 'Chunks', el('select', { name: 'chunks', onchange: change },
        ...Object.entries(CHUNKS).map(([value, text]) => el('option', { value }, text)))),
      el('label', { class: 'numbers' }, 'Bytes', el('input', { name: 'numbers', oninput: change,
        inputmode: 'numeric', autocomplete: 'off' })),
      el('label', {}, 'Fault at byte', el('input', { name: 'at', type: 'number', min: 0, max: size,
        value: 0, oninput: choose })),
      faultButtons(add),
      el('output', { class: 'byte' }),
      el('ul', { 'aria-label': 'Faults' }),
      el('div', { class: 'switch', role: 'group', 'aria-label': 'The views show the stream' },
        button('recorded', 'As recorded', () => this.#show(this.#recorded)),
        button('broken', 'Broken', () => this.#show(this.#broken))),
      el('div', { role: 'group', 'aria-label': 'Save the broken stream' },
        button('recording', 'Save recording', () => this.#save('recording')),
        button('test', 'Save pytest test', () => this.#save('test'))));
  }

  /** Choose the byte that the user has clicked at, and offer faults beside it.
   * @param {number} offset */
  #offer(offset) {
    this.#choose(offset);
    const offer = /** @type {HTMLElement} */ (this.querySelector('.offer'));
    /** @type {Element} */ (offer.firstElementChild).textContent = `Break it at byte ${offset}`;
    offer.showPopover();
    const [x, y] = this.#pointer;
    offer.style.setProperty('left', `${Math.min(x, innerWidth - offer.offsetWidth - 8)}px`);
    offer.style.setProperty('top', `${Math.min(y + 16, innerHeight - offer.offsetHeight - 8)}px`);
  }

  /** Choose the first byte of what is selected. */
  #follow() {
    const { selection, trace } = /** @type {Inspector} */ (this.#inspector);
    const item = selection.selected;
    if (item?.lane === 'chunk') this.#choose(trace.chunks[item.index].start);
    else if (trace.has(item) && !trace.compressed) this.#choose(trace.span(item)[0]);
  }

  /** Choose a byte of the body. @param {number} offset */
  #choose(offset) {
    const { body } = /** @type {Trace} */ (this.#recorded);
    const at = Math.min(Math.max(0, Math.trunc(offset) || 0), body.length);
    const { at: input, damage } = this.#form;
    if (input.valueAsNumber !== at) input.value = at;
    damage.disabled = at === body.length;
    /** @param {number} start @param {number} end */
    const text = (start, end) => readable(body.subarray(Math.max(0, start), end));
    this.querySelector('.byte')?.replaceChildren(el('code', {}, text(at - AROUND, at),
      el('mark', {}, text(at, at + 1) || 'end'), text(at + 1, at + 1 + AROUND)),
    at < body.length ? ` 0x${hex(body[at])} at ${at}` : ' at the end', ` of ${
      amount(body.length, 'byte')}`);
  }

  /** @param {string} kind */
  #add(kind) {
    /** @type {HTMLElement} */ (this.querySelector('.offer')).hidePopover();
    this.#faults = withFault(this.#faults, kind, this.#form.at.valueAsNumber || 0);
    this.#list();
    this.#change();
  }

  #list() {
    this.querySelector('ul')?.replaceChildren(...this.#faults.map((fault) =>
      faultItem(fault, this.#faults, () => this.#change(), () => {
        this.#faults = this.#faults.filter((other) => other !== fault);
        this.#list();
        this.#change();
        this.#form.at.focus();
      })));
    this.#choose(this.#form.at.valueAsNumber);
  }

  /** What the controls ask for. @returns {Asked} */
  get #asked() {
    const { chunks, numbers } = this.#form;
    const given = (numbers.value.match(/\d{1,12}/g) ?? []).map(Number);
    /** @type {{[kind: string]: Asked['fragmentation']}} */
    const fragmentations = { recorded: null, whole: [], each: 1, size: given[0] || null,
      offsets: given.length ? given : null };
    return { fragmentation: fragmentations[chunks.value], faults: this.#faults };
  }

  /** Break the recording anew, soon. */
  #change() {
    this.#mark();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#try(() => this.#break()), QUIET);
  }

  async #break() {
    const [{ name }, recorded, turn] = [/** @type {Inspector} */ (this.#inspector),
      /** @type {Trace} */ (this.#recorded), ++this.#turn];
    const asked = this.#asked;
    if (asked.fragmentation === null && asked.faults.length === 0) {
      brokenTraces.delete(name);
      this.#tell();
      this.#show(recorded);
      this.#broken = null;
    } else {
      const { trace, plain } = await /** @type {Source} */ (this.source).break(name, asked);
      if (turn !== this.#turn) return;
      const broken = this.#broken = new Trace(trace);
      brokenTraces.set(name, { recorded, broken });
      this.#tell(outcome(broken, plain));
      this.#show(broken);
    }
    this.#mark();
  }

  /** Have the page show one of the two traces. @param {Trace | null} trace */
  #show(trace) {
    if (trace === null || trace === this.#inspector?.trace) return;
    const note = trace === this.#broken ? 'broken' : '';
    this.dispatchEvent(new CustomEvent('trace', { bubbles: true, detail: { trace, note } }));
  }

  /** Set what can be used now, and which of the two is shown. */
  #mark() {
    const { chunks, recorded, broken, recording, test } = this.#form;
    this.#form.numbers.parentElement.hidden = !['size', 'offsets'].includes(chunks.value);
    const isBroken = this.#broken !== null && this.#inspector?.trace === this.#broken;
    recorded.ariaPressed = String(!isBroken);
    broken.ariaPressed = String(isBroken);
    for (const button of [broken, recording, test]) button.disabled = this.#broken === null;
  }

  /** @param {'recording' | 'test'} as */
  #save(as) {
    this.#try(async () => {
      const inspector = /** @type {Inspector} */ (this.#inspector);
      const { name, text } = await /** @type {Source} */ (this.source).save(inspector.name,
        { ...this.#asked, as });
      const href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
      el('a', { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
      this.dispatchEvent(new CustomEvent('say', { bubbles: true, detail: `Saved ${name}` }));
    });
  }

  /** Show what has become of it. @param {Element[]} elements */
  #tell(...elements) { this.querySelector('.outcome')?.replaceChildren(...elements); }

  /** Show what goes wrong. @param {() => Promise<void>} action */
  async #try(action) {
    const turn = this.#turn;
    try {
      await action();
    } catch (error) {
      if (this.#turn > turn + 1) return; // something else is asked for
      this.#tell(el('p', { role: 'alert' }, /** @type {Error} */ (error).message));
    }
  }
}

customElements.define('break-panel', BreakPanel);
