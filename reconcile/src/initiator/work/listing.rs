//! Listing whole stretches of both trees side by side, page by page.
//!
//! A listing costs 64 bytes an entry, so it is for stretches where nearly all entries differ: an empty side, the
//! members, a page against a large subtree. It names entries instead of sending commits, because the same commit
//! may stand behind hundreds of them: what one page brought is no longer missing when the next one is compared.

use lattice::ids::KeyHash;
use lattice::tree::prefix::Prefix;

use super::{Work, is_sorted};
use crate::limits::{LIST_LEAVES_MAX, LIST_PREFIXES_MAX};
use crate::message::Request;
use crate::outcome::PeerFault;
use crate::responder::stretch;
use crate::view::{KeyLeaf, View};

/// A listing of which more pages are to come.
#[derive(Debug)]
pub(super) struct Listing {
    prefixes: Vec<Prefix>,
    after: Option<KeyHash>,
}

impl Listing {
    /// Whether a page holds what was asked for.
    fn check(&self, page: &[KeyLeaf], more: bool) -> Result<(), PeerFault> {
        let Some(first) = page.first() else {
            return if more { Err(PeerFault::EmptyPage) } else { Ok(()) };
        };
        let is_behind = self.after.is_none_or(|after| first.key > after);
        let are_under = page.iter().all(|leaf| is_covered(&self.prefixes, &leaf.key));
        if is_behind && are_under && is_sorted(page) && page.len() <= LIST_LEAVES_MAX {
            Ok(())
        } else {
            Err(PeerFault::BadLeaves)
        }
    }
}

impl Work {
    /// The next page of a listing; `None` if there is none to ask for now.
    pub(in crate::initiator) fn next_listing(&mut self) -> Option<Request> {
        if self.listing.is_none() {
            let spans = std::iter::from_fn(|| self.spans.pop_first());
            let prefixes: Vec<_> = spans.take(LIST_PREFIXES_MAX).collect();
            self.listing = (!prefixes.is_empty()).then_some(Listing { prefixes, after: None });
        }
        let Listing { prefixes, after } = self.listing.as_ref()?;
        Some(Request::List { scope: self.scope, prefixes: prefixes.clone(), after: *after })
    }

    /// Compares a page with our side of the same stretch. It ends where the page does, or where ours has as many
    /// entries as a page: so neither side can make the other queue more than that.
    pub(in crate::initiator) fn take_listed<T: Copy>(
        &mut self,
        view: &View<T>,
        theirs: &[KeyLeaf],
        more: bool,
    ) -> Result<(), PeerFault> {
        let listing = self.listing.take().ok_or(PeerFault::OtherKind)?;
        listing.check(theirs, more)?;
        let Listing { prefixes, after } = listing;
        let mut last = theirs.last().map(|leaf| leaf.key).filter(|_| more);
        let mut ours = stretch(view.scoped(self.scope), &prefixes, after, last, LIST_LEAVES_MAX + 1);
        if ours.len() > LIST_LEAVES_MAX {
            ours.truncate(LIST_LEAVES_MAX);
            last = ours.last().map(|leaf| leaf.key);
        }
        let end = last.map_or(theirs.len(), |last| theirs.partition_point(|leaf| leaf.key <= last));
        let theirs = &theirs[..end];
        self.take_difference(&ours, theirs);
        self.listing = last.map(|last| Listing { prefixes: behind(prefixes, &last), after: Some(last) });
        Ok(())
    }
}

/// Whether one of these sorted, separate subtrees holds `key`.
fn is_covered(prefixes: &[Prefix], key: &KeyHash) -> bool {
    let at = prefixes.partition_point(|prefix| prefix.first_key() <= *key);
    at > 0 && prefixes[at - 1].covers(key)
}

/// The subtrees that hold keys behind `last`.
fn behind(mut prefixes: Vec<Prefix>, last: &KeyHash) -> Vec<Prefix> {
    prefixes.retain(|prefix| prefix.first_key() > *last || prefix.covers(last));
    prefixes
}
