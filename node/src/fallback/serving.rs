//! What the routes between nodes show and do: state, sessions, and the whole state as a stream.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use http_fallback::router::{Place, Reply, Source};
use http_fallback::state::StateView;
use lattice::ids::{AuthorId, LatticeId};
use lattice::transfer::{Cursor, Part};
use node_core::apply::EntryRow;

use super::{Fallback, lock};
use crate::clock::now_ms;
use crate::store::StoreError;
use crate::sync::Sync;
use crate::writer::Published;

impl Source for Fallback {
    fn lattice(&self) -> LatticeId {
        self.sync.identity.lattice
    }

    fn author(&self) -> AuthorId {
        self.sync.identity.keys.author.id()
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn state(&self) -> StateView {
        self.service.state()
    }

    /// Members that no cut has touched; and at a node that lost its database, whoever answers at a URL that its
    /// operator configured, since it knows no members any more.
    fn may_reconcile(&self, author: &AuthorId) -> bool {
        let published = self.sync.writer.published();
        let is_vouched = || published.is_catching_up && lock(&self.vouched).contains(author);
        published.membership.is_active(author) || is_vouched()
    }

    fn is_read_token(&self, shown: &[u8]) -> bool {
        self.read_token.as_ref().is_some_and(|token| token.is(shown))
    }

    fn witness(&self, question: Vec<u8>) -> BoxFuture<'_, String> {
        Box::pin(async move { self.sync.audit.answer(&question).await.to_string() })
    }

    fn place(&self, author: AuthorId) -> Option<Place> {
        self.sync.place_over_http(author)
    }

    fn reconcile(&self, author: AuthorId, message: Vec<u8>) -> BoxFuture<'_, Reply> {
        Box::pin(self.sync.answer_over_http(author, message))
    }

    fn full(&self, after: Cursor) -> BoxStream<'static, io::Result<Bytes>> {
        let walk = Walk { sync: self.sync.clone(), after, next: Next::Header };
        Box::pin(stream::try_unfold(walk, |mut walk| async move {
            match walk.parts().await {
                Ok(Some(bytes)) => Ok(Some((bytes, walk))),
                Ok(None) => Ok(None),
                Err(error) => {
                    tracing::error!(%error, "the whole state can't be read; the stream is cut");
                    Err(io::Error::other(error))
                }
            }
        }))
    }
}

/// One stream's place in the state.
struct Walk {
    sync: Sync,
    after: Cursor,
    next: Next,
}

enum Next {
    Header,
    /// Commits of membership changes, from the first of these on.
    Members(Vec<EntryRow>),
    Commits,
    End,
    Nothing,
}

impl Walk {
    /// The next encoded parts, about half a megabyte of them; `None` behind the end.
    async fn parts(&mut self) -> Result<Option<Bytes>, StoreError> {
        let published = self.sync.writer.published();
        let parts = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Header => self.header(&published).await?,
            Next::Members(rows) => self.members(rows).await?,
            Next::Commits => self.commits().await?,
            Next::End => vec![Part::End { root: published.root, entries: published.tree.len() }],
            Next::Nothing => return Ok(None),
        };
        let bytes: Vec<u8> = parts.iter().flat_map(Part::encode).collect();
        Ok(Some(bytes.into()))
    }

    async fn header(&mut self, published: &Arc<Published>) -> Result<Vec<Part>, StoreError> {
        let epoch = self.sync.reader.epoch().await?;
        if self.after.epoch != epoch {
            // A cursor of another database: from the beginning.
            self.after = Cursor { epoch, row: 0 };
        }
        self.next = Next::Members(published.members.leaves().map(|leaf| leaf.tag).collect());
        let (root, entries) = (published.root, published.tree.len());
        Ok(vec![Part::Header { lattice: self.sync.identity.lattice, root, entries, after: self.after }])
    }

    /// Membership changes go first, or the rest would wait for them.
    async fn members(&mut self, mut rows: Vec<EntryRow>) -> Result<Vec<Part>, StoreError> {
        let (commits, served) = self.sync.reader.first_commits(&rows).await?;
        rows.drain(..served.min(rows.len()));
        self.next = if rows.is_empty() { Next::Commits } else { Next::Members(rows) };
        let row = self.after.row;
        Ok(commits.into_iter().map(|commit| Part::Commit { row, commit: Box::new(commit) }).collect())
    }

    async fn commits(&mut self) -> Result<Vec<Part>, StoreError> {
        let page = self.sync.reader.commits_behind(self.after).await?;
        self.after.row = page.commits.back().map_or(self.after.row, |(row, _)| *row);
        self.next = if page.is_last { Next::End } else { Next::Commits };
        let part = |(row, commit)| Part::Commit { row, commit: Box::new(commit) };
        Ok(page.commits.into_iter().map(part).collect())
    }
}
