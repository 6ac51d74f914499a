/**
 * What all views of an exchange have in common. A view is a custom element; the page gives it an
 * `Inspector`. It draws at most once a frame, after `moment`, `mode`, `change` or `grow`, or when
 * its size changes.
 *
 * @typedef {object} Inspector
 * @property {string} name  of the recording
 * @property {import('./trace.js').Trace} trace
 * @property {import('./player.js').Player} player
 * @property {import('./selection.js').Selection} selection
 * @property {string | null} image  an address of the picture: a path of the server, or a data URL
 * @property {boolean} isOther  whether the recording was made with another picture
 */
export class View extends HTMLElement {
  /** @type {Inspector | null} */
  #inspector = null;
  #frame = 0;
  /** While time goes on, it is not drawn before. */
  #next = 0;
  /** Milliseconds from one drawing to the next while time goes on. */
  pause = 0;
  #listeners = new AbortController();
  #sizes = new ResizeObserver(() => this.invalidate());

  /** What it shows; null: nothing is open. @returns {Inspector | null} */
  get inspector() { return this.#inspector; }

  set inspector(inspector) {
    this.#listeners.abort();
    this.#listeners = new AbortController();
    this.#inspector = inspector;
    this.replaceChildren();
    this.#sizes.disconnect();
    if (inspector === null) return;
    const { signal } = this.#listeners;
    const { trace, player, selection } = inspector;
    /** @type {[EventTarget, string][]} */
    const sources = [[player, 'moment'], [player, 'mode'], [selection, 'change'], [trace, 'grow']];
    for (const [target, name] of sources) {
      target.addEventListener(name, () => this.invalidate(), { signal });
    }
    this.open();
    this.#sizes.observe(this);
    this.invalidate();
  }

  /** What it shows, where something is open: in `open` and `draw`. @returns {Inspector} */
  get shown() {
    if (this.#inspector === null) throw new Error('nothing is open');
    return this.#inspector;
  }

  /** Draw in the next frame, or after the pause. */
  invalidate() {
    this.#frame ||= requestAnimationFrame((now) => {
      this.#frame = 0;
      if (this.#inspector === null) return;
      if (now < this.#next && this.#inspector.player.playing) {
        this.invalidate();
        return;
      }
      this.draw();
      this.#next = now + this.pause;
    });
  }

  /** Build the elements of a new trace, once. The element is empty before it. */
  open() {}

  /** Draw the current moment and selection. */
  draw() {}

  /** Have the page's live region say something. @param {string} text */
  say(text) {
    this.dispatchEvent(new CustomEvent('say', { bubbles: true, detail: text }));
  }
}
