// Canonical CBOR as the lattice's formats use it: whole numbers, bytes, text, lists, null. Strict: what is read must be what
// would be written.

import { equal, join, text, utf8 } from "./bytes.js";

/** Lists within lists; the formats need three. */
const DEPTH_MAX = 8;

function head(kind, number) {
  const widths = [1, 2, 4, 8];
  if (number < 24n) return Uint8Array.of((kind << 5) | Number(number));
  const place = widths.findIndex((width) => number < 1n << BigInt(8 * width));
  const bytes = new Uint8Array(1 + widths[place]);
  bytes[0] = (kind << 5) | (24 + place);
  for (let index = bytes.length - 1, rest = number; index > 0; index -= 1, rest >>= 8n) bytes[index] = Number(rest & 255n);
  return bytes;
}

export function encode(value) {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "bigint") return head(0, value);
  if (typeof value === "string") {
    const bytes = utf8(value);
    return join(head(3, BigInt(bytes.length)), bytes);
  }
  if (value instanceof Uint8Array) return join(head(2, BigInt(value.length)), value);
  return join(head(4, BigInt(value.length)), ...value.map(encode));
}

function read(bytes, at, depth) {
  const kind = bytes[at] >> 5;
  let number = BigInt(bytes[at] & 31);
  let next = at + 1;
  if (bytes[at] === 0xf6) return [null, next];
  if (number > 23n) {
    const width = 1 << Number(number - 24n);
    if (number > 27n || next + width > bytes.length) throw new Error("CBOR of another kind or form");
    number = bytes.subarray(next, next + width).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    next += width;
  }
  if (kind === 0) return [number, next];
  // No more items than bytes: nothing is made by a length that a stranger claims.
  if (![2, 3, 4].includes(kind) || number > BigInt(bytes.length - next) || depth > DEPTH_MAX) {
    throw new Error("CBOR of another kind or form");
  }
  if (kind === 4) {
    const items = [];
    for (let left = Number(number); left > 0; left -= 1) {
      const [item, behind] = read(bytes, next, depth + 1);
      items.push(item);
      next = behind;
    }
    return [items, next];
  }
  const body = bytes.slice(next, next + Number(number));
  return [kind === 2 ? body : text(body), next + Number(number)];
}

export function decode(bytes) {
  if (bytes.length === 0) throw new Error("CBOR of another kind or form");
  const [value, end] = read(bytes, 0, 0);
  if (end !== bytes.length || !equal(encode(value), bytes)) throw new Error("CBOR of another kind or form");
  return value;
}

function letter(item) {
  if (item === null) return "N";
  if (typeof item === "bigint") return "i";
  if (typeof item === "string") return "s";
  if (Array.isArray(item)) return "l";
  return item.length === 32 ? "h" : "b";
}

/**
 * The items of a list, whose kinds a pattern names by a letter each: i whole number, s text, b bytes, h bytes of a hash's
 * length, l list, N null.
 */
export function fields(bytes, pattern) {
  const items = decode(bytes);
  if (!Array.isArray(items) || !new RegExp(`^(?:${pattern})$`).test(items.map(letter).join(""))) {
    throw new Error("CBOR of another kind or form");
  }
  return items;
}
