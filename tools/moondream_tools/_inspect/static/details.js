import { el } from './dom.js';
import { LANES } from './trace.js';
import { View } from './view.js';
import { PLURALS, amount, inSeconds, shortened, spaced } from './words.js';

/** @typedef {import('./trace.js').Item} Item */
/** @typedef {[string, string | number | Node] | false | undefined} Fact */

const LONGEST = 20_000; // characters of JSON or text
const LINKS = 6; // of a lane

/** Everything of the item that is pointed at; of the exchange, if none is. */
export class DetailsView extends View {
  #drawn = '';

  open() {
    this.#drawn = '';
  }

  draw() {
    const { trace, selection } = this.shown;
    const item = trace.has(selection.active) ? selection.active : null;
    const known = item === null ? `${trace.chunks.length} ${trace.live}`
      : `${item.lane} ${item.index} ${trace.records.length}`;
    if (known === this.#drawn) return;
    this.#drawn = known;
    this.replaceChildren(...(item === null ? this.#exchange() : this.#item(item)));
  }

  /** @returns {Node[]} */
  #exchange() {
    const { request, response, ending, error, result } = this.shown.trace;
    return [
      el('p', { class: 'hint' }, 'Select a chunk, record, message or event to see all of it.'),
      ending && facts([['ending',
        spaced(ending.fault) + (ending.message && `: ${ending.message}`)]]),
      folded('Request headers', headers(request.headers)),
      request.body !== null && folded('Request body', json(request.body)),
      response !== null && folded('Response headers', headers(response.headers)),
      error !== null && folded('Error', json(error), true),
      result !== null && folded('Result', json(result), true),
    ].filter((node) => node instanceof Node);
  }

  /** @param {Item} item @returns {Node[]} */
  #item(item) {
    const { trace } = this.shown;
    return [
      el('h4', { class: `lane ${item.lane}` }, `${item.lane} ${item.index}`),
      facts([['at', inSeconds(trace.timeOf(item))], ...this.#facts(item), ...this.#related(item)]),
      content(trace, item),
    ];
  }

  /** @param {Item} item @returns {Fact[]} */
  #facts({ lane, index }) {
    const { trace } = this.shown;
    if (lane === 'event') return [['kind', spaced(trace.events[index].value.kind)]];
    if (lane === 'record') {
      const { start, end, event } = trace.records[index];
      return [['bytes', `${start} to ${end} (${end - start})`], event !== '' && ['name', event]];
    }
    if (lane === 'message') return [];
    const { at, start, end, cut, decoded_end: decodedEnd } = trace.chunks[index];
    const before = trace.chunks[index - 1];
    return [
      before && ['after chunk before', inSeconds(at - before.at)],
      ['bytes', `${start} to ${end} (${end - start})`],
      trace.compressed && ['decoded', `${before?.decoded_end ?? 0} to ${decodedEnd}`],
      cut > 0 && ['cut character', `its first ${amount(cut, 'byte')} end this chunk`],
    ];
  }

  /** Links to what belongs to an item. @param {Item} item @returns {Fact[]} */
  #related(item) {
    const { trace, player, selection } = this.shown;
    const related = trace.related(item);
    return LANES.flatMap((lane) => {
      const [first, after] = related[lane];
      if (lane === item.lane || after <= first) return [];
      const links = el('span', { class: 'links' });
      for (let index = first; index < Math.min(after, first + LINKS); index++) {
        links.append(el('button', { class: `link ${lane}`,
          'aria-label': `${lane} ${index}`, onclick: () => {
            selection.select({ lane, index });
            player.seek(trace.timeOf({ lane, index }));
          } }, index));
      }
      if (after > first + LINKS) links.append(`to ${after - 1}`);
      return [[after - first === 1 ? lane : PLURALS[lane], links]];
    });
  }
}

customElements.define('details-view', DetailsView);

/** @param {import('./trace.js').Trace} trace @param {Item} item @returns {Node} */
function content(trace, item) {
  if (item.lane === 'message') return json(trace.messages[item.index].value);
  if (item.lane === 'event') return json(trace.events[item.index].value);
  const bytes = trace.decoded.subarray(...trace.span(item)).subarray(0, LONGEST);
  return code(new TextDecoder().decode(bytes));
}

/** @param {Fact[]} pairs */
function facts(pairs) {
  return el('dl', {}, ...pairs.flatMap((pair) => (
    pair ? [el('dt', {}, pair[0]), el('dd', {}, pair[1])] : [])));
}

/** @param {import('./trace.js').HeaderPairs} pairs */
function headers(pairs) {
  return code(pairs.map(([name, value]) => `${name}: ${value}`).join('\n') || 'none');
}

/** @param {any} value */
function json(value) {
  return code(JSON.stringify(value, null, 2));
}

/** @param {string} text */
function code(text) {
  return el('pre', { tabindex: 0 }, shortened(text, LONGEST));
}

/** @param {string} title @param {Node} node @param {boolean} open */
function folded(title, node, open = false) {
  return el('details', { open }, el('summary', {}, title), node);
}
