/**
 * What all views of an exchange have in common. A view is a custom element; the page gives it an
 * `Inspector`. It draws at most once a frame, after `moment`, `change` or `grow`.
 *
 * @typedef {object} Inspector
 * @property {string} name  of the recording
 * @property {import('./trace.js').Trace} trace
 * @property {import('./player.js').Player} player
 * @property {import('./selection.js').Selection} selection
 * @property {string | null} image  an address of the picture: a path of the server, or a data URL
 */
export class View extends HTMLElement {
  /** @param {Inspector | null} inspector  null: nothing is open */
  set inspector(inspector) {}
  /** Build the elements of a new trace, once. */
  open() {}
  /** Draw the current moment and selection. */
  draw() {}
}
