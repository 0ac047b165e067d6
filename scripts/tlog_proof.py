"""Who vouches for a record of a log, by c2sp.org/tlog-checkpoint, tlog-cosignature and tlog-policy, and RFC 6962.

The half of scripts/verify-bundle that knows nothing of a lattice."""
import base64, hashlib, re  # noqa: E401
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

class Undecided(Exception):
    """Nothing is wrong, but the policy does not reach as far."""

def require(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)
    return holds
def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def unbase64(text):
    raw = base64.b64decode(text, validate=True)
    require(base64.b64encode(raw).decode() == text, "base64 in another form")
    return raw

def mth(leaves):
    """The root of an RFC 6962 tree (section 2.1)."""
    left = 1 << (len(leaves) - 1).bit_length() - 1 if len(leaves) > 1 else 0  # the greatest power of two below
    return sha256(b"\x01", mth(leaves[:left]), mth(leaves[left:])) if left else leaves[0] if leaves else sha256()
def climb(leaf, index, size, path):
    """The root of such a tree of `size` leaves, from one leaf and its audit path (section 2.1.1)."""
    require(index < size and bool(path) == (size > 1), "the tree has no such index, or another path leads there")
    if size == 1:
        return leaf
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        return sha256(b"\x01", climb(leaf, index, left, path[:-1]), path[-1])
    return sha256(b"\x01", path[-1], climb(leaf, index - left, size - left, path[:-1]))

def check_signature(key, signature, message, who):
    """Ed25519 as `cryptography` has it (S below the group order, no cofactor), without points of small order: those are
    where y, y^2 - 1 or d y^4 + 2 y^2 - 1 is zero, with d = -121665/121666."""
    for point in (key, signature[:32]):
        yy = (int.from_bytes(point, "little") % 2**255) ** 2
        factors = yy * (yy - 1) * (121666 * (2 * yy - 1) - 121665 * yy**2)
        require(factors % (2**255 - 19), f"anybody can sign with a key like that of {who}")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise ValueError(f"the signature of {who} does not hold") from None

def read_key(vkey, kind):
    """Name, key id and public key."""
    name, key_id, raw = vkey.split("+", 2)
    is_right = sha256(name.encode(), b"\n", unbase64(raw))[:4].hex() == key_id and unbase64(raw)[0] == kind
    require(is_right and len(unbase64(raw)) == 33, f"no key of type {kind}, or mistyped: {vkey}")
    return name, bytes.fromhex(key_id), unbase64(raw)[1:]

def read_policy(text):
    """Keys of logs; witnesses (name, key, 0) and groups (name, members, how many) in their order; the quorum's name."""
    logs, voices, quorum, used = [], [], [], {"none"}
    for line in text.split("\n"):
        names = {"none"} | {name for name, _, _ in voices}
        match [word for word in re.split("[ \t]", line) if word]:
            case ["log", vkey] | ["log", vkey, _]:
                logs.append(read_key(vkey, 1))
            case ["witness", name, vkey] | ["witness", name, vkey, _] if name not in names:
                voices.append((name, read_key(vkey, 4), 0))
            case ["group", name, number, *members] if name not in names and not used & {*members}:
                least = {"all": len(members), "any": 1}.get(number) or int(number)
                require(0 < least <= len(members) == len(names & {*members}), f"no group can be so: {line}")
                used |= {*members}
                voices.append((name, {*members}, least))
            case ["quorum", name] if name in names and not quorum:
                quorum = [name]
            case [word, *_] if not word.startswith("#"):
                raise ValueError(f"no line of a policy: {line}")
    require(quorum, "the policy has no line \"quorum\"")
    for keys in logs, [key for _, key, least in voices if not least]:
        require(len({public for _, _, public in keys}) == len(keys), "a key is there twice")
    return logs, voices, quorum[0]

def judge(text, lines, policy):
    """Who cosigned a checkpoint, with times, if that is enough. Lines of unknown keys, or of its log's, mean nothing."""
    def times(key, domain=""):  # one for each line of this key: a line that does not hold spoils all
        for raw in [unbase64(raw) for _, name, raw in lines if (name, unbase64(raw)[:4]) == key[:2]]:
            time = int.from_bytes(raw[4:-64], "big")
            require(len(raw) == (76 if domain else 68) and time < 2**63 and bool(time) == bool(domain), "a bad time")
            check_signature(key[2], raw[-64:], (domain.format(time) + text).encode(), key[0])
            yield time
    (logs, voices, quorum), there = policy, {"none": 0}
    known = [key for key in logs if key[0] == text.split("\n")[0]]
    if not known:
        raise Undecided("the policy does not name this log")
    require(any([[*times(key)] for key in known]), "the log did not sign the checkpoint")
    for name, voice, least in voices:
        signed = sorted(voice & {*there}) if least else [*times(voice, "cosignature/v1\ntime {}\n")]
        if len(signed) >= max(least, 1) and (least or voice[2] not in {public for _, _, public in known}):
            there[name] = 0 if least else max(signed)
    if quorum not in there:
        raise Undecided(f"the quorum {quorum} is not reached, only {[*there][1:]}")
    return {name: time for name, time in there.items() if time}
