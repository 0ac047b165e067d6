//! How a node keeps its part in the seat, as it is typed and as it is meant.

use node_core::seat::own::NoShadow;
use node_core::seat::timing::Timing;
use serde::Deserialize;

/// How a node keeps its part in the seat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeatSettings {
    /// Intervals; all nodes of a seat must have the same.
    pub timing: Timing,
    /// What happens to writes while the shadow is away.
    pub no_shadow: NoShadow,
    /// The command, with its arguments, to run when the seat moves; none if empty.
    pub on_change: Vec<String>,
}

/// A preset of intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeatTiming {
    /// For nodes within 50 ms of each other: a takeover takes some two seconds.
    Lan,
    /// For slow networks: some fifteen.
    Wan,
}

/// What happens to writes while the shadow is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeatNoShadow {
    /// They are refused until it is back.
    Block,
    /// The seat goes on in a term without a shadow.
    Degrade,
}

impl std::str::FromStr for SeatTiming {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lan" => Ok(Self::Lan),
            "wan" => Ok(Self::Wan),
            _ => Err(format!("{text:?} is neither \"lan\" nor \"wan\"")),
        }
    }
}

impl std::str::FromStr for SeatNoShadow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "degrade" => Ok(Self::Degrade),
            _ => Err(format!("{text:?} is neither \"block\" nor \"degrade\"")),
        }
    }
}

impl SeatSettings {
    /// What was typed, with the defaults filled in.
    pub fn resolve(
        timing: Option<SeatTiming>,
        no_shadow: Option<SeatNoShadow>,
        on_change: Option<Vec<String>>,
    ) -> Self {
        Self {
            timing: match timing {
                Some(SeatTiming::Lan) | None => Timing::LAN,
                Some(SeatTiming::Wan) => Timing::WAN,
            },
            no_shadow: match no_shadow {
                Some(SeatNoShadow::Block) | None => NoShadow::Block,
                Some(SeatNoShadow::Degrade) => NoShadow::Degrade,
            },
            on_change: on_change.unwrap_or_default(),
        }
    }
}
