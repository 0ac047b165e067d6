// Figures and names as people read them (pure).

/** As many digits of a hash as tell it from the others of a lattice. */
const SHORT = 8;

export const short = (hash, digits = SHORT) => (hash ? hash.slice(0, digits) : "–");

/** A text whose hashes are as short as elsewhere. */
export const brief = (text) => text.replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, "$1");

/** A peer id's end, where they differ. */
export const shortPeer = (id) => (id && id.length > 12 ? `…${id.slice(-8)}` : id ?? "–");

/** A whole number with thin spaces between its thousands. */
export const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** A figure with about three digits. */
export function figure(number) {
  if (number === null || number === undefined) return "–";
  if (Number.isInteger(number)) return count(number);
  if (number >= 100) return count(Math.round(number));
  return number >= 10 ? number.toFixed(1) : number.toFixed(2);
}

export const millis = (ms) => {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${figure(ms)} ms` : `${figure(ms / 1000)} s`;
};

/** A span of time in its two greatest units. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** How long ago something was. */
export const ago = (ms) => (ms === null || ms === undefined ? "never" : ms < 2000 ? "now" : `${span(ms)} ago`);

const two = (number) => String(number).padStart(2, "0");

/** The time of day, by this machine's clock. */
export function clock(ms) {
  const time = new Date(ms);
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

/** Day and time, by this machine's clock. */
export function moment(ms) {
  const time = new Date(ms);
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock(ms)}`;
}

export function bytes(length) {
  return length < 1024 ? `${length} bytes` : `${figure(length / 1024)} KiB`;
}

/** What carries a connection, by its multiaddress. */
export function transport(address) {
  if (!address) return "–";
  if (address.includes("/p2p-circuit")) return "relay";
  if (address.includes("/quic")) return "QUIC";
  return address.includes("/tcp/") ? "TCP" : "other";
}

/** Host and port of a multiaddress or a URL; the whole of what is neither. */
export function place(address) {
  const parts = /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)\/(?:tcp|udp)\/(\d+)/.exec(address ?? "");
  if (parts) return parts[1].includes(":") ? `[${parts[1]}]:${parts[2]}` : `${parts[1]}:${parts[2]}`;
  return (address ?? "–").replace(/^https?:\/\//, "").replace(/\/$/, "");
}

/** A hue for a root, the same everywhere; green is left to our own. */
export function hue(root) {
  const number = parseInt((root ?? "0").slice(0, 6), 16) || 0;
  return (200 + (number % 220)) % 360;
}

/** One or several of something. */
export const some = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;
