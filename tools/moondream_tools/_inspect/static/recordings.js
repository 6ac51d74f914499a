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
