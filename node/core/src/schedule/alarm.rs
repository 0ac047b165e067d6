//! When sessions that end badly are no longer a passing trouble: the same two roots again and again.

use lattice::ids::StateRoot;

/// Sessions in a row with one peer and one pair of roots that nothing explains, until that is an alarm. One may
/// have caught a write between two looks.
pub const UNEXPLAINED_SESSIONS: u32 = 2;

/// Sessions in a row with one peer and one pair of roots that end badly in whatever way, until that is an alarm
/// (a guess).
pub const STUCK_SESSIONS: u32 = 3;

/// Two roots that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roots {
    /// Our root.
    pub ours: StateRoot,
    /// The peer's.
    pub theirs: StateRoot,
}

/// What an operator should know of. Said once while the roots stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing explains why the roots differ: damage, a bug or a lie.
    Unexplained(Roots),
    /// Sessions end badly, refused, lost or by a fault, and the roots stay apart.
    Stuck(Roots),
}

/// Sessions with one peer that ended badly and changed neither root.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fruitless {
    roots: Option<Roots>,
    sessions: u32,
    unexplained: u32,
    is_told: bool,
}

impl Fruitless {
    /// Counts a session that ended badly at these roots. Without roots, or with equal ones, it says nothing.
    pub(super) fn count(&mut self, roots: Option<Roots>, is_unexplained: bool) -> Option<Alarm> {
        let roots = roots.filter(|roots| roots.ours != roots.theirs)?;
        if self.roots != Some(roots) {
            *self = Self { roots: Some(roots), ..Self::default() };
        }
        self.sessions += 1;
        self.unexplained = if is_unexplained { self.unexplained + 1 } else { 0 };
        let alarm = if self.unexplained >= UNEXPLAINED_SESSIONS {
            Alarm::Unexplained(roots)
        } else if self.sessions >= STUCK_SESSIONS {
            Alarm::Stuck(roots)
        } else {
            return None;
        };
        (!std::mem::replace(&mut self.is_told, true)).then_some(alarm)
    }
}
