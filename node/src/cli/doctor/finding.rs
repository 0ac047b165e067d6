//! What was looked at, what is wrong with it, and what to do.

use serde::Serialize;

use crate::cli::text::visible;

/// How bad it is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// As it should be.
    Well,
    /// Works, and somebody should know.
    Note,
    /// It could not be looked at.
    Unknown,
    /// Wrong.
    Wrong,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Note => "note",
            Self::Unknown => "?",
            Self::Wrong => "WRONG",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at, a short name that stays the same.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) level: Level,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cure: Option<String>,
}

impl Finding {
    pub(super) fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Well, found: found.into(), cure: None }
    }

    pub(super) fn note(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, level: Level::Note, found: found.into(), cure: Some(cure.into()) }
    }

    pub(super) fn unknown(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, level: Level::Unknown, found: found.into(), cure: Some(cure.into()) }
    }

    pub(super) fn wrong(check: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { check, level: Level::Wrong, found: found.into(), cure: Some(cure.into()) }
    }

    /// The worst first, each with what to do below it.
    pub(super) fn lines(findings: &[Self]) -> String {
        let mut sorted: Vec<_> = findings.iter().collect();
        sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let mut text = String::new();
        for Self { check, level, found, cure } in sorted {
            text.push_str(&format!("{:<6} {check}: {}\n", level.word(), visible(found)));
            if let Some(cure) = cure {
                text.push_str(&format!("       -> {}\n", visible(cure)));
            }
        }
        text
    }
}

/// The exit code: 1 if anything is wrong, else 3 if anything could not be looked at, else 0.
pub(super) fn code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Wrong) => 1,
        Some(Level::Unknown) => 3,
        Some(Level::Well | Level::Note) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_gives_the_exit_code() {
        let (well, note) = (Finding::well("key", "there"), Finding::note("seat", "no shadow", "name one"));
        let (unknown, wrong) =
            (Finding::unknown("clock", "nobody", "add"), Finding::wrong("disk", "full", "free some"));
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[well.clone(), note.clone()]), 0);
        assert_eq!(code(&[unknown.clone(), well.clone()]), 3);
        let all = [well, note, unknown, wrong];
        assert_eq!(code(&all), 1);
        assert!(
            Finding::lines(&all).starts_with("WRONG  disk: full\n       -> free some\n?      clock"),
            "{}",
            Finding::lines(&all)
        );
    }
}
