import { readable } from './differences.js';
import { el } from './dom.js';
import { Trace } from './trace.js';
import { amount, inSeconds, spaced } from './words.js';

/**
 * @typedef {import('./view.js').Inspector} Inspector
 * @typedef {import('./source.js').Source} Source
 * @typedef {import('./source.js').Asked} Asked
 * @typedef {Asked['faults'][number]} Fault
 * @typedef {{loop: string, like: string, text: string, error: string | null,
 *   outcome: 'same' | 'error' | 'fails' | 'silent' | 'hangs', verdict: string}} Plain
 */

const QUIET = 200; // milliseconds without a change, before the recording is broken anew
const AROUND = 32; // bytes of the strip, on each side of the chosen one
const DAMAGE = 255; // no character of UTF-8 has this byte
/** @type {[string, string, string][]} a kind of fault, its button, and what it does */
const FAULTS = [
  ['close', 'Close', 'connection closed'],
  ['reset', 'Reset', 'connection reset'],
  ['silence', 'Silence', 'silence until the deadline'],
  ['damage', 'Damage', 'byte becomes'],
];
const OUTCOMES = { same: '= same answer', error: '! reports an error', fails: '✕ fails',
  silent: '✕ wrong, silently', hangs: '✕ hangs' };

/** The last broken trace of each recording, beside the recorded one: for Compare.
 * @type {Map<string, {recorded: Trace, broken: Trace}>} */
export const brokenTraces = new Map();

/**
 * Breaks the open recording: other chunks, and faults at bytes. The server decodes it anew after
 * each change. The page shows the broken trace in all views, when it gets the event `trace`.
 */
export class BreakPanel extends HTMLElement {
  /** @type {Source | null} */
  source = null;
  /** Of the recording as recorded. @type {Inspector | null} */
  #recorded = null;
  /** @type {Trace | null} */
  #broken = null;
  /** @type {Inspector | null} */
  #inspector = null;
  /** @type {Fault[]} */
  #faults = [];
  #turn = 0;
  #timer = 0;
  #listeners = new AbortController();

  /** What the page shows: the recording, or what this panel has made of it. */
  get inspector() { return this.#inspector; }

  set inspector(inspector) {
    this.#inspector = inspector;
    this.#listeners.abort();
    this.#listeners = new AbortController();
    const isOurs = inspector !== null && this.#recorded !== null
      && (inspector.trace === this.#broken || inspector.trace === this.#recorded.trace);
    if (!isOurs) this.#open(inspector);
    if (inspector === null || !this.source?.canBreak) return;
    const { signal } = this.#listeners;
    inspector.selection.addEventListener('change', () => this.#follow(), { signal });
    document.addEventListener('byte', (event) =>
      this.#choose(/** @type {CustomEvent<number>} */ (event).detail), { signal });
    this.#mark();
  }

  /** @param {string} selector @returns {any} */
  #part(selector) { return this.querySelector(selector); }

  /** @param {Inspector | null} inspector */
  #open(inspector) {
    clearTimeout(this.#timer);
    this.#turn++;
    this.#faults = [];
    this.#broken = null;
    this.#recorded = inspector;
    this.replaceChildren();
    if (inspector === null) return;
    if (!this.source?.canBreak) {
      this.append(el('p', { class: 'why' }, this.source?.whyNoBreak));
      return;
    }
    if (inspector.trace.live) {
      this.append(el('p', { class: 'why' }, 'The stream is under way. Break it when it has ended.'));
      inspector.trace.addEventListener('grow', () => {
        if (!inspector.trace.live && this.#recorded === inspector) this.inspector = inspector;
      });
      this.#recorded = null;
      return;
    }
    this.append(this.#controls(inspector.trace.body.length), el('div', { class: 'outcome',
      'aria-live': 'polite' }));
    this.#choose(0);
    this.#list();
  }

  /** @param {number} size  of the body */
  #controls(size) {
    const changed = () => this.#change();
    const kinds = [['', 'as recorded'], ['whole', 'in one chunk'], ['1', 'byte by byte'],
      ['size', 'in chunks of … bytes'], ['offsets', 'cut at the offsets …']];
    const chosen = () => this.#choose(Number(this.#part('[name=at]').value));
    return el('form', { class: 'controls', onsubmit: (/** @type {Event} */ event) =>
      event.preventDefault() },
    el('label', {}, 'Chunks', el('select', { name: 'fragmentation', onchange: changed },
      ...kinds.map(([value, text]) => el('option', { value }, text)))),
    el('label', { class: 'sizes', hidden: true }, 'Bytes', el('input', { name: 'numbers',
      inputmode: 'numeric', autocomplete: 'off', oninput: changed })),
    el('label', {}, 'Fault before byte', el('input', { name: 'at', type: 'number', min: 0,
      max: size, value: 0, oninput: chosen })),
    el('div', { class: 'kinds', role: 'group', 'aria-label': 'Kind of the fault' },
      ...FAULTS.map(([kind, text]) => el('button', { type: 'button', name: kind,
        onclick: () => this.#add(kind) }, text))),
    el('div', { class: 'strip', role: 'group', 'aria-label': 'Bytes around it' }),
    el('ul', { class: 'faults', 'aria-label': 'Faults' }),
    el('div', { class: 'switch', role: 'group', 'aria-label': 'The views show it' },
      el('button', { type: 'button', name: 'recorded', 'aria-pressed': 'true',
        onclick: () => this.#show(false) }, 'As recorded'),
      el('button', { type: 'button', name: 'broken', 'aria-pressed': 'false', disabled: true,
        onclick: () => this.#show(true) }, 'Broken'),
      el('button', { type: 'button', name: 'save-recording', disabled: true,
        onclick: () => this.#save('recording') }, 'Save recording'),
      el('button', { type: 'button', name: 'save-test', disabled: true,
        onclick: () => this.#save('test') }, 'Save pytest test')));
  }

  /** Have the strip follow what is selected: the first byte of it. */
  #follow() {
    if (this.#inspector === null || this.#part('form') === null) return;
    const { selection: { selected }, trace } = this.#inspector;
    if (selected === null || trace.compressed && selected.lane !== 'chunk') return;
    this.#choose(selected.lane === 'chunk' ? trace.chunks[selected.index].start
      : trace.span(selected)[0]);
  }

  /** Choose a byte of the body. @param {number} offset */
  #choose(offset) {
    const body = this.#recorded?.trace.body;
    if (body === undefined || this.#part('form') === null) return;
    const at = Math.min(Math.max(0, Math.trunc(offset) || 0), body.length);
    const input = this.#part('[name=at]');
    if (Number(input.value) !== at) input.value = at;
    this.#part('[name=damage]').disabled = at === body.length;
    const start = Math.max(0, at - AROUND);
    const faults = new Set(this.#faults.map((fault) => fault.at));
    const strip = this.#part('.strip');
    const hadFocus = strip.contains(document.activeElement);
    strip.replaceChildren(...Array.from(body.subarray(start, at + AROUND), (byte, i) => {
      const place = start + i;
      const text = readable(Uint8Array.of(byte));
      return el('button', { type: 'button', tabindex: place === at ? 0 : -1,
        'aria-pressed': String(place === at), class: faults.has(place) ? 'has-fault' : '',
        title: `byte ${place}: 0x${byte.toString(16).padStart(2, '0')}`,
        onclick: () => this.#choose(place), onkeydown: (/** @type {KeyboardEvent} */ event) =>
          this.#step(event, place) }, text === ' ' ? '␣' : text);
    }));
    if (hadFocus) strip.querySelector('[tabindex="0"]')?.focus();
  }

  /** Arrows move in the strip. @param {KeyboardEvent} event @param {number} place */
  #step(event, place) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // it would move the moment, too
    this.#choose(place + by);
  }

  /** @param {string} kind */
  #add(kind) {
    const at = Number(this.#part('[name=at]').value);
    this.#faults = this.#faults.filter((fault) => fault.at !== at
      || (fault.kind === 'damage') !== (kind === 'damage'));
    this.#faults.push(kind === 'damage' ? { kind, at, value: DAMAGE } : { kind, at });
    this.#faults.sort((one, other) => one.at - other.at);
    this.#list();
    this.#change();
  }

  #list() {
    const last = this.#faults.find(({ kind }) => kind !== 'damage');
    this.#part('.faults').replaceChildren(...this.#faults.map((fault) => {
      const [, , what] = FAULTS.find(([kind]) => kind === fault.kind) ?? ['', '', fault.kind];
      const isLate = last !== undefined && fault !== last && fault.at >= last.at;
      const name = `${what} at byte ${fault.at}`;
      const value = fault.kind === 'damage' && el('input', { type: 'number', min: 0, max: 255,
        value: fault.value, 'aria-label': `What byte ${fault.at} becomes`,
        oninput: (/** @type {any} */ { target }) => {
          fault.value = Math.min(255, Math.max(0, Math.trunc(Number(target.value)) || 0));
          this.#change();
        } });
      return el('li', {}, `Byte ${fault.at}: ${what} `, value, isLate ? ' (not reached) ' : '',
        el('button', { type: 'button', 'aria-label': `Remove: ${name}`, onclick: () => {
          this.#faults = this.#faults.filter((other) => other !== fault);
          this.#list();
          this.#change();
          this.#part('[name=at]').focus();
        } }, 'Remove'));
    }));
    this.#choose(Number(this.#part('[name=at]').value));
  }

  /** What the controls ask for. @returns {Asked} */
  get #asked() {
    const kind = this.#part('[name=fragmentation]').value;
    const numbers = (this.#part('[name=numbers]').value.match(/\d{1,12}/g) ?? []).map(Number);
    /** @type {{[kind: string]: Asked['fragmentation']}} */
    const fragmentations = { '': null, whole: [], 1: 1, size: numbers[0] || null,
      offsets: numbers.length ? numbers : null };
    return { fragmentation: fragmentations[kind], faults: this.#faults };
  }

  /** Something else is asked for. */
  #change() {
    const kind = this.#part('[name=fragmentation]').value;
    this.#part('.sizes').hidden = kind !== 'size' && kind !== 'offsets';
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#break(), QUIET);
  }

  async #break() {
    const [recorded, asked, turn] = [this.#recorded, this.#asked, ++this.#turn];
    if (recorded === null || !this.source) return;
    if (asked.fragmentation === null && !asked.faults.length) {
      this.#part('.outcome').replaceChildren();
      this.#show(false);
      this.#broken = null;
      brokenTraces.delete(recorded.name);
      this.#mark();
      return;
    }
    try {
      const { trace, plain } = await this.source.break(recorded.name, asked);
      if (turn !== this.#turn) return;
      this.#broken = new Trace(trace);
      brokenTraces.set(recorded.name, { recorded: recorded.trace, broken: this.#broken });
      this.#part('.outcome').replaceChildren(...outcome(this.#broken, plain));
      this.#show(true);
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#part('.outcome').replaceChildren(el('p', { class: 'failed' },
      error instanceof Error ? error.message : String(error)));
  }

  /** Have the page show one of the two traces. @param {boolean} broken */
  #show(broken) {
    const trace = broken ? this.#broken : this.#recorded?.trace;
    if (!trace || trace === this.#inspector?.trace) return;
    this.dispatchEvent(new CustomEvent('trace', { bubbles: true,
      detail: { trace, note: broken ? 'broken' : '' } }));
  }

  /** Mark which of the two is shown. */
  #mark() {
    if (this.#part('form') === null) return;
    const isBroken = this.#broken !== null && this.#inspector?.trace === this.#broken;
    this.#part('[name=recorded]').setAttribute('aria-pressed', String(!isBroken));
    this.#part('[name=broken]').setAttribute('aria-pressed', String(isBroken));
    for (const name of ['broken', 'save-recording', 'save-test']) {
      this.#part(`[name=${name}]`).disabled = this.#broken === null;
    }
  }

  /** @param {'recording' | 'test'} as */
  async #save(as) {
    if (this.#recorded === null || !this.source) return;
    try {
      const { name, text } = await this.source.save(this.#recorded.name, { ...this.#asked, as });
      const href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
      el('a', { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
      this.dispatchEvent(new CustomEvent('say', { bubbles: true, detail: `Saved ${name}` }));
    } catch (error) {
      this.#fail(error);
    }
  }
}

/** What becomes of the stream, in our decoder and in plain loops.
 * @param {Trace} trace @param {Plain[]} plain */
function outcome({ error, events, chunks, result, ending }, plain) {
  const verdict = error === null ? 'The answer is whole'
    : `${spaced(error.kind)}: ${error.message}`;
  const text = result?.text ?? result?.path ?? '';
  const ours = [el('th', { scope: 'row' }, 'This decoder'),
    el('td', {}, el('strong', {}, error === null ? 'whole' : spaced(error.kind)),
      ` ${verdict}. ${amount(events.length, 'event')} of ${amount(chunks.length, 'chunk')}, `
      + `the end at ${inSeconds(ending?.at)}.`), el('td', {}, text)];
  return [el('table', {},
    el('caption', {}, 'What becomes of these bytes'),
    el('thead', {}, el('tr', {}, ...['read by', 'outcome', 'text'].map((title) =>
      el('th', { scope: 'col' }, title)))),
    el('tbody', {}, el('tr', { class: 'ours' }, ...ours), ...plain.map((each) => el('tr',
      { class: each.outcome }, el('th', { scope: 'row' }, el('code', {}, each.loop),
        ` ${each.like}`), el('td', {}, el('strong', {}, OUTCOMES[each.outcome]),
        ` ${each.verdict}`, each.error && el('code', {}, each.error)), el('td', {}, each.text)))))];
}

customElements.define('break-panel', BreakPanel);
