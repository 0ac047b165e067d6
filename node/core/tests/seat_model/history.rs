//! Which commits count, given all the certificates there are.

use node_core::seat::named::NamedBody;

use crate::state::TERMS;

/// By term, the last number that counts: the highest term and what it follows, cut by cut. A term beside that line never
/// came to anything.
pub(crate) fn counting(certified: &[NamedBody]) -> [u64; TERMS] {
    let mut counting = [0; TERMS];
    let mut next: Option<&NamedBody> = None;
    let mut at = certified.iter().max_by_key(|body| body.term);
    while let Some(body) = at {
        counting[body.term as usize] = next.map_or(u64::MAX, |next| next.cut);
        next = Some(body);
        at = certified.iter().find(|known| Some(known.name()) == body.follows);
    }
    counting
}

/// The same, if each term ended by the next one certified, whether or not anything came of that.
pub(crate) fn counting_by_next(certified: &[NamedBody]) -> [u64; TERMS] {
    let mut counting = [0; TERMS];
    for body in certified {
        let next = certified.iter().filter(|other| other.term > body.term).min_by_key(|other| other.term);
        counting[body.term as usize] = match next {
            None => u64::MAX,
            Some(next) if next.follows == Some(body.name()) => next.cut,
            Some(_) => 0,
        };
    }
    counting
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lattice::seat::{Body, Certificate, Seats, Warrant};
    use node_core::seat::named::NamedBody;
    use proptest::prelude::*;

    use super::counting;
    use crate::state::{TERMS, founding, index, name};

    proptest! {
        /// What the model takes for the rule is what the state does, whatever was certified, in any order.
        #[test]
        fn the_state_counts_as_the_model_does(
            drafts in prop::collection::vec((0..2_u8, 0..4_usize, 0..3_u64, any::<bool>()), TERMS - 2),
        ) {
            let mut certified = vec![founding(&[0, 1, 2], &[])];
            for (term, (holder, follows, cut, is_there)) in (2..).zip(drafts) {
                let before = certified[follows % certified.len()].clone();
                let (holder, shadow) = (name(holder), Some(name(1 - holder)));
                let (electors, follows) = (before.voters.clone(), Some(before.name()));
                let body = Body { term, holder, shadow, electors, follows, cut, ..before.body().clone() };
                certified.extend(is_there.then(|| NamedBody::from(body)));
            }
            let mut seats = Seats::default();
            seats.join(certified.iter().rev().map(|body| {
                let warrant = Warrant::Votes(BTreeMap::new());
                Certificate { body: body.body().clone(), warrant }
            }));
            let counting = counting(&certified);
            for body in &certified {
                let last = seats.last_seq(&body.holder, body.term);
                prop_assert_eq!(last, Some(counting[body.term as usize]), "node {}", index(&body.holder));
            }
        }
    }
}
