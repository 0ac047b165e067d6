//! The genesis as an operator writes it: a TOML file with names, admins, members, seat prefixes and limits.
//!
//! The file may leave out the node that founds the lattice: it is added as an admin and a member, since
//! somebody must be able to invite the others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lattice::genesis::{DEFAULT_SEAT_PREFIX, Genesis, Member, Role};
use lattice::ids::{AuthorId, LogKey};
use lattice::limits::Limits;
use libp2p::PeerId;
use serde::Deserialize;

use super::file::{self, BadFile};

/// What people call a lattice that nobody named.
pub const LATTICE_NAME_DEFAULT: &str = "lattice";

/// Why a genesis file can't found a lattice.
#[derive(Debug, thiserror::Error)]
pub enum BadFounding {
    /// Not readable, or a line is wrong.
    #[error(transparent)]
    File(#[from] BadFile),
    /// Each line is well, but not all of them together.
    #[error("{}: {why}", file.display())]
    Rule {
        /// The file.
        file: PathBuf,
        /// The rule broken.
        why: String,
    },
}

/// A genesis file, read and checked line by line; by default one that says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Founding {
    file: PathBuf,
    typed: FoundingFile,
}

impl Founding {
    /// Reads a genesis file.
    ///
    /// # Errors
    ///
    /// [`BadFounding`] with the line to correct.
    pub fn read(path: &Path) -> Result<Self, BadFounding> {
        let typed = file::parse(path, &file::read_text(path)?)?;
        Ok(Self { file: path.to_owned(), typed })
    }

    /// The genesis that this file and the node that founds give; `name` goes over the file's.
    ///
    /// # Errors
    ///
    /// [`BadFounding::Rule`] for the first rule of a genesis that they break together.
    pub fn into_genesis(self, name: Option<&str>, founder: Member) -> Result<Genesis, BadFounding> {
        let file = self.file;
        let broken = |why: String| BadFounding::Rule { file: file.clone(), why };
        let FoundingFile { name: typed_name, admins, members, seat_prefixes, limits } = self.typed;
        let (admins, members) = people(admins, members, founder).map_err(broken)?;
        let genesis = Genesis {
            name: name.map(str::to_owned).or(typed_name).unwrap_or_else(|| LATTICE_NAME_DEFAULT.to_owned()),
            admins,
            members,
            seat_prefixes: seat_prefixes.unwrap_or_else(|| [DEFAULT_SEAT_PREFIX.to_owned()].into()),
            limits: limits.into(),
        };
        match genesis.check() {
            Ok(()) => Ok(genesis),
            Err(why) => Err(broken(why.to_string())),
        }
    }
}

/// Admins and members, with the founder as both unless the file names it itself.
fn people(
    admins: Vec<Hex<AuthorId>>,
    members: Vec<MemberFile>,
    founder: Member,
) -> Result<(BTreeSet<AuthorId>, Vec<Member>), String> {
    let mut admins: BTreeSet<AuthorId> = admins.into_iter().map(|Hex(id)| id).collect();
    let mut members: Vec<Member> = members.into_iter().map(Member::from).collect();
    if let Some(twice) = repeated(&members) {
        return Err(format!("member {:?} has the author key of another; list each once", twice.name));
    }
    if !members.iter().any(|member| member.author == founder.author) {
        admins.insert(founder.author);
        members.push(founder);
    }
    members.sort_by_key(|member| member.author);
    match admins.iter().find(|admin| !members.iter().any(|member| member.author == **admin)) {
        Some(stranger) => Err(format!("admin {stranger} is not among the members; add a [[members]] with that author")),
        None => Ok((admins, members)),
    }
}

fn repeated(members: &[Member]) -> Option<&Member> {
    let mut seen = BTreeSet::new();
    members.iter().find(|member| !seen.insert(member.author))
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundingFile {
    name: Option<String>,
    #[serde(default)]
    admins: Vec<Hex<AuthorId>>,
    #[serde(default)]
    members: Vec<MemberFile>,
    seat_prefixes: Option<BTreeSet<String>>,
    #[serde(default)]
    limits: LimitsFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    name: String,
    author: Hex<AuthorId>,
    log_key: Hex<LogKey>,
    peer_id: TypedPeerId,
    #[serde(default)]
    roles: Vec<TypedRole>,
}

impl From<MemberFile> for Member {
    fn from(typed: MemberFile) -> Self {
        Self {
            name: typed.name,
            author: typed.author.0,
            log_key: typed.log_key.0,
            peer_id: typed.peer_id.0.to_bytes(),
            roles: typed.roles.into_iter().map(|TypedRole(role)| role).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    key_bytes: Option<u64>,
    value_bytes: Option<u64>,
    commit_ops: Option<u64>,
    commit_bytes: Option<u64>,
    max_drift_ms: Option<u64>,
}

impl From<LimitsFile> for Limits {
    fn from(typed: LimitsFile) -> Self {
        let top = Self::DEFAULT;
        Self {
            key_bytes: typed.key_bytes.unwrap_or(top.key_bytes),
            value_bytes: typed.value_bytes.unwrap_or(top.value_bytes),
            commit_ops: typed.commit_ops.unwrap_or(top.commit_ops),
            commit_bytes: typed.commit_bytes.unwrap_or(top.commit_bytes),
            max_drift_ms: typed.max_drift_ms.unwrap_or(top.max_drift_ms),
        }
    }
}

/// An id as 64 hexadecimal digits. The ids' own serde form is CBOR's byte string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hex<T>(T);

impl<'de, T: FromStr<Err: std::fmt::Display>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct TypedPeerId(PeerId);

impl TryFrom<String> for TypedPeerId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is not a peer id such as 12D3KooW…"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct TypedRole(Role);

impl TryFrom<String> for TypedRole {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Role::from_name(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a role; the roles are \"witness\" and \"voter\""))
    }
}
