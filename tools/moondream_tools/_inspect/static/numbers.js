/** Numbers in ascending order that grow at the end, for binary search. */
export class Numbers {
  #values = new Float64Array(256);
  length = 0;

  /** @param {number} value */
  push(value) {
    if (this.length === this.#values.length) {
      const grown = new Float64Array(2 * this.length);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length++] = value;
  }

  /** @param {number} index @returns {number} */
  at(index) {
    return this.#values[index];
  }

  /** Count the numbers below a value. @param {number} value */
  below(value) {
    return firstIndex(this.length, (i) => this.#values[i] >= value);
  }

  /** Count the numbers that are at most a value. @param {number} value */
  upTo(value) {
    return firstIndex(this.length, (i) => this.#values[i] > value);
  }
}

/** The first index that is behind something, by binary search: those after it are, too.
 * @param {number} length @param {(index: number) => boolean} isBehind
 * @returns {number}  `length`, if none is */
export function firstIndex(length, isBehind) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBehind(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Bytes that grow at the end. */
export class Bytes {
  #buffer;
  /** The bytes that are there. */
  view;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#buffer = this.view = bytes;
  }

  /** @param {Uint8Array} more */
  append(more) {
    const length = this.view.length + more.length;
    if (length > this.#buffer.length) {
      this.#buffer = new Uint8Array(2 * length);
      this.#buffer.set(this.view);
    }
    this.#buffer.set(more, this.view.length);
    this.view = this.#buffer.subarray(0, length);
  }
}

/** The bytes that a text in base64 has. @param {string | null | undefined} text */
export function fromBase64(text) {
  const binary = atob(text ?? '');
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
