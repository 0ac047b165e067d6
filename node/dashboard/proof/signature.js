// Ed25519 by WebCrypto, as strict as the lattice: no keys and no points of small order.

/** The field's prime. */
const P = (1n << 255n) - 19n;

/** What this browser can check here. WebCrypto is absent on plain HTTP beyond this machine; Ed25519 in older browsers. */
export async function ability() {
  if (!globalThis.crypto?.subtle) return "no-webcrypto";
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32).fill(1), { name: "Ed25519" }, false, ["verify"]);
    return "all";
  } catch (error) {
    // A key that is no point is refused as data by those who know the algorithm.
    return error.name === "NotSupportedError" ? "no-ed25519" : "all";
  }
}

function littleEndian(bytes) {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** Whether a point is of small order: there y, y² - 1 or d·y⁴ + 2·y² - 1 is zero, with d = -121665/121666. */
function isWeak(point) {
  const y = littleEndian(point) % (1n << 255n);
  const yy = y * y;
  return (yy * (yy - 1n) * (121666n * (2n * yy - 1n) - 121665n * yy * yy)) % P === 0n;
}

/** Throws unless a key of 32 bytes signed a message; `who` is named then. */
export async function checkSignature(key, signature, message, who) {
  if (signature.length !== 64 || key.length !== 32) throw new Error(`that is no signature of ${who}`);
  if (isWeak(key) || isWeak(signature.subarray(0, 32))) throw new Error(`anybody can sign with a key like that of ${who}`);
  let holds = false;
  try {
    const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    holds = await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
  } catch {
    holds = false;
  }
  if (!holds) throw new Error(`the signature of ${who} does not hold`);
}
