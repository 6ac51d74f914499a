/**
 * Links to a moment: `#name=segment&t=1.25&select=event:12`. What makes no sense is ignored.
 *
 * @typedef {import('./trace.js').Item} Item
 * @typedef {{name: string | null, time: number | null, item: Item | null}} Moment
 */

/** @param {string} hash @returns {Moment} */
export function readLink(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const time = fields.get('t');
  const select = /^(chunk|record|message|event):(\d{1,9})$/.exec(fields.get('select') ?? '');
  return {
    name: fields.get('name'),
    time: time !== null && /^\d+(\.\d+)?$/.test(time) ? Number(time) : null,
    item: select && { lane: /** @type {Item['lane']} */ (select[1]), index: Number(select[2]) },
  };
}

/** @param {Moment & {name: string}} moment @returns {string} */
export function linkTo({ name, time, item }) {
  const fields = new URLSearchParams({ name });
  if (time !== null) fields.set('t', String(Number(time.toFixed(6))));
  if (item !== null) fields.set('select', `${item.lane}:${item.index}`);
  return `#${fields}`.replaceAll('%3A', ':');
}

/** Have the address name a moment. @param {Moment & {name: string}} moment */
export function writeLink(moment) {
  history.replaceState(null, '', linkTo(moment));
}
