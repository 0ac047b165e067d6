// The trees of proofs: RFC 6962 trees of logs, commits and pages, and the state tree above pages.

import { sha256, u64be, utf8 } from "./bytes.js";

/** Entries that a page may have. */
const PAGE_MAX = 32n;

/** The greatest power of two below a number above one. */
function half(size) {
  let power = 1n;
  while (power * 2n < size) power *= 2n;
  return power;
}

/** The root of an RFC 6962 tree over leaf hashes (section 2.1). */
export async function rootOf(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0];
  const left = Number(half(BigInt(leaves.length)));
  return sha256([1], await rootOf(leaves.slice(0, left)), await rootOf(leaves.slice(left)));
}

/** The root of such a tree of so many leaves, from one leaf and its audit path, every hash of which is used once. */
export async function climb(leaf, index, size, path) {
  if (index >= size || path.length > 0 !== size > 1n) {
    throw new Error("the tree has no such index, or another path leads there");
  }
  if (size === 1n) return leaf;
  const left = half(size);
  const [rest, other] = [path.slice(0, -1), path[path.length - 1]];
  return index < left
    ? sha256([1], await climb(leaf, index, left, rest), other)
    : sha256([1], other, await climb(leaf, index - left, size - left, rest));
}

/** The hash of a key as 256 digits of nought and one. */
export async function bits(key) {
  return Array.from(await sha256(utf8(key)), (byte) => byte.toString(2).padStart(8, "0")).join("");
}

/** The state root, from a page upwards along the sides that the key's hash names. */
export async function stateRoot(key, page, pageLength, siblings, entries) {
  if (pageLength > PAGE_MAX || pageLength > entries || siblings.length > 256) throw new Error("no state has such a page");
  const sides = await bits(key);
  let node = await sha256([2], u64be(pageLength), page);
  for (let depth = siblings.length - 1; depth >= 0; depth -= 1) {
    node = sides[depth] === "0" ? await sha256([1], node, siblings[depth]) : await sha256([1], siblings[depth], node);
  }
  return sha256(utf8("lattice/state/v1\0"), u64be(entries), node);
}
