/**
 * Rules of the player:
 *
 * 1. Time goes on by the clock times the speed. At speed `Infinity` it goes from chunk to chunk:
 *    gaps are left out, and the whole takes ten seconds at most.
 * 2. At the end of an exchange that is under way it follows: each chunk that comes moves it on.
 *    `pause`, `seek` and `step` end that; the exchange goes on, and so does the trace.
 * 3. At the end of an exchange that has ended it stops. `play` there begins anew.
 *
 * @typedef {{now: () => number, request: (callback: () => void) => number,
 *   cancel: (id: number) => void}} Clock  milliseconds, and frames
 * @typedef {import('./trace.js').Item} Item
 */

/** @type {Clock} */
const FRAMES = {
  now: () => performance.now(),
  request: (callback) => requestAnimationFrame(callback),
  cancel: (id) => cancelAnimationFrame(id),
};
/** No frame moves the time further than this, after a tab was hidden: milliseconds. */
const LONGEST_FRAME = 500;
const FRAMES_AT_MOST = 600;
export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, Infinity];

/**
 * The moment that all views show. It dispatches `moment` when the time changes, at most once a
 * frame while it plays, and `mode` when it begins or stops to play, or its speed changes.
 */
export class Player extends EventTarget {
  #clock;
  #trace;
  #frame = 0;
  #last = 0;
  #speed = 1;

  /** Seconds since the request. @type {number} */
  time = 0;
  /** @type {boolean} */
  playing = false;
  /** Whether it stays at the end of an exchange that is under way. @type {boolean} */
  following = false;

  /** @param {import('./trace.js').Trace} trace @param {Clock} clock */
  constructor(trace, clock = FRAMES) {
    super();
    this.#trace = trace;
    this.#clock = clock;
    this.time = trace.end;
    trace.addEventListener('grow', () => this.#grown());
  }

  /** The last moment there is. @returns {number} */
  get end() { return this.#trace.end; }

  /** 1 is as recorded. @returns {number} */
  get speed() { return this.#speed; }
  set speed(speed) {
    this.#speed = speed;
    this.#changed('mode');
  }

  play() {
    if (this.playing) return;
    if (this.time >= this.end && !this.#trace.live) this.#move(0);
    this.playing = true;
    this.#last = this.#clock.now();
    this.#changed('mode');
    this.#tick();
  }

  /** Stay at the end of an exchange that is under way. */
  follow() {
    this.#move(this.end);
    this.play();
  }

  pause() {
    if (!this.playing) return;
    this.#stop();
    this.#changed('mode');
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} time */
  seek(time) {
    if (Number.isNaN(time)) return;
    if (this.following) this.pause();
    this.#last = this.#clock.now();
    this.#move(time);
  }

  /** To the next or the previous item of a lane.
   * @param {'chunk'|'event'} lane
   * @param {1|-1} by
   * @param {Item | null} from  the item that was stepped to last: items of one moment are stepped
   *   through one by one
   * @returns {Item | null}  where it is now; null if there is no other */
  step(lane, by, from = null) {
    this.pause();
    const trace = this.#trace;
    const isFrom = from !== null && from.lane === lane && trace.timeOf(from) === this.time;
    let index;
    if (isFrom) index = from.index + by;
    else if (by > 0) index = trace.countsAt(this.time)[lane];
    else {
      // Back goes to the item that was there before the last one of this moment.
      index = trace.countBefore(lane, this.time) - 1;
    }
    const item = { lane, index };
    if (!trace.has(item)) return null;
    this.#move(trace.timeOf(item));
    return item;
  }

  #tick() {
    this.#clock.cancel(this.#frame);
    if (!this.playing || this.following) return;
    if (this.time >= this.end) {
      if (this.#trace.live) this.following = true;
      else this.#stop();
      this.#changed('mode');
      return;
    }
    this.#frame = this.#clock.request(() => {
      const now = this.#clock.now();
      const passed = Math.min(now - this.#last, LONGEST_FRAME) / 1000;
      this.#last = now;
      this.#move(this.speed === Infinity ? this.#nextChunk() : this.time + passed * this.speed);
      this.#tick();
    });
  }

  /** @returns {number} */
  #nextChunk() {
    const trace = this.#trace;
    const by = Math.ceil(trace.count('chunk') / FRAMES_AT_MOST);
    const index = trace.countsAt(this.time).chunk - 1 + by;
    const item = { lane: /** @type {const} */ ('chunk'), index };
    return trace.has(item) ? trace.timeOf(item) : this.end;
  }

  #grown() {
    if (!this.following) {
      this.#changed('moment'); // the end is another one
      return;
    }
    this.#move(this.end);
    if (!this.#trace.live) {
      this.#stop();
      this.#changed('mode');
    }
  }

  #stop() {
    this.#clock.cancel(this.#frame);
    this.playing = false;
    this.following = false;
  }

  /** @param {number} time */
  #move(time) {
    const moment = Math.min(Math.max(time, 0), this.end);
    if (moment === this.time) return;
    this.time = moment;
    this.#changed('moment');
  }

  /** @param {'moment' | 'mode'} what */
  #changed(what) {
    this.dispatchEvent(new Event(what));
  }
}
