// What the page knows: the stream's events put together, bounded as the node's own memory is (pure).

const BOUNDS = { lanes: 64, samples: 180, changes: 240, reconciles: 256, happenings: 1024 };

/** `silent_since_ms` is by this machine's clock, and `away`, since when each member is not reached, by the node's. */
export const empty = () => ({ now: null, silent_since_ms: null, away: new Map(), samples: [], lanes: new Map(), forks: [], reconciles: [], happenings: [] });

/** When a lane changed last. */
const changed = ({ changes }) => changes.at(-1).time_ms;

function lane(lanes, told) {
  const known = lanes.get(told.node);
  const changes = [...(known?.changes ?? []), ...told.changes].slice(-BOUNDS.changes);
  lanes.set(told.node, { ...told, changes });
  if (lanes.size <= BOUNDS.lanes) return;
  // The one that changed longest ago gives way, and never our own.
  const others = [...lanes.values()].filter(({ is_own }) => !is_own);
  lanes.delete(others.reduce((one, other) => (changed(other) < changed(one) ? other : one)).node);
}

/** Takes in one event of the stream. */
export function take(model, kind, data) {
  if (kind === "now") {
    model.now = data;
    model.away = new Map(unreached(data).map(({ key }) => [key, model.away.get(key) ?? data.time_ms]));
  }
  else if (kind === "lanes") data.forEach((told) => lane(model.lanes, told));
  else if (kind === "forks") model.forks = data;
  else if (kind in BOUNDS) model[kind] = [...model[kind], ...data].slice(-BOUNDS[kind]);
  return model;
}

/** Names of members by author, and by peer id. */
export function names(now) {
  const known = new Map();
  for (const { author, name, peer_id } of now.members) known.set(author, name).set(peer_id, name);
  return known;
}

/** Age beyond which a head says nothing any more, in milliseconds: they come every five seconds. */
const HEAD_STALE = 30_000;

/** Whether a node mirrors the seat's holder: then it is hidden and states nothing. */
const isMirror = ({ seat }, author) => author !== null && (seat.shadow === author || (seat.spares ?? []).includes(author));

/** The HTTP peer of an author, if the heartbeat asks it. */
const beaten = (now, author) => now.status.http_peers.find((peer) => author && peer.author === author);

/**
 * All that is known of other nodes, one row each, those with a connection first: what libp2p says of a peer beside what the
 * heartbeat says of the same node.
 */
export function rows(now) {
  const members = new Map(now.members.map((member) => [member.peer_id, member]));
  const root = now.status.state_root;
  const shown = new Set();
  const list = now.peers.map((peer) => {
    const member = members.get(peer.peer_id);
    const author = peer.author ?? member?.author ?? null;
    const http = beaten(now, author);
    if (http) shown.add(http.url);
    const isTold = peer.head_age_ms !== null && peer.head_age_ms < HEAD_STALE && !isMirror(now.status, author);
    const ofHttp = !peer.connected && http?.state_root && !http.error;
    return {
      key: peer.peer_id, peer, http, isMember: Boolean(member), name: peer.name ?? member?.name ?? null,
      author, isConnected: peer.connected, isMirror: isMirror(now.status, author),
      isReached: peer.connected || Boolean(ofHttp),
      root: ofHttp ? http.state_root : isTold ? peer.state_root : null,
      same: ofHttp ? http.state_root === root : isTold ? peer.same_root : null,
    };
  });
  for (const http of now.status.http_peers.filter(({ url }) => !shown.has(url))) {
    const isReached = Boolean(http.state_root) && !http.error;
    const member = now.members.find(({ author }) => author === http.author);
    list.push({
      key: http.url, peer: null, http, isMember: Boolean(member), name: member?.name ?? null, author: http.author,
      isMirror: false, isConnected: false, isReached, root: http.state_root, same: http.state_root ? http.state_root === root : null,
    });
  }
  const order = (row) => (row.isConnected ? 0 : row.isReached ? 1 : row.isMember ? 2 : 3);
  return list.sort((one, other) => order(one) - order(other) || (one.name ?? "~").localeCompare(other.name ?? "~"));
}

/** Lattice peers from which on a node dials no further members, as its `CONNECTIONS_WANTED`: who is away then may be well. */
const PEERS_WANTED = 32;

/** Members that should be reached, and are not. */
export function unreached(now) {
  const isFull = now.status.peers.lattice >= PEERS_WANTED;
  return rows(now).filter((row) => row.isMember && !row.isReached && !row.isMirror && (!isFull || row.peer?.configured));
}
