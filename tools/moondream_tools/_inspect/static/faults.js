import { el } from './dom.js';

/** @typedef {import('./source.js').Asked['faults'][number]} Fault */

const DAMAGE = 255; // no character of UTF-8 has this byte
const KINDS = { close: 'connection closed', reset: 'connection reset',
  silence: 'silence until the deadline', damage: 'byte becomes' };

/** A button for each kind of fault. @param {(kind: string) => void} add */
export function faultButtons(add) {
  return el('div', { role: 'group', 'aria-label': 'Fault' }, ...Object.keys(KINDS).map((kind) =>
    el('button', { type: 'button', name: kind, onclick: () => add(kind) },
      kind[0].toUpperCase() + kind.slice(1))));
}

/** Faults with one more. A byte is damaged once, and the stream ends there in one way.
 * @param {Fault[]} faults @param {string} kind @param {number} at @returns {Fault[]} */
export function withFault(faults, kind, at) {
  const isDamage = kind === 'damage';
  return [...faults.filter((fault) => fault.at !== at || (fault.kind === 'damage') !== isDamage),
    { kind, at, ...(isDamage && { value: DAMAGE }) }].sort((one, other) => one.at - other.at);
}

/** A fault in a list.
 * @param {Fault} fault @param {Fault[]} all
 * @param {() => void} change  is called when it has another value
 * @param {() => void} remove */
export function faultItem(fault, all, change, remove) {
  const end = all.find(({ kind }) => kind !== 'damage')?.at ?? Infinity;
  const what = KINDS[/** @type {keyof KINDS} */ (fault.kind)];
  const isDamage = fault.kind === 'damage';
  const oninput = (/** @type {any} */ { target }) => {
    fault.value = Math.min(255, Math.max(0, Math.trunc(target.valueAsNumber) || 0));
    change();
  };
  return el('li', {}, `Byte ${fault.at}: ${what}`,
    isDamage && el('input', { type: 'number', min: 0, max: 255, value: fault.value, oninput,
      'aria-label': `What byte ${fault.at} becomes` }),
    (fault.at > end || isDamage && fault.at === end) && ' (not reached)',
    el('button', { type: 'button', onclick: remove,
      'aria-label': `Remove: ${what} at byte ${fault.at}` }, 'Remove'));
}
