// Bytes as proofs need them: joined, compared, written as hexadecimal digits and as base64 of one form only.

const HEX = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, "0"));

export const utf8 = (text) => new TextEncoder().encode(text);

/** Text of bytes that are UTF-8; throws on all else. */
export const text = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

export const hex = (bytes) => Array.from(bytes, (byte) => HEX[byte]).join("");

export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export const equal = (one, other) => one.length === other.length && one.every((byte, index) => byte === other[index]);


/** A number in eight bytes, the greatest first. */
export function u64be(number) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number));
  return bytes;
}

/** The number that bytes write, the greatest first. */
export const bigEndian = (bytes) => bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);

export const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/** Bytes of base64 in its one form; throws on all else. */
export function unbase64(words) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(words) || words.length % 4 !== 0) throw new Error("base64 in another form");
  const bytes = Uint8Array.from(atob(words), (letter) => letter.charCodeAt(0));
  if (base64(bytes) !== words) throw new Error("base64 in another form");
  return bytes;
}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
}
