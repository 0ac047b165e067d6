//! What nodes of a seat say to each other, and what a commit and a record amount to here.

use std::rc::Rc;

use lattice::keys::SIGNATURE_BYTES;
use lattice::seat::{BodyHash, Certificate};
use node_core::seat::health::Probe;
use node_core::seat::named::NamedBody;
use node_core::seat::refusal::Refusal;
use node_core::seat::timing::BootMs;
use node_core::seat::voter::{LeaseState, Ticket};

/// A node by its number.
pub(super) type NodeIndex = usize;

/// Term and number of a commit.
pub(super) type Place = (u64, u64);

/// A client's operation by its number; it is its name, too.
pub(super) type OpId = u64;

/// A write that its holder signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) by: NodeIndex,
    pub(super) place: Place,
    pub(super) key: u8,
    pub(super) value: u64,
    /// Who asked for it; a node makes use of it only where the name came along.
    pub(super) op: OpId,
}

/// A record of the seat's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) commits: Vec<Rc<Commit>>,
    /// The state's root after it.
    pub(super) after: u64,
    /// The log's root with it.
    pub(super) log_root: u64,
}

/// A record on its way to a mirror: commits that it has staged are left out.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) record: Record,
    pub(super) left_out: Vec<Place>,
}

/// What a mirror gets.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) from: usize,
    pub(super) records: Vec<Sent>,
    pub(super) staged: Vec<Rc<Commit>>,
    pub(super) is_behind: bool,
    pub(super) log_size: usize,
    pub(super) last: Place,
    pub(super) is_released: bool,
}

/// Where a mirror is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copied {
    pub(super) log_size: usize,
    pub(super) log_root: u64,
    pub(super) staged: Place,
}

/// What a client wants of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Read,
    Put(u64),
    /// If this value stands there, or none.
    Swap(Option<u64>, u64),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Value(Option<u64>),
    Written,
    /// The condition does not hold: this stands there.
    Otherwise(Option<u64>),
    /// It counts nowhere.
    Deposed,
    /// Not here or not now: to be tried again.
    NotNow,
}

/// Who waits for an answer, and for which try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) node: NodeIndex,
    pub(super) op: OpId,
    pub(super) attempt: u64,
}

/// Everything that a seeded node gets at once.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    pub(super) commits: Vec<Rc<Commit>>,
    pub(super) names: Vec<(OpId, Place)>,
    pub(super) log: Vec<Record>,
    pub(super) certificates: Vec<Rc<Certificate>>,
}

pub(super) type Carrier = Option<Rc<Certificate>>;

/// One message.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Renew {
        body: BodyHash,
        term: u64,
        ticket: Ticket,
        asked: BootMs,
        carrier: Carrier,
    },
    Renewed {
        term: u64,
        asked: BootMs,
        result: Result<(), Refusal>,
        carrier: Carrier,
    },
    Inquire,
    Lease(LeaseState),
    Vote {
        body: NamedBody,
        carrier: Carrier,
    },
    Voted {
        term: u64,
        result: Result<[u8; SIGNATURE_BYTES], Refusal>,
        carrier: Carrier,
    },
    Release(Ticket),
    HandOver {
        term: u64,
        staged_seq: u64,
    },
    Stood {
        term: u64,
    },
    Probe {
        carrier: Carrier,
    },
    Probed(Probe),
    Fetch {
        id: u64,
        term: u64,
        at: Copied,
        is_question: bool,
    },
    Batch {
        id: u64,
        batch: Box<Batch>,
    },
    NotFetched {
        id: u64,
        is_other_log: bool,
        carrier: Carrier,
    },
    AskSeed {
        id: u64,
        term: u64,
    },
    Seed {
        id: u64,
        seed: Box<Seed>,
    },
    Ask {
        asker: Asker,
        key: u8,
        wish: Wish,
    },
    Answer {
        op: OpId,
        attempt: u64,
        came: Came,
    },
    AskTerms,
    Terms(Vec<Rc<Certificate>>),
    /// To all in the mesh, or a session with one of them.
    Tell {
        certificates: Vec<Rc<Certificate>>,
        commits: Vec<Rc<Commit>>,
        wants_answer: bool,
    },
}

impl Message {
    /// A word for the trace.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Renew { .. } => "renew",
            Self::Renewed { .. } => "renewed",
            Self::Inquire => "inquire",
            Self::Lease(_) => "lease",
            Self::Vote { .. } => "vote",
            Self::Voted { .. } => "voted",
            Self::Release(_) => "release",
            Self::HandOver { .. } => "hand over",
            Self::Stood { .. } => "stood",
            Self::Probe { .. } => "probe",
            Self::Probed(_) => "probed",
            Self::Fetch { .. } => "fetch",
            Self::Batch { .. } => "batch",
            Self::NotFetched { .. } => "not fetched",
            Self::AskSeed { .. } => "ask seed",
            Self::Seed { .. } => "seed",
            Self::Ask { .. } => "ask",
            Self::Answer { .. } => "answer",
            Self::AskTerms => "ask terms",
            Self::Terms(_) => "terms",
            Self::Tell { .. } => "tell",
        }
    }

    /// Whether it answers a question: its asker may have restarted meanwhile, and the connection with it.
    pub(super) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Renewed { .. }
                | Self::Lease(_)
                | Self::Voted { .. }
                | Self::Probed(_)
                | Self::Batch { .. }
                | Self::NotFetched { .. }
                | Self::Seed { .. }
                | Self::Answer { .. }
        )
    }
}

/// A number that stands for a hash: the finaliser of SplitMix64.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b ^ 0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
