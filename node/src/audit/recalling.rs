//! After a start on a database that may have forgotten what this node cosigned: others are asked what they hold of each log,
//! before anything is cosigned again.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use lattice::ids::AuthorId;
use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::exchange::Request;
use node_core::logs::first_of;

use super::Audit;
use super::cosigning::Way;

/// Members that are asked about one log: its own node may be the one that wants it forgotten, and one of the others may be new.
const ASKED_OF_EACH: usize = 3;

/// Questions under way at once.
const UNDER_WAY_MAX: usize = 16;

impl Audit {
    /// Asks nodes about the logs of all members, and takes in what is held of them; tells whether somebody answered about each.
    pub(crate) async fn recall_cosigned(&self, ways: &[Way]) -> bool {
        let names = self.names_of_logs();
        let questions = questions(&names, ways);
        let mut open: BTreeSet<_> = names.into_iter().collect();
        let asked = questions.into_iter().map(|(name, way)| async move {
            let answer = self.ask(&way, &Request::Checkpoint { origin: name.clone() }).await;
            (name, answer)
        });
        let mut answers = stream::iter(asked).buffer_unordered(UNDER_WAY_MAX);
        while let Some((name, answer)) = answers.next().await {
            let Some(answer) = answer else { continue };
            open.remove(&name);
            if let Ok(held) = SignedCheckpoint::parse(answer.body.as_bytes()) {
                // Only what its log signed is taken.
                self.take(&held).await;
            }
        }
        open.is_empty()
    }

    /// The first log of each other member, and those of a later name that were heard of.
    fn names_of_logs(&self) -> Vec<String> {
        let (published, identity) = (self.writer().published(), &self.service.inner.identity);
        let own = identity.keys.author.id();
        let first = |author: AuthorId| origin(&identity.lattice, &author, 1).to_string();
        let others = published.membership.members().map(|member| member.author).filter(|author| *author != own);
        let mut names: BTreeSet<_> = others.map(first).collect();
        let heard = self.board.all().into_iter().map(|heard| heard.checkpoint().origin().to_owned());
        let later: Vec<_> = heard.filter(|name| names.contains(first_of(name))).collect();
        names.extend(later);
        names.into_iter().collect()
    }
}

/// Who is asked about which log: some members about each, and each member about as many.
fn questions(names: &[String], ways: &[Way]) -> Vec<(String, Way)> {
    let about = |(at, name): (usize, &String)| {
        let some = ways.iter().cycle().skip(at % ways.len().max(1)).take(ASKED_OF_EACH.min(ways.len()));
        some.map(|way| (name.clone(), way.clone())).collect::<Vec<_>>()
    };
    names.iter().enumerate().flat_map(about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_asked_about_each_log_and_nobody_about_most() {
        let names: Vec<_> = (0..10).map(|n| format!("log {n}")).collect();
        let ways: Vec<_> = (0..10).map(|n| Way::Http(format!("http://{n}"))).collect();
        for reached in [0, 1, 2, 3, 10] {
            let asked = questions(&names, &ways[..reached]);
            assert_eq!(asked.len(), names.len() * reached.min(ASKED_OF_EACH), "of {reached}");
        }
        let asked = questions(&names, &ways);
        for n in 0..10 {
            let of_it = asked.iter().filter(|(_, way)| matches!(way, Way::Http(url) if *url == format!("http://{n}")));
            assert_eq!(of_it.count(), ASKED_OF_EACH, "{n}");
        }
    }
}
