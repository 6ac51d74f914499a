/** How bytes are shown as characters. Nothing here decodes the protocol. */

/** Bidirectional controls, invisible and unassigned characters: each is shown as this. */
const INVISIBLE = '▯';

/** How many bytes the character has that begins at an offset; 0: none begins there.
 * @param {Uint8Array} bytes @param {number} offset @returns {number} */
export function lengthAt(bytes, offset) {
  const lead = bytes[offset];
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3
    : lead >= 0xc2 && lead < 0xe0 ? 2 : 0;
  for (let i = 1; i < length; i++) if ((bytes[offset + i] & 0xc0) !== 0x80) return 0;
  return length;
}

/** Where the character begins that has the byte at an offset: there, or up to 3 bytes before.
 * @param {Uint8Array} bytes @param {number} offset @returns {number} */
export function startOf(bytes, offset) {
  for (let back = 1; back < 4 && (bytes[offset - back + 1] & 0xc0) === 0x80; back++) {
    if (lengthAt(bytes, offset - back) > back) return offset - back;
  }
  return offset;
}

const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

/** What is shown for the character at an offset: a symbol for a control character, a dot for a byte
 * that is no UTF-8. @param {Uint8Array} bytes @param {number} offset @param {number} length
 * @returns {string} */
export function symbolAt(bytes, offset, length) {
  const byte = bytes[offset];
  if (length === 0) return '·';
  if (byte < 0x20) return String.fromCharCode(0x2400 + byte);
  if (byte === 0x7f) return '\u2421';
  if (length === 1) return String.fromCharCode(byte);
  const text = decoder.decode(bytes.subarray(offset, offset + length));
  if (text === '\ufffd' && byte !== 0xef) return '·'; // a surrogate, or too long a form
  if (/[\p{C}\p{Z}]/u.test(text)) return INVISIBLE;
  return /\p{M}/u.test(text) ? `\u25cc${text}` : text;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Two digits. @param {number} byte */
export function hex(byte) { return HEX[byte]; }
