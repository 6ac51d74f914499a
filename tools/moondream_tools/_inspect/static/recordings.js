import { el } from './dom.js';
import { linkTo } from './link.js';
import { amount } from './words.js';

/** A recording in the list. @param {import('./source.js').Recording} recording */
export function entry({ name, error, skill, status_code: status, chunks }) {
  const size = chunks === undefined ? 'under way' : amount(chunks, 'chunk');
  const about = error ? 'cannot be read'
    : [skill, status, size].filter((fact) => fact != null).join(' · ');
  return el('li', {}, el('a', { href: linkTo({ name, time: null, item: null }),
    class: error ? 'broken' : null },
  el('span', { class: 'name' }, name), ' ', el('span', { class: 'about' }, about)));
}

/** Mark the open recording in the list, and have it in view.
 * @param {HTMLElement} list @param {string} name */
export function mark(list, name) {
  for (const link of list.querySelectorAll('a')) {
    const isOpen = link.querySelector('.name')?.textContent === name;
    link.ariaCurrent = isOpen ? 'page' : null;
    if (!isOpen) continue;
    // `scrollIntoView` would scroll the page, too.
    const top = link.offsetTop - list.offsetTop;
    list.scrollTop = Math.max(top + link.offsetHeight - list.clientHeight,
      Math.min(list.scrollTop, top));
  }
}

/** What the page says without recordings: a title; then text and commands, by turns.
 * @param {boolean} canAsk @returns {[string, ...string[]]} */
export function noneYet(canAsk) {
  if (canAsk) return ['No answers yet', 'Ask below. Each answer becomes a recording of this page.'];
  return ['No recordings yet', 'Start this page with a recording, or a folder of them:',
    'moondream-stream inspect RECORDING', 'Record exchanges of your own with:',
    'moondream-stream record --upstream URL --to recordings'];
}
