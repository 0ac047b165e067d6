//! The file that a policy is written in: one definition to a line, each of what stands above it.

use std::collections::{HashMap, HashSet};

use super::{
    Group, KnownLog, KnownWitness, NONE, POLICY_BYTES_MAX, POLICY_GROUPS_MAX, POLICY_LOGS_MAX, POLICY_WITNESSES_MAX,
    POLICY_WORD_BYTES_MAX, Policy, Voice, Word,
};
use crate::log::line;
use crate::log::note::{BadVerifierKey, KeyKind, VerifierKey};

/// Why bytes are not a policy. Whoever wrote the file is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// More bytes than a policy file may have.
    #[error("a policy file has at most {POLICY_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// A line breaks a rule.
    #[error("line {number}: {why}")]
    Line {
        /// Number of the line, from 1.
        number: usize,
        /// The rule.
        #[source]
        why: BadLine,
    },
    /// No line says what is enough.
    #[error("no quorum: end the file with a line such as \"quorum members\", or \"quorum none\" to ask for no witness")]
    NoQuorum,
}

/// The rule that a line of a policy breaks, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// A byte that no line may hold.
    #[error("byte {0:#04x} is not allowed: write plain text with tabs and newlines only, no carriage returns")]
    Control(u8),
    /// An unknown first word.
    #[error("begin with log, witness, group, quorum or #, not with \"{0}\"")]
    Keyword(Word),
    /// A word beyond the bound.
    #[error("a name or URL has at most {POLICY_WORD_BYTES_MAX} bytes; shorten it")]
    LongWord,
    /// A log's line with too few or too many words.
    #[error("write log, its key and perhaps its URL")]
    Log,
    /// A witness's line with too few or too many words.
    #[error("write witness, a name, its key and perhaps its URL")]
    Witness,
    /// A group's line with too few words.
    #[error("write group, a name, then all, any or a number, then its members")]
    Group,
    /// A quorum's line with too few or too many words.
    #[error("write quorum and one name, of a witness or group above or none")]
    Quorum,
    /// A word that should be a key.
    #[error("{0}; copy the key again from where it was published")]
    Key(#[from] BadVerifierKey),
    /// A key of a witness for a log, or the other way round.
    #[error("this is {found}, and here belongs {}; take the other key", wanted)]
    Kind {
        /// What the key is.
        found: KeyKind,
        /// What belongs here.
        wanted: KeyKind,
    },
    /// A public key for the second time.
    #[error("this public key stands on a line above, perhaps by another name; remove one of the two")]
    KeyTwice,
    /// A name that is defined above.
    #[error("the name {0} is taken by a line above; choose another")]
    NameTaken(Word),
    /// The name `none`, where a witness or group is defined or listed.
    #[error("the name none stands for no witness, in the line of the quorum only; choose another")]
    NameNone,
    /// A name that is not defined above.
    #[error("{0} is no witness or group of a line above; define it first")]
    UnknownName(Word),
    /// A member of two groups, or twice of one.
    #[error("{0} is a member of a group already, and may be of one only; remove it here or there")]
    MemberTwice(Word),
    /// A threshold that the group can't have.
    #[error("the threshold of this group is all, any, or a number from 1 to {0}")]
    Threshold(usize),
    /// A quorum for the second time.
    #[error("the quorum stands on a line above; remove one of the two")]
    QuorumTwice,
    /// More definitions than a policy may have.
    #[error("a policy has at most {most} of {what}; remove some")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        most: usize,
    },
}

/// What the lines so far have defined.
#[derive(Default)]
struct Reader {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    groups: Vec<Group>,
    quorum: Option<Voice>,
    has_quorum: bool,
    names: HashMap<Word, Voice>,
    members: HashSet<Word>,
    log_keys: HashSet<[u8; 32]>,
    witness_keys: HashSet<[u8; 32]>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Policy, BadPolicy> {
    // The last line counts even if its newline was forgotten; the bound holds with it.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.len() >= POLICY_BYTES_MAX {
        return Err(BadPolicy::TooLong(bytes.len() + 1));
    }
    let mut reader = Reader::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        reader.read(line).map_err(|why| BadPolicy::Line { number: at + 1, why })?;
    }
    let Reader { logs, witnesses, groups, quorum, has_quorum, .. } = reader;
    if has_quorum { Ok(Policy { logs, witnesses, groups, quorum }) } else { Err(BadPolicy::NoQuorum) }
}

pub(super) fn encode(policy: &Policy) -> Vec<u8> {
    let mut out = Vec::new();
    for log in &policy.logs {
        put_line(&mut out, [b"log".as_slice(), log.key.to_string().as_bytes()].into_iter().chain(url(&log.url)));
    }
    for witness in &policy.witnesses {
        let words = [b"witness".as_slice(), &witness.name.0, witness.key.to_string().as_bytes()].map(<[u8]>::to_vec);
        put_line(&mut out, words.iter().map(Vec::as_slice).chain(url(&witness.url)));
    }
    for group in &policy.groups {
        let threshold = group.threshold.to_string();
        let words = [b"group".as_slice(), &group.name.0, threshold.as_bytes()];
        let members = group.members.iter().map(|member| policy.name_of(*member).as_bytes());
        put_line(&mut out, words.into_iter().chain(members));
    }
    let quorum = policy.quorum.map_or(NONE, |quorum| policy.name_of(quorum).as_bytes());
    put_line(&mut out, [b"quorum".as_slice(), quorum].into_iter());
    out
}

fn url(url: &Option<Word>) -> impl Iterator<Item = &[u8]> {
    url.iter().map(Word::as_bytes)
}

fn put_line<'a>(out: &mut Vec<u8>, words: impl Iterator<Item = &'a [u8]>) {
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out.push(b'\n');
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn expect_room(held: usize, most: usize, what: &'static str) -> Result<(), BadLine> {
    if held < most { Ok(()) } else { Err(BadLine::TooMany { what, most }) }
}

fn read_key(word: &Word, wanted: KeyKind) -> Result<VerifierKey, BadLine> {
    let text = std::str::from_utf8(&word.0).map_err(|_| BadVerifierKey::Form)?;
    let key: VerifierKey = text.parse()?;
    let found = key.kind();
    if found == wanted { Ok(key) } else { Err(BadLine::Kind { found, wanted }) }
}

impl Reader {
    fn read(&mut self, line: &[u8]) -> Result<(), BadLine> {
        if let Some(byte) = line.iter().find(|byte| matches!(byte, 0x00..=0x08 | 0x0a..=0x1f | 0x7f)) {
            return Err(BadLine::Control(*byte));
        }
        let mut words = line.split(is_blank).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none_or(|first| first.starts_with(b"#")) {
            return Ok(());
        }
        let words: Option<Vec<Word>> = words.map(Word::new).collect();
        let words = words.ok_or(BadLine::LongWord)?;
        match words.split_first().map(|(first, rest)| (first.as_bytes(), rest)) {
            Some((b"log", rest)) => self.read_log(rest),
            Some((b"witness", rest)) => self.read_witness(rest),
            Some((b"group", rest)) => self.read_group(rest),
            Some((b"quorum", rest)) => self.read_quorum(rest),
            Some((other, _)) => Err(BadLine::Keyword(Word(other.to_vec()))),
            None => Ok(()),
        }
    }

    fn read_log(&mut self, words: &[Word]) -> Result<(), BadLine> {
        let (key, url) = match words {
            [key] => (key, None),
            [key, url] => (key, Some(url.clone())),
            [] | [_, _, _, ..] => return Err(BadLine::Log),
        };
        expect_room(self.logs.len(), POLICY_LOGS_MAX, "logs")?;
        let key = read_key(key, KeyKind::Log)?;
        if !self.log_keys.insert(*key.public()) {
            return Err(BadLine::KeyTwice);
        }
        self.logs.push(KnownLog { key, url });
        Ok(())
    }

    fn read_witness(&mut self, words: &[Word]) -> Result<(), BadLine> {
        let (name, key, url) = match words {
            [name, key] => (name, key, None),
            [name, key, url] => (name, key, Some(url.clone())),
            [] | [_] | [_, _, _, _, ..] => return Err(BadLine::Witness),
        };
        expect_room(self.witnesses.len(), POLICY_WITNESSES_MAX, "witnesses")?;
        let key = read_key(key, KeyKind::Cosigner)?;
        self.define(name, Voice::Witness(self.witnesses.len()))?;
        if !self.witness_keys.insert(*key.public()) {
            return Err(BadLine::KeyTwice);
        }
        self.witnesses.push(KnownWitness { name: name.clone(), key, url });
        Ok(())
    }

    fn read_group(&mut self, words: &[Word]) -> Result<(), BadLine> {
        let [name, threshold, names @ ..] = words else { return Err(BadLine::Group) };
        if names.is_empty() {
            return Err(BadLine::Group);
        }
        expect_room(self.groups.len(), POLICY_GROUPS_MAX, "groups")?;
        let members = names.iter().map(|name| self.member(name)).collect::<Result<Vec<_>, _>>()?;
        let threshold = match threshold.as_bytes() {
            b"all" => Some(members.len()),
            b"any" => Some(1),
            number => std::str::from_utf8(number).ok().and_then(line::decimal).and_then(|k| usize::try_from(k).ok()),
        };
        let in_range = |k: &usize| (1..=members.len()).contains(k);
        let threshold = threshold.filter(in_range).ok_or(BadLine::Threshold(members.len()))?;
        self.define(name, Voice::Group(self.groups.len()))?;
        self.groups.push(Group { name: name.clone(), threshold, members });
        Ok(())
    }

    fn read_quorum(&mut self, words: &[Word]) -> Result<(), BadLine> {
        let [name] = words else { return Err(BadLine::Quorum) };
        if self.has_quorum {
            return Err(BadLine::QuorumTwice);
        }
        self.quorum = if name.as_bytes() == NONE { None } else { Some(self.find(name)?) };
        self.has_quorum = true;
        Ok(())
    }

    /// Each name counts in one way only: it may be in one group, once.
    fn member(&mut self, name: &Word) -> Result<Voice, BadLine> {
        let voice = self.find(name)?;
        if self.members.insert(name.clone()) { Ok(voice) } else { Err(BadLine::MemberTwice(name.clone())) }
    }

    fn find(&self, name: &Word) -> Result<Voice, BadLine> {
        if name.as_bytes() == NONE {
            return Err(BadLine::NameNone);
        }
        self.names.get(name).copied().ok_or_else(|| BadLine::UnknownName(name.clone()))
    }

    fn define(&mut self, name: &Word, voice: Voice) -> Result<(), BadLine> {
        if name.as_bytes() == NONE {
            return Err(BadLine::NameNone);
        }
        if self.names.insert(name.clone(), voice).is_some() {
            return Err(BadLine::NameTaken(name.clone()));
        }
        Ok(())
    }
}
