/**
 * Where the page has its recordings from: the server that gave the page, or the data that an
 * exported page has in itself. The page asks both alike.
 *
 * @typedef {import('./trace.js').TraceData} TraceData
 * @typedef {import('./trace.js').Update} Update
 * @typedef {{name: string, method?: string, path?: string, skill?: string | null,
 *   status_code?: number | null, seconds?: number, chunks?: number, bytes?: number,
 *   ending?: string | null, image?: 'recorded' | 'other' | null,
 *   error?: {message: string, line: number | null}}} Recording
 * @typedef {{states: string[], transitions: [string, string, string][]}} Machine
 * @typedef {{url: string, skills: string[]}} Endpoint
 * @typedef {{recordings: Recording[], endpoint?: Endpoint | null, version?: string,
 *   machine?: Machine}} Listing
 * @typedef {{curl: string, python: string, recording: string, har: string,
 *   left_out: string[]}} TakeAway  `left_out` says what is not recorded
 * @typedef {{message: string, kind?: string, advice?: string | null}} Failure
 * @typedef {{error: Failure | null, complete: boolean, reload: boolean}} End  how an exchange that
 *   was under way ended; `reload`: its recording differs from what was followed
 * @typedef {{fragmentation: null | number | number[],
 *   faults: {kind: string, at: number, value?: number}[]}} Asked
 * @typedef {Listing & {traces: {[name: string]: TraceData},
 *   takeaway: {[name: string]: TakeAway}, images: {[name: string]: number},
 *   pictures: string[]}} Embedded  `images` are indexes of `pictures`, which are data URLs
 */

/** Connections of a live exchange that may be lost, one after the other. */
const MOST_LOSSES = 4;

/** What went wrong, in words for the page. */
export class SourceError extends Error {
  /** @param {string} message @param {number | null} line  of the recording */
  constructor(message, line = null) {
    super(message);
    this.line = line;
  }
}

const EXPORTED = 'This page is one file without a server. '
  + 'Run `moondream-stream inspect RECORDING` to';
const GONE = 'The server of this page does not answer. '
  + 'Run `moondream-stream inspect` again, and open the address that it prints.';

/** The server's JSON API. Addresses are relative: they have the token of the page. */
export class Source {
  /** What can be asked. @type {Endpoint | null} */
  endpoint = null;

  canBreak = true;
  whyNoBreak = '';
  get canAsk() { return this.endpoint !== null; }
  /** @returns {string} */
  get whyNoAsk() {
    return this.canAsk ? '' : 'No endpoint to ask. Run `moondream-stream inspect --endpoint URL`.';
  }

  /** All recordings. @returns {Promise<Listing>} */
  async list() {
    const listing = await this.#json('api/recordings');
    this.endpoint = listing.endpoint ?? null;
    return listing;
  }

  /** @param {string} name @returns {Promise<TraceData>} */
  trace(name) { return this.#json(address('trace', name)); }

  /** The address of the picture, or null. @param {Recording} recording */
  image({ name, image }) { return image ? address('image', name) : null; }

  /** @param {string} name @returns {Promise<TakeAway>} */
  takeAway(name) { return this.#json(address('takeaway', name)); }

  /** Decode a recording anew, cut elsewhere or with faults.
   * @param {string} name @param {Asked} asked
   * @returns {Promise<{trace: TraceData, plain: any}>} */
  break(name, asked) { return this.#json(address('break', name), asked); }

  /** @param {string} name @param {Asked & {as: 'recording' | 'test'}} asked
   * @returns {Promise<{name: string, text: string}>} */
  save(name, asked) { return this.#json(address('save', name), asked); }

  /** Ask the endpoint. @param {{skill: string, [field: string]: any}} asked
   * @returns {Promise<{name: string}>}  of the recording that grows */
  ask(asked) { return this.#json('api/ask', asked); }

  /** @param {string} name @returns {Promise<null>} */
  cancel(name) { return this.#json(address('cancel', name), {}); }

  /** Follow an exchange that is under way.
   * @param {string} name
   * @param {import('./trace.js').Trace | null} trace  gets each update
   * @param {(end: End) => void} ended
   * @returns {() => void}  a function that stops it */
  live(name, trace, ended) {
    // When it connects again, it says by itself which updates it has.
    const events = new EventSource(`${address('live', name)}?after=0`);
    let losses = 0;
    /** @param {End} end */
    const end = (end) => {
      events.close();
      ended(end);
    };
    events.onmessage = ({ data }) => {
      losses = 0;
      trace?.append(JSON.parse(data));
    };
    events.addEventListener('end', ({ data }) => end(JSON.parse(data)));
    events.onerror = () => {
      losses += 1;
      if (losses > MOST_LOSSES || events.readyState === EventSource.CLOSED) {
        end({ error: { message: GONE }, complete: false, reload: false });
      }
    };
    return () => events.close();
  }

  /** Wait for the end of an exchange, whether it is followed or not.
   * @param {string} name @param {AbortSignal} signal  stops waiting
   * @returns {Promise<End>} */
  ended(name, signal) {
    return new Promise((done) => {
      signal.addEventListener('abort', this.live(name, null, done));
    });
  }

  /** @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #json(path, body) {
    const response = await fetched(path, body);
    if (!response.ok) throw await refusal(response);
    return response.status === 204 ? null : response.json();
  }
}

/** @param {string} what @param {string} name */
function address(what, name) { return `api/${what}/${encodeURIComponent(name)}`; }

/** @param {string} path @param {object} [body] @returns {Promise<Response>} */
async function fetched(path, body) {
  const request = body === undefined ? {} : {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
  try {
    return await fetch(path, request);
  } catch {
    throw new SourceError(GONE);
  }
}

/** @param {Response} response @returns {Promise<SourceError>} */
async function refusal(response) {
  try {
    const { message, line } = (await response.json()).error;
    return new SourceError(message, line ?? null);
  } catch {
    return new SourceError(`The server of this page answered ${response.status}.`);
  }
}

/** The data in an exported page, which can neither break nor ask. */
class Exported extends Source {
  #data;

  canBreak = false;
  whyNoBreak = `${EXPORTED} break its streams.`;
  get whyNoAsk() { return `${EXPORTED} ask an endpoint (\`--endpoint URL\`).`; }

  /** @param {Embedded} data */
  constructor(data) {
    super();
    this.#data = data;
  }

  /** @override */
  async list() { return this.#data; }

  /** @override @param {string} name */
  async trace(name) { return own(this.#data.traces, name); }

  /** @override @param {Recording} recording */
  image({ name }) {
    return this.#data.pictures[own(this.#data.images, name, -1)] ?? null;
  }

  /** @override @param {string} name */
  async takeAway(name) { return own(this.#data.takeaway, name); }
}

/** @template T @param {{[name: string]: T}} values @param {string} name @param {T} [otherwise]
 * @returns {T} */
function own(values, name, otherwise) {
  if (Object.hasOwn(values, name)) return values[name];
  if (otherwise !== undefined) return otherwise;
  throw new SourceError(`This page has no recording “${name}”.`);
}

/** The source of this page. @returns {Source} */
export function openSource() {
  const embedded = document.getElementById('embedded');
  return embedded === null ? new Source() : new Exported(JSON.parse(embedded.textContent ?? ''));
}
