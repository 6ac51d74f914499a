/**
 * The moment that all views show. It dispatches `moment` when the time changes, at most once a
 * frame while it plays, and `mode` when it begins or stops to play, or its speed changes.
 */
export class Player extends EventTarget {
  /** @param {import('./trace.js').Trace} trace */
  constructor(trace) { super(); }

  /** Seconds since the request. @type {number} */
  time;
  /** @type {boolean} */
  playing;
  /** 1 is as recorded. @type {number} */
  speed;
  /** Whether it stays at the end of an exchange that is under way. @type {boolean} */
  following;

  play() {}
  pause() {}
  /** @param {number} time */
  seek(time) {}
  /** To the next or the previous item of a lane. @param {'chunk'|'event'} lane @param {1|-1} by */
  step(lane, by) {}
}
