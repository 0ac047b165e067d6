//! Every decoder: its own encodings come back, and of all other bytes it takes only those it would write itself.

use lattice::clock::Timestamp;
use lattice::codec;
use lattice::commit::{Commit, Header};
use lattice::entry::{Entry, Version};
use lattice::equivocation::Equivocation;
use lattice::frame::Frame;
use lattice::frontier::Chain;
use lattice::genesis::{Genesis, Member, Role};
use lattice::head::{Head, SignedHead};
use lattice::hello::{Hello, JoinAnswer, JoinRequest};
use lattice::ids::{AuthorId, CommitId, KeyHash, LatticeId, LogKey, StateRoot, ValueHash};
use lattice::limits::Limits;
use lattice::membership::Change;
use lattice::op::Op;
use lattice::record::{Event, Record};
use lattice::ticket::Ticket;
use lattice::tree::prefix::{Prefix, PrefixWire};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::for_all;
use crate::generate::{history, in_part, op, step, world};

/// A decoder and its encoder: `None` if the bytes are refused, else what encoding the value again gives.
struct Decoder {
    name: &'static str,
    again: fn(&[u8]) -> Option<Vec<u8>>,
    /// Later versions may append fields here, which this one accepts and does not keep.
    has_extensions: bool,
}

impl Decoder {
    const fn of(name: &'static str, again: fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        Self { name, again, has_extensions: false }
    }

    const fn extensible(name: &'static str, again: fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        Self { name, again, has_extensions: true }
    }

    /// The law: an error, or the same bytes again.
    fn judge(&self, bytes: &[u8]) {
        let Some(again) = (self.again)(bytes) else { return };
        if again == bytes {
            return;
        }
        // The list's last item is the map of extensions: empty as we write it (0xa0), some other map as it came.
        let (map, before) = again.split_last().expect("no value has no bytes");
        let differs_in_extensions_alone = self.has_extensions
            && *map == 0xa0
            && bytes.starts_with(before)
            && bytes.get(before.len()).is_some_and(|head| head & 0xe0 == 0xa0);
        assert!(differs_in_extensions_alone, "{} takes another form: {bytes:02x?}", self.name);
    }
}

const DECODERS: [Decoder; 16] = [
    Decoder::of("commit", |b| Commit::decode(b).ok().map(|v| v.encode())),
    Decoder::of("header", |b| Header::decode(b).ok().map(|v| v.encode())),
    Decoder::of("op", |b| Op::decode(b).ok().map(|v| v.encode())),
    Decoder::of("entry", |b| Entry::decode(b).ok().map(|v| v.encode())),
    Decoder::of("genesis", |b| Genesis::decode(b).ok().map(|v| v.encode())),
    Decoder::of("membership change", |b| Change::decode(b).ok().map(|v| v.encode())),
    Decoder::of("chain", |b| Chain::decode(b).ok().map(|v| v.encode())),
    Decoder::of("head", |b| SignedHead::decode(b).ok().map(|v| v.encode())),
    Decoder::of("record", |b| Record::decode(b).ok().map(|v| v.encode())),
    Decoder::of("equivocation", |b| Equivocation::decode(b).ok().map(|v| v.encode())),
    Decoder::of("join answer", |b| JoinAnswer::decode(b).ok().map(|v| v.encode())),
    Decoder::of("ticket", |b| {
        let text = std::str::from_utf8(b).ok()?;
        let ticket: Ticket = text.parse().ok()?;
        // Spaces around a pasted line are not part of it.
        (text == text.trim()).then(|| ticket.to_string().into_bytes())
    }),
    Decoder::of("prefix", |b| {
        let wire: PrefixWire<'_> = codec::decode(b, 64).ok()?;
        Prefix::try_from(&wire).ok().map(|v| codec::encode(&v.to_wire()))
    }),
    Decoder::extensible("frame", |b| Frame::decode(b).ok().map(|v| v.encode())),
    Decoder::extensible("hello", |b| Hello::decode(b).ok().map(|v| v.encode())),
    Decoder::extensible("join request", |b| JoinRequest::decode(b).ok().map(|v| v.encode())),
];

fn decoder(name: &str) -> &'static Decoder {
    DECODERS.iter().find(|decoder| decoder.name == name).expect("in the table")
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

/// Small ones and those around every width of a CBOR integer.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..30, 250u64..260, 65_530u64..65_540, (1u64 << 32) - 2..(1 << 32) + 2, 0..1u64 << 63]
}

fn text(bytes: usize) -> impl Strategy<Value = String> {
    vec(prop_oneof![prop::char::range('a', 'z'), Just('é'), Just('日'), Just('🟢')], 1..bytes / 4)
        .prop_map(|chars| chars.into_iter().collect())
}

fn member() -> impl Strategy<Value = Member> {
    let roles = btree_set(prop_oneof![Just(Role::Witness), Just(Role::Voter)], 0..3);
    (text(64), hash(), hash(), vec(any::<u8>(), 1..64), roles).prop_map(|(name, author, log, peer_id, roles)| Member {
        name,
        author: AuthorId(author),
        log_key: LogKey(log),
        peer_id,
        roles,
    })
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let admins = btree_set(hash().prop_map(AuthorId), 1..4);
    let prefixes = btree_set(text(40).prop_map(|text| text + "/"), 0..3);
    let limits = (72u64..=512, 0u64..=65_536, 1u64..=1024, 1024u64..=262_144, 1u64..=86_400_000);
    (text(64), admins, vec(member(), 0..4), prefixes, limits).prop_map(|(name, admins, members, seats, l)| {
        let mut members = members;
        members.sort_by_key(|member| member.author);
        let limits = Limits { key_bytes: l.0, value_bytes: l.1, commit_ops: l.2, commit_bytes: l.3, max_drift_ms: l.4 };
        Genesis { name, admins, members, seat_prefixes: seats, limits }
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let version = (number(), hash(), number(), number(), hash(), any::<u32>());
    (op(), version, any::<bool>()).prop_map(|(op, v, is_delete)| Entry {
        key: op.key().clone(),
        version: Version {
            time: Timestamp(v.0),
            author: AuthorId(v.1),
            term: v.2,
            seq: v.3,
            commit: CommitId(v.4),
            op_index: v.5,
        },
        value: (!is_delete).then_some(ValueHash(v.4)),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let signature = (hash(), hash()).prop_map(|(r, s)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        signature
    });
    let approvals = btree_map(hash().prop_map(AuthorId), signature, 0..4);
    prop_oneof![
        member().prop_map(Change::Add),
        (hash(), number()).prop_map(|(author, last_seq)| Change::Revoke { author: AuthorId(author), last_seq }),
        (hash(), number(), approvals).prop_map(|(admin, last_seq, approvals)| Change::Fall {
            admin: AuthorId(admin),
            last_seq,
            approvals
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (hash(), hash())
            .prop_map(|(lattice, author)| Event::Opened { lattice: LatticeId(lattice), author: AuthorId(author) }),
        vec(hash().prop_map(CommitId), 0..20).prop_map(|commits| Event::Applied { commits }),
        (hash(), text(20), number(), number()).prop_map(|(peer, outcome, received, sent)| {
            Event::Reconciled { peer: AuthorId(peer), outcome, received, sent }
        }),
        (text(20), text(80)).prop_map(|(mode, reason)| Event::Mode { mode, reason }),
        (vec(hash().prop_map(ValueHash), 0..20), number())
            .prop_map(|(changes, removed)| Event::Membership { changes, removed }),
        Just(Event::Stated),
        number().prop_map(|dropped| Event::Damaged { dropped }),
        (text(140), number(), hash()).prop_map(|(origin, size, root)| Event::Renamed { origin, size, root }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (number(), hash(), hash(), number(), event()).prop_map(|(time_ms, before, after, entries, event)| Record {
        time_ms,
        before: StateRoot(before),
        after: StateRoot(after),
        entries,
        event,
    })
}

fn head() -> impl Strategy<Value = SignedHead> {
    (number(), hash(), number(), hash(), number()).prop_map(|(time_ms, root, entries, frontier, size)| {
        let key = &world().keys[0].author;
        let lattice = world().genesis.id();
        let root = StateRoot(root);
        let estimator = std::array::from_fn(|i| root.0[i % 32] ^ i as u8);
        let head =
            Head { lattice, author: key.id(), time_ms, root, entries, frontier, checkpoint_size: size, estimator };
        head.sign(key)
    })
}

/// Two headers that take the same place in one chain.
fn equivocation() -> impl Strategy<Value = Equivocation> {
    (step(), step()).prop_filter_map("the same commit twice", |(a, mut b)| {
        (b.author, b.seq) = (a.author, a.seq);
        Equivocation::of(a.sign().signed(), b.sign().signed())
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        3 => (history(), any::<u8>()).prop_map(|(history, mask)| {
            Frame::Commits(history.iter().map(|commit| in_part(commit, mask).commit().clone()).collect())
        }),
        1 => head().prop_map(|head| Frame::Head(Box::new(head))),
        1 => equivocation().prop_map(|pair| Frame::Equivocation(Box::new(pair))),
    ]
}

fn chain() -> impl Strategy<Value = Chain> {
    vec((2u64..9, 1u64..9), 0..6).prop_map(|steps| {
        let mut chain = Chain::default();
        for (seq, millis) in steps {
            let step = crate::generate::Step { author: 0, seq, millis, ops: vec![Op::delete("k").expect("small")] };
            chain.note(step.sign().signed());
        }
        chain
    })
}

/// Encoded at once: a request holds a secret and does not print.
fn join_request() -> impl Strategy<Value = Vec<u8>> {
    (hash(), any::<[u8; 16]>(), member()).prop_map(|(lattice, secret, mut member)| {
        let key = &world().keys[0].author;
        member.author = key.id();
        JoinRequest::sign(key, LatticeId(lattice), secret, member).encode()
    })
}

fn ticket() -> impl Strategy<Value = Ticket> {
    (genesis(), vec(text(100), 1..4), any::<[u8; 16]>()).prop_map(|(genesis, addresses, secret)| Ticket {
        genesis,
        addresses,
        secret,
    })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (hash(), 0usize..=256).prop_map(|(key, bits)| Prefix::of(&KeyHash(key), bits))
}

fn hello() -> impl Strategy<Value = Hello> {
    hash().prop_map(|lattice| Hello::sign(&world().keys[1].author, LatticeId(lattice), b"from", b"to"))
}

fn join_answer() -> impl Strategy<Value = JoinAnswer> {
    prop_oneof![
        Just(JoinAnswer::Welcome),
        text(60).prop_map(JoinAnswer::Refused),
        text(60).prop_map(JoinAnswer::NotNow)
    ]
}

#[test]
fn what_was_encoded_decodes_to_the_same_value() {
    for_all(200, &(history(), any::<u8>()), |(history, mask)| {
        for commit in &history {
            let commit = in_part(commit, mask);
            let commit = commit.commit();
            assert_eq!(Commit::decode(&commit.encode()).as_ref(), Ok(commit));
            let header = commit.signed().header();
            assert_eq!(Header::decode(&header.encode()).as_ref(), Ok(header));
        }
    });
    for_all(60, &op(), |op| assert_eq!(Op::decode(&op.encode()), Ok(op)));
    for_all(100, &entry(), |entry| assert_eq!(Entry::decode(&entry.encode()), Ok(entry)));
    for_all(60, &genesis(), |genesis| assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis)));
    for_all(60, &change(), |change| assert_eq!(Change::decode(&change.encode()), Ok(change)));
    for_all(60, &record(), |record| assert_eq!(Record::decode(&record.encode()), Ok(record)));
    for_all(60, &prefix(), |prefix| {
        let bytes = codec::encode(&prefix.to_wire());
        assert_eq!(Prefix::try_from(&codec::decode::<PrefixWire<'_>>(&bytes, 64).expect("wire")), Ok(prefix));
    });
}

#[test]
fn what_is_sent_decodes_to_the_same_value() {
    for_all(30, &chain(), |chain| assert_eq!(Chain::decode(&chain.encode()), Ok(chain)));
    for_all(30, &head(), |head| assert_eq!(SignedHead::decode(&head.encode()), Ok(head)));
    for_all(30, &frame(), |frame| assert_eq!(Frame::decode(&frame.encode()), Ok(frame)));
    for_all(30, &equivocation(), |pair| {
        assert!(pair.is_proven());
        assert_eq!(Equivocation::decode(&pair.encode()), Ok(pair));
    });
    for_all(30, &hello(), |hello| assert_eq!(Hello::decode(&hello.encode()), Ok(hello)));
    for_all(30, &join_request(), |bytes| {
        let request = JoinRequest::decode(&bytes).ok().filter(JoinRequest::is_signed);
        assert_eq!(request.map(|request| request.encode()), Some(bytes));
    });
    for_all(30, &join_answer(), |answer| assert_eq!(JoinAnswer::decode(&answer.encode()), Ok(answer)));
    for_all(30, &ticket(), |ticket| assert_eq!(ticket.to_string().parse(), Ok(ticket)));
}

/// An encoding of some type, with the name of its decoder.
fn encoding() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let commit = || (step(), any::<u8>());
    prop_oneof![
        commit().prop_map(|(step, mask)| {
            let commit = in_part(&crate::generate::verified(step.sign()), mask);
            ("commit", commit.commit().encode())
        }),
        commit().prop_map(|(step, _)| ("header", step.sign().signed().header().encode())),
        op().prop_map(|op| ("op", op.encode())),
        entry().prop_map(|entry| ("entry", entry.encode())),
        genesis().prop_map(|genesis| ("genesis", genesis.encode())),
        change().prop_map(|change| ("membership change", change.encode())),
        chain().prop_map(|chain| ("chain", chain.encode())),
        head().prop_map(|head| ("head", head.encode())),
        record().prop_map(|record| ("record", record.encode())),
        equivocation().prop_map(|pair| ("equivocation", pair.encode())),
        join_answer().prop_map(|answer| ("join answer", answer.encode())),
        ticket().prop_map(|ticket| ("ticket", ticket.to_string().into_bytes())),
        prefix().prop_map(|prefix| ("prefix", codec::encode(&prefix.to_wire()))),
        frame().prop_map(|frame| ("frame", frame.encode())),
        hello().prop_map(|hello| ("hello", hello.encode())),
        join_request().prop_map(|request| ("join request", request)),
    ]
}

/// One change to some bytes; the kinds that matter to CBOR are heads in a longer form and other lengths.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    LongHead(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        at().prop_map(Mutation::Truncate),
        at().prop_map(Mutation::LongHead),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match self {
            Self::Insert(at, byte) => bytes.insert(at.index(len + 1), *byte),
            Self::Set(..) | Self::Flip(..) | Self::Remove(_) | Self::Truncate(_) | Self::LongHead(_) if len == 0 => {}
            Self::Set(at, byte) => bytes[at.index(len)] = *byte,
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Remove(at) => {
                bytes.remove(at.index(len));
            }
            Self::Truncate(at) => bytes.truncate(at.index(len)),
            Self::LongHead(at) => {
                // `major type, n < 24` in one byte becomes `major type, 24` and n: the same value, two bytes.
                let at = at.index(len);
                let (major, n) = (bytes[at] & 0xe0, bytes[at] & 0x1f);
                if n < 24 {
                    bytes.splice(at..=at, [major | 24, n]);
                }
            }
        }
    }
}

#[test]
fn of_altered_bytes_a_decoder_takes_only_its_own_form() {
    for_all(6_000, &(encoding(), vec(mutation(), 1..4)), |((name, bytes), mutations)| {
        let mut bytes = bytes;
        assert_eq!((decoder(name).again)(&bytes).as_ref(), Some(&bytes), "{name}");
        for mutation in &mutations {
            mutation.apply(&mut bytes);
            decoder(name).judge(&bytes);
        }
    });
}

#[test]
fn no_head_of_an_encoding_has_a_longer_form() {
    for_all(60, &encoding(), |(name, bytes)| {
        for at in 0..bytes.len() {
            let (major, n) = (bytes[at] & 0xe0, bytes[at] & 0x1f);
            let mut longer = bytes.clone();
            longer.splice(at..=at, [major | 24, n]);
            if n < 24 {
                decoder(name).judge(&longer);
            }
        }
    });
}

#[test]
fn arbitrary_bytes_are_refused_or_canonical() {
    // Mostly short lists, which get past the first byte.
    let bytes = (0x80u8..0x89, vec(prop_oneof![Just(0u8), Just(1), 0x40..0x46u8, any::<u8>()], 0..60));
    for_all(10_000, &bytes, |(first, rest)| {
        let bytes = [&[first], rest.as_slice()].concat();
        for decoder in &DECODERS {
            decoder.judge(&bytes);
            decoder.judge(&rest);
        }
    });
}

#[test]
fn every_encoding_is_refused_by_the_decoders_of_other_types_or_means_the_same_bytes() {
    for_all(400, &encoding(), |(_, bytes)| DECODERS.iter().for_each(|decoder| decoder.judge(&bytes)));
}

#[test]
fn fields_of_later_versions_are_taken_and_bounded() {
    let empty = Hello::sign(&world().keys[0].author, world().genesis.id(), b"a", b"b").encode();
    let with = |map: &[u8]| [&empty[..empty.len() - 1], map].concat();
    let one = with(&[0xa1, 0x61, b'x', 0x41, 0x00]);
    assert_eq!(Hello::decode(&one), Hello::decode(&empty));
    for (map, why) in [
        (&[0xa2, 0x61, b'x', 0x41, 0x00, 0x61, b'x', 0x41, 0x01][..], "a field twice"),
        (&[0xa2, 0x61, b'y', 0x41, 0x00, 0x61, b'x', 0x41, 0x01], "fields out of order"),
        (&[0xa1, 0x61, b'x', 0x01], "a field that is not bytes"),
        (&[0xbf, 0x61, b'x', 0x41, 0x00, 0xff], "an indefinite map"),
    ] {
        assert!(Hello::decode(&with(map)).is_err(), "{why}");
    }
    let large = [&[0xa1, 0x61, b'x', 0x59, 0x04, 0x00][..], &[0; 1024]].concat();
    assert!(Hello::decode(&with(&large)).is_err(), "1025 bytes of extensions");
}

#[test]
fn lists_are_bounded() {
    let commits = |count| Record {
        time_ms: 1,
        before: StateRoot::ZERO,
        after: StateRoot::ZERO,
        entries: 1,
        event: Event::Applied { commits: vec![CommitId::ZERO; count] },
    };
    assert!(Record::decode(&commits(1024).encode()).is_ok());
    assert!(Record::decode(&commits(1025).encode()).is_err());

    let approved = |count: usize| Change::Fall {
        admin: AuthorId::ZERO,
        last_seq: 1,
        approvals: (0..count).map(|n| (AuthorId([n as u8; 32]), [0; 64])).collect(),
    };
    assert!(Change::decode(&approved(256).encode()).is_ok());

    let step = crate::generate::Step { author: 0, seq: 1, millis: 1, ops: vec![Op::delete("k").expect("small")] };
    let commit = step.sign();
    assert!(Frame::decode(&Frame::Commits(vec![commit.clone(); 600]).encode()).is_ok());
    assert!(Frame::decode(&Frame::Commits(vec![commit; 1025]).encode()).is_err());
    assert!(Frame::decode(&Frame::Commits(Vec::new()).encode()).is_err());
}
