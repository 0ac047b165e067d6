//! Trust policies (C2SP tlog-policy): which logs are accepted, and which witnesses must have cosigned.
//!
//! A policy is written by whoever relies on it, never taken from what it is to judge. Its file is read as bytes: names,
//! URLs and comments may hold any above 0x7f, which mean nothing but themselves.

mod file;

use std::collections::HashSet;
use std::fmt;

use super::checkpoint::{NotOfLog, SignedCheckpoint};
use super::note::{BadSignature, KeyKind, VerifierKey};

pub use file::{BadLine, BadPolicy};

/// Logs in a policy, eight times what C2SP asks for, as of witnesses and groups: a large lattice names all members.
pub const POLICY_LOGS_MAX: usize = 256;

/// Witnesses in a policy.
pub const POLICY_WITNESSES_MAX: usize = 256;

/// Groups in a policy.
pub const POLICY_GROUPS_MAX: usize = 256;

/// Bytes of a policy file: all its lines, with room for URLs and comments.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a name or URL in a policy: those of the longest URL that a node publishes.
pub const POLICY_WORD_BYTES_MAX: usize = 512;

/// The name that stands for no witness.
const NONE: &[u8] = b"none";

/// The group of [`Policy::of_members`].
const MEMBERS: &[u8] = b"members";

/// A word of a policy file: bytes without spaces, tabs and control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Vec<u8>);

impl Word {
    fn new(bytes: &[u8]) -> Option<Self> {
        let is_word = !bytes.is_empty()
            && bytes.len() <= POLICY_WORD_BYTES_MAX
            && bytes.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..));
        is_word.then(|| Self(bytes.to_vec()))
    }

    /// The bytes of the word.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The word as text, with a mark in place of what is not UTF-8.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({self})")
    }
}

/// A log that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    /// Its key, whose name is its origin.
    pub key: VerifierKey,
    /// Where it is served.
    pub url: Option<Word>,
}

/// A witness whose cosignatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWitness {
    /// What the policy calls it.
    pub name: Word,
    /// Its key.
    pub key: VerifierKey,
    /// Where it is served.
    pub url: Option<Word>,
}

/// A witness or a group, by its place in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Witness(usize),
    Group(usize),
}

/// Some witnesses and earlier groups, of which `threshold` make the group a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Word,
    threshold: usize,
    members: Vec<Voice>,
}

/// Which logs are accepted, and what makes one of their checkpoints valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    groups: Vec<Group>,
    quorum: Option<Voice>,
}

/// A checkpoint that a policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The key of the log that signed it.
    pub log: VerifierKey,
    /// The known witnesses that cosigned it, in the policy's order.
    pub witnesses: Vec<Cosigned>,
}

/// One valid cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// What the policy calls the witness.
    pub name: Word,
    /// Seconds since 1970 at which it signed.
    pub time_s: u64,
}

/// Why a policy does not accept a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is of a log that the policy does not name.
    #[error("the policy does not name the log {0:?}")]
    UnknownLog(String),
    /// None of the keys that the policy has for the log signed it.
    #[error("the checkpoint of {0:?} is not signed by a key that the policy has for this log")]
    NotSigned(String),
    /// It carries a line of the log's key that does not hold.
    #[error("the log's signature does not hold: the checkpoint was altered or made up ({0})")]
    LogSignature(BadSignature),
    /// It carries a line of a known witness's key that does not hold.
    #[error("the cosignature of witness {name} does not hold: the checkpoint was altered or made up")]
    Cosignature {
        /// What the policy calls the witness.
        name: Word,
    },
    /// Too few known witnesses cosigned it.
    #[error("the quorum is not reached: {}", in_words(cosigned, missing, wanted))]
    Quorum {
        /// What the quorum asks for, in words.
        wanted: String,
        /// Known witnesses that cosigned.
        cosigned: Vec<Cosigned>,
        /// Witnesses that the quorum could count and that did not cosign.
        missing: Vec<Word>,
    },
}

fn in_words(cosigned: &[Cosigned], missing: &[Word], wanted: &str) -> String {
    let listed = |names: Vec<String>| if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    let cosigned = listed(cosigned.iter().map(|cosigned| cosigned.name.to_string()).collect());
    let missing = listed(missing.iter().map(Word::to_string).collect());
    format!("it wants {wanted}; cosigned by {cosigned}; not by {missing}")
}

/// Why the members of a lattice don't make a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// More than a policy can name, of logs or of witnesses.
    #[error("a policy names at most {POLICY_LOGS_MAX} logs and {POLICY_WITNESSES_MAX} witnesses")]
    TooMany,
    /// None of the witnesses, or more than there are.
    #[error("{threshold} of {witnesses} witnesses is no quorum")]
    Threshold {
        /// Witnesses wanted.
        threshold: usize,
        /// Witnesses given.
        witnesses: usize,
    },
    /// A log's key given as a witness's, or the other way round.
    #[error("{0} is given for the other purpose")]
    Kind(VerifierKey),
    /// One public key twice among the logs, or among the witnesses.
    #[error("{0} is there twice")]
    Twice(VerifierKey),
}

impl Policy {
    /// The policy of a lattice: its members' logs, and `threshold` of the witnesses among them; `quorum none` without
    /// witnesses. A witness is called by the name given, or by its key's where that can't be a name in a policy or is
    /// taken.
    ///
    /// # Errors
    ///
    /// [`NoPolicy`].
    pub fn of_members(
        logs: Vec<VerifierKey>,
        witnesses: Vec<(String, VerifierKey)>,
        threshold: usize,
    ) -> Result<Self, NoPolicy> {
        if logs.len() > POLICY_LOGS_MAX || witnesses.len() > POLICY_WITNESSES_MAX {
            return Err(NoPolicy::TooMany);
        }
        if !witnesses.is_empty() && !(1..=witnesses.len()).contains(&threshold) {
            return Err(NoPolicy::Threshold { threshold, witnesses: witnesses.len() });
        }
        expect_each_once(logs.iter(), KeyKind::Log)?;
        expect_each_once(witnesses.iter().map(|(_, key)| key), KeyKind::Cosigner)?;
        let witnesses = named(witnesses);
        let members = (0..witnesses.len()).map(Voice::Witness).collect();
        let group = Group { name: Word(MEMBERS.to_vec()), threshold, members };
        let groups = if witnesses.is_empty() { Vec::new() } else { vec![group] };
        let quorum = (!groups.is_empty()).then_some(Voice::Group(0));
        let logs = logs.into_iter().map(|key| KnownLog { key, url: None }).collect();
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// [`BadPolicy`] names the line and what to do about it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadPolicy> {
        file::parse(bytes)
    }

    /// The file in one form: logs, witnesses, groups, quorum, one space between words, thresholds as numbers.
    pub fn encode(&self) -> Vec<u8> {
        file::encode(self)
    }

    /// The logs that are accepted.
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// The witnesses whose cosignatures count.
    pub fn witnesses(&self) -> &[KnownWitness] {
        &self.witnesses
    }

    /// Whether a checkpoint is valid: signed by a log of the policy, and cosigned by its quorum. A line of any key of
    /// the policy that does not hold condemns it, needed or not. A log is no witness of its own: a cosignature by any
    /// public key that the policy has for the log does not count.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why not.
    pub fn judge(&self, signed: &SignedCheckpoint) -> Result<Judged, Refused> {
        let log = self.log_of(signed)?.clone();
        let own = || self.logs.iter().map(|known| &known.key).filter(|key| key.name() == log.name());
        let is_own = |witness: &VerifierKey| own().any(|key| key.public() == witness.public());
        let mut witnesses = Vec::new();
        let mut is_there = vec![false; self.witnesses.len()];
        for (witness, is_there) in self.witnesses.iter().zip(&mut is_there) {
            let name = &witness.name;
            let time_s = signed.cosigned_by(&witness.key);
            let time_s = time_s.map_err(|_| Refused::Cosignature { name: name.clone() })?;
            if let Some(time_s) = time_s.filter(|_| !is_own(&witness.key)) {
                *is_there = true;
                witnesses.push(Cosigned { name: name.clone(), time_s });
            }
        }
        match self.quorum {
            Some(quorum) if !self.is_reached(quorum, &is_there) => Err(Refused::Quorum {
                wanted: self.wanted(quorum),
                cosigned: witnesses,
                missing: self.missing(quorum, &is_there),
            }),
            Some(_) | None => Ok(Judged { log, witnesses }),
        }
    }

    /// The first key that signed, of those that the policy has for the checkpoint's origin.
    fn log_of(&self, signed: &SignedCheckpoint) -> Result<&VerifierKey, Refused> {
        let origin = signed.checkpoint().origin();
        let (mut is_known, mut signer) = (false, None);
        for log in self.logs.iter().map(|log| &log.key).filter(|key| key.name().as_str() == origin) {
            is_known = true;
            match signed.verify(log) {
                Ok(()) => signer = signer.or(Some(log)),
                Err(NotOfLog::Signature(bad)) => return Err(Refused::LogSignature(bad)),
                Err(NotOfLog::NotSigned(_) | NotOfLog::NotALogKey(_) | NotOfLog::OtherOrigin { .. }) => (),
            }
        }
        if !is_known {
            return Err(Refused::UnknownLog(origin.to_owned()));
        }
        signer.ok_or_else(|| Refused::NotSigned(origin.to_owned()))
    }

    /// Whether the witnesses that are there make this voice one. Groups name earlier ones only, so one pass will do.
    fn is_reached(&self, voice: Voice, is_there: &[bool]) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let count = group.members.iter().filter(|member| speaks(**member, is_there, &groups)).count();
            groups.push(count >= group.threshold);
        }
        speaks(voice, is_there, &groups)
    }

    /// The witnesses below a voice that are not there.
    fn missing(&self, voice: Voice, is_there: &[bool]) -> Vec<Word> {
        let (mut open, mut below) = (vec![voice], HashSet::new());
        while let Some(voice) = open.pop() {
            match voice {
                Voice::Witness(at) => drop(below.insert(at)),
                Voice::Group(at) => open.extend(&self.groups[at].members),
            }
        }
        let missing = self.witnesses.iter().enumerate().filter(|(at, _)| below.contains(at) && !is_there[*at]);
        missing.map(|(_, witness)| witness.name.clone()).collect()
    }

    fn wanted(&self, voice: Voice) -> String {
        match voice {
            Voice::Witness(at) => format!("witness {}", self.witnesses[at].name),
            Voice::Group(at) => {
                let Group { name, threshold, members } = &self.groups[at];
                let members: Vec<_> = members.iter().map(|member| self.name_of(*member).to_string()).collect();
                format!("{threshold} of the {} in group {name} ({})", members.len(), members.join(", "))
            }
        }
    }

    fn name_of(&self, voice: Voice) -> &Word {
        match voice {
            Voice::Witness(at) => &self.witnesses[at].name,
            Voice::Group(at) => &self.groups[at].name,
        }
    }
}

fn speaks(voice: Voice, witnesses: &[bool], groups: &[bool]) -> bool {
    match voice {
        Voice::Witness(at) => witnesses[at],
        Voice::Group(at) => groups[at],
    }
}

fn expect_each_once<'a>(keys: impl Iterator<Item = &'a VerifierKey>, kind: KeyKind) -> Result<(), NoPolicy> {
    let mut seen = HashSet::new();
    for key in keys {
        if key.kind() != kind {
            return Err(NoPolicy::Kind(key.clone()));
        }
        if !seen.insert(key.public()) {
            return Err(NoPolicy::Twice(key.clone()));
        }
    }
    Ok(())
}

/// Gives each witness a name of its own: the one wished for, or its key's, which is kept free for it.
fn named(witnesses: Vec<(String, VerifierKey)>) -> Vec<KnownWitness> {
    let of_keys = witnesses.iter().map(|(_, key)| unique(key).into_bytes());
    let mut taken: HashSet<Vec<u8>> = of_keys.chain([NONE.to_vec(), MEMBERS.to_vec()]).collect();
    let mut named = Vec::with_capacity(witnesses.len());
    for (wish, key) in witnesses {
        let wished = Word::new(wish.as_bytes()).filter(|name| taken.insert(name.0.clone()));
        let name = wished.unwrap_or_else(|| Word(unique(&key).into_bytes()));
        named.push(KnownWitness { name, key, url: None });
    }
    named
}

fn unique(key: &VerifierKey) -> String {
    format!("{}+{:08x}", key.name(), key.id())
}

/// The file, with a mark in place of what is not UTF-8.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.encode()))
    }
}
