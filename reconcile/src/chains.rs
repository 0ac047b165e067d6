//! A page of a peer's frontier: judged before anything of it counts.

use lattice::commit::SignedHeader;
use lattice::frontier::Chain;

use crate::limits::FRONTIER_CHAINS_MAX;
use crate::message::ChainId;
use crate::outcome::PeerFault;

/// Where the page behind this one begins, if the peer says that there are more; `after` is what this one was asked behind.
///
/// # Errors
///
/// The page is none of a frontier: chains out of order, under another's name or more than 1024, or a page that leads nowhere.
pub fn behind_page(
    after: Option<ChainId>,
    chains: &[(ChainId, Chain)],
    more: bool,
) -> Result<Option<ChainId>, PeerFault> {
    let ids: Vec<_> = after.into_iter().chain(chains.iter().map(|(id, _)| *id)).collect();
    let are_their_own = chains.iter().all(|(id, chain)| is_chain_of(id, chain));
    if !ids.is_sorted_by(|one, next| one < next) || !are_their_own || chains.len() > FRONTIER_CHAINS_MAX {
        return Err(PeerFault::BadChains);
    }
    if more && chains.is_empty() {
        return Err(PeerFault::EmptyPage);
    }
    Ok(ids.last().copied().filter(|_| more))
}

/// Whether all headers of a chain are of the author and term it stands under.
fn is_chain_of(id: &ChainId, chain: &Chain) -> bool {
    let lasts = chain.beyond.iter().map(|run| &run.last);
    let mut headers = chain.tip.iter().chain(lasts).map(SignedHeader::header);
    headers.all(|header| (header.author, header.term) == *id)
}

#[cfg(test)]
mod tests {
    use lattice::ids::AuthorId;

    use super::*;

    fn page(authors: &[u8]) -> Vec<(ChainId, Chain)> {
        authors.iter().map(|author| ((AuthorId([*author; 32]), 0), Chain::default())).collect()
    }

    #[test]
    fn pages_lead_on_in_their_order_and_never_to_where_they_were() {
        let at = |author: u8| (AuthorId([author; 32]), 0);
        assert_eq!(behind_page(None, &page(&[1, 2]), true), Ok(Some(at(2))));
        assert_eq!(behind_page(Some(at(2)), &page(&[3]), false), Ok(None));
        assert_eq!(behind_page(Some(at(2)), &[], false), Ok(None));
        assert_eq!(
            behind_page(Some(at(2)), &[], true),
            Err(PeerFault::EmptyPage),
            "it would be asked for again for ever"
        );
        assert_eq!(behind_page(Some(at(2)), &page(&[2]), true), Err(PeerFault::BadChains), "one that was had already");
        assert_eq!(behind_page(None, &page(&[2, 1]), false), Err(PeerFault::BadChains));
        let many: Vec<_> =
            (0..=FRONTIER_CHAINS_MAX as u64).map(|term| ((AuthorId([1; 32]), term), Chain::default())).collect();
        assert_eq!(behind_page(None, &many, false), Err(PeerFault::BadChains));
    }
}
