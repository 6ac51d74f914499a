import { el } from './dom.js';
import { inBytes } from './words.js';

const MOST = 23_000_000; // bytes; base64 makes a third more of them, and the server takes 32 MB

/** A place for one picture: dropped, pasted or chosen. It dispatches `refused` with a reason. */
export class PictureDrop extends EventTarget {
  /** @type {File | Blob | null} */
  #file = null;
  #address = '';
  #depth = 0;
  #input = el('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', tabindex: -1,
    'aria-hidden': 'true', onchange: () => this.#choose(this.#input.files) });
  #preview = el('img', { alt: '', hidden: true, onerror: () => { this.#preview.hidden = true; } });
  #about = el('p', { role: 'status' });
  #remove = el('button', { type: 'button', hidden: true, onclick: () => this.clear() }, 'Remove');
  #reuse = el('button', { type: 'button', hidden: true }, 'Use the picture shown above');

  constructor() {
    super();
    this.element = el('div', { class: 'drop', role: 'group', 'aria-label': 'Picture',
      ondragenter: (/** @type {DragEvent} */ event) => this.#over(event, 1),
      ondragleave: (/** @type {DragEvent} */ event) => this.#over(event, -1),
      ondragover: (/** @type {DragEvent} */ event) => event.preventDefault(),
      ondrop: (/** @type {DragEvent} */ event) => {
        this.#over(event, -this.#depth);
        this.#choose(event.dataTransfer?.files);
      } },
    this.#preview, this.#about,
    el('div', { class: 'buttons' },
      el('button', { type: 'button', onclick: () => this.#input.click() }, 'Choose a picture'),
      this.#reuse, this.#remove), this.#input);
    this.clear();
  }

  /** Offer the picture of what is open. @param {string | null} address */
  offer(address) {
    this.#reuse.hidden = address === null;
    this.#reuse.onclick = async () => {
      if (address !== null) this.#take(await (await fetch(address)).blob());
    };
  }

  /** Take a picture of the clipboard, if there is one. @param {ClipboardEvent} event */
  paste(event) {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      this.#choose(event.clipboardData.files);
    }
  }

  clear() {
    this.#file = null;
    URL.revokeObjectURL(this.#address);
    this.#input.value = '';
    this.#preview.hidden = this.#remove.hidden = true;
    this.#about.textContent = 'Drop a picture here, or paste one';
  }

  /** The picture as a data URL, or null without one. @returns {Promise<string | null>} */
  async dataURL() {
    if (this.#file === null) return null;
    // The server looks at the bytes. A data URL of a picture has to say that it is one.
    const kind = this.#file.type.startsWith('image/') ? this.#file.type : 'image/jpeg';
    const reader = new FileReader();
    const read = new Promise((done, failed) => {
      reader.onload = done;
      reader.onerror = () => failed(reader.error);
    });
    reader.readAsDataURL(new Blob([this.#file], { type: kind }));
    await read;
    return /** @type {string} */ (reader.result);
  }

  /** @param {FileList | null | undefined} files */
  #choose(files) {
    if (!files?.length) return;
    if (files.length > 1) this.#refuse(`One picture at a time: these are ${files.length}.`);
    else this.#take(files[0]);
  }

  /** @param {File | Blob} file */
  #take(file) {
    if (file.size > MOST) {
      this.#refuse(`The picture has ${inBytes(file.size)}, and this page sends at most `
        + `${inBytes(MOST)}.`);
      return;
    }
    this.clear();
    this.#file = file;
    this.#remove.hidden = false;
    if (file.type.startsWith('image/')) {
      this.#address = URL.createObjectURL(file);
      this.#preview.src = this.#address;
      this.#preview.hidden = false;
    }
    const name = file instanceof File ? file.name : 'The picture shown above';
    this.#about.textContent = `${name}, ${inBytes(file.size)}`;
    this.dispatchEvent(new CustomEvent('refused', { detail: '' }));
  }

  /** @param {string} reason */
  #refuse(reason) {
    this.dispatchEvent(new CustomEvent('refused', { detail: reason }));
  }

  /** @param {DragEvent} event @param {number} by  of the elements that the pointer is over */
  #over(event, by) {
    event.preventDefault();
    this.#depth += by;
    this.element.classList.toggle('over', this.#depth > 0);
  }
}
