//! Copying the holder: its records, made again of the same commits, and what it has staged.

use lattice::log::checkpoint::seat_origin;
use lattice::log::edge::Edge;
use lattice::merkle::Digest;
use lattice::record::{Event, Record};
use lattice::seat::message::KeptName;
use node_core::apply::EntryRow;

use super::certainty::Trace;
use super::job::{Fidelity, MirrorBatch, MirrorError, Mirrored};
use super::staged::StagedCommit;
use super::staging::answer;
use super::{Copying, Part, SeatPublished};
use crate::store::{SEAT_LOG, StoreError, answers, log, staged as table, write};
use crate::writer::answers::{decode_written, encode_written};
use crate::writer::group::{Item, Task};
use crate::writer::state::{NotApplied, State};
use crate::writer::{Identity, Writer};

impl Writer {
    /// Cuts the seat's log to where the term took it over, and goes on as a mirror.
    pub(super) async fn copy(&mut self, term: u64, size: u64, root: Digest) -> Result<SeatPublished, StoreError> {
        self.settle_older(term).await?;
        self.state.name_seat_log(&self.identity).await?;
        self.state.cut_seat_log(size, root).await?;
        if self.state.seat.with_outbox(|outbox| outbox.size()) != self.state.seat.edge.as_ref().map_or(0, Edge::size) {
            self.state.restart_outbox();
        }
        self.state.seat.part = Part::Mirror(term);
        Ok(self.state.seat_published())
    }

    /// Takes over records and staged commits of the holder; what is durable of it when something fails stays.
    pub(super) async fn mirror(&mut self, batch: MirrorBatch) -> Result<SeatPublished, MirrorError> {
        let size = self.state.seat.edge.as_ref().map_or(0, Edge::size);
        // Also what comes when this node has become the holder itself.
        if batch.from != size || self.state.seat.is_holder() {
            return Err(MirrorError::Gap { from: batch.from, size });
        }
        if batch.fidelity == Fidelity::Log {
            let records: Vec<_> = batch.records.into_iter().map(|mirrored| mirrored.record).collect();
            self.state.append_to_seat_log(&records).await?;
            self.state.restart_outbox();
            return Ok(self.state.seat_published());
        }
        // Commits of these records that clients named come as staged ones, with their names.
        let is_only_staged = batch.records.is_empty();
        match self.stage_mirrored(batch.staged, batch.fidelity).await {
            // Records make room.
            Err(MirrorError::TooMuch) if !is_only_staged => {}
            staged => staged?,
        }
        let mut records = batch.records.into_iter();
        while let Some(next) = records.next() {
            let position = self.state.seat.edge.as_ref().map_or(0, Edge::size);
            let record = Record::decode(&next.record).map_err(|_| MirrorError::NoRecord { position })?;
            let is_change = matches!(record.event, Event::Applied { .. });
            // Taking effect of a membership change is a record of its own, made by the same transaction.
            let follows = records.as_slice().first().is_some_and(|after| is_effect(&after.record));
            let mut expected = vec![next.record.clone()];
            if is_change && follows {
                expected.extend(records.next().map(|after| after.record));
            }
            match record.event {
                Event::Applied { .. } => self.mirror_commits(&record, next, &expected, batch.fidelity).await?,
                Event::Damaged { .. } if batch.fidelity == Fidelity::Twin => {
                    return Err(MirrorError::HolderDamaged { position });
                }
                Event::Stated if batch.fidelity == Fidelity::Twin && record.after != self.state.tree.root() => {
                    return Err(MirrorError::Differs { position });
                }
                Event::Opened { .. }
                | Event::Reconciled { .. }
                | Event::Mode { .. }
                | Event::Membership { .. }
                | Event::Stated
                | Event::Renamed { .. }
                | Event::Seat { .. }
                | Event::Damaged { .. } => {
                    self.state.append_to_seat_log(std::slice::from_ref(&next.record)).await?;
                    self.state.seat.keep(&expected, &[]);
                }
            }
        }
        if batch.fidelity == Fidelity::Joined {
            // Of what a session brought, this node does not have the commits as the records name them.
            self.state.restart_outbox();
        }
        Ok(self.state.seat_published())
    }

    /// Applies the commits of one record in one transaction.
    async fn mirror_commits(
        &mut self,
        record: &Record,
        came: Mirrored,
        expected: &[Vec<u8>],
        fidelity: Fidelity,
    ) -> Result<(), MirrorError> {
        let position = self.state.seat.edge.as_ref().map_or(0, Edge::size);
        let Event::Applied { commits: named } = &record.event else { return Ok(()) };
        let mut items = Vec::with_capacity(named.len());
        for id in named {
            let staged = self.state.seat.staged.of_id(id);
            let (commit, task) = match (staged, came.commits.iter().find(|commit| commit.id() == *id)) {
                (Some(staged), _) => (staged.commit.clone(), Task::Staged(staged.name.clone())),
                // Other mirrors have it staged no more than this one.
                (None, Some(commit)) => (commit.clone(), Task::Foreign(None, None)),
                // A session brought it before; were it not so, the roots would differ once this node is seeded.
                (None, None) if fidelity == Fidelity::Joined => continue,
                (None, None) => return Err(MirrorError::Missing { position, commit: *id }),
            };
            if self.admits(&commit, fidelity)? {
                items.push(Item { commit, task, publish: false });
            }
        }
        if items.is_empty() {
            return Ok(self.state.append_to_seat_log(expected).await?);
        }
        let is_twin = fidelity == Fidelity::Twin;
        let copying = if is_twin { Copying::Twin(expected) } else { Copying::Given(expected) };
        match self.state.join(&self.identity, &items, record.time_ms, copying).await {
            Ok(_) => {
                let answers = self.leave_staging(&items);
                self.state.seat.keep(expected, &items);
                self.publish(None);
                answer(answers);
                Ok(())
            }
            Err(NotApplied::Differs) => Err(MirrorError::Differs { position }),
            Err(NotApplied::Store(error)) => {
                self.publish(Some(error.clone()));
                Err(error.into())
            }
        }
    }
}

fn is_effect(record: &[u8]) -> bool {
    Record::decode(record).is_ok_and(|record| matches!(record.event, Event::Membership { .. }))
}

impl State {
    /// Gives the seat's log its name, if there is none here yet.
    pub(super) async fn name_seat_log(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let Some(seat) = identity.genesis.seat() else { return Ok(()) };
        let (origin, key) = (seat_origin(&identity.lattice, seat), identity.keys.log_key());
        write::name_log(&mut self.connection, SEAT_LOG, origin.as_str(), key.as_bytes()).await
    }

    /// States the state as it is in the seat's log, which it opens if there is none: what came into the state beside the
    /// log, a certificate at least, is in what follows. Gives the record.
    pub(super) async fn state_in_seat_log(&mut self, identity: &Identity, now_ms: u64) -> Result<Vec<u8>, StoreError> {
        self.name_seat_log(identity).await?;
        let root = self.tree.root();
        let event = if self.seat.edge.as_ref().is_some_and(|edge| edge.size() > 0) {
            Event::Stated
        } else {
            Event::Opened { lattice: identity.lattice, author: identity.keys.author.id() }
        };
        let record = Record { time_ms: now_ms, before: root, after: root, entries: self.tree.len(), event }.encode();
        self.append_to_seat_log(std::slice::from_ref(&record)).await?;
        Ok(record)
    }

    /// In a seed: keeps answers of the holder, and forgets staged commits that came with the state, or whose entries others have
    /// replaced there. A name that is known here already keeps its answer.
    pub(super) async fn take_names(&mut self, names: &[KeptName]) -> Result<(), StoreError> {
        self.expect_certain()?;
        let is_in = |staged: &StagedCommit| {
            let header = staged.commit.header();
            self.frontier.covers(&header.author, header.term, header.seq)
        };
        let covered = self.seat.staged.iter().filter(|(_, staged)| is_in(staged));
        let (places, ids): (Vec<_>, Vec<_>) = covered.map(|(place, staged)| (place, staged.commit.id())).unzip();
        write::begin(&mut self.connection).await?;
        let written = async {
            for kept in names {
                let written = decode_written(&kept.answer)?;
                if answers::of_name(&mut self.connection, &kept.name).await?.is_none() {
                    let kept = KeptName { answer: encode_written(&written.elsewhere()), ..kept.clone() };
                    answers::keep(&mut self.connection, &kept, written.seq).await?;
                }
            }
            table::unstage(&mut self.connection, &ids).await?;
            write::commit(&mut self.connection).await
        };
        // Names that were kept already are known the next time: that none of them shows whether they are harms nobody.
        let written = written.await;
        match ids.last() {
            Some(last) => self.end(written, Trace::Unstaged(*last)).await?,
            None if written.is_err() => {
                write::roll_back(&mut self.connection).await;
                return written;
            }
            None => {}
        }
        for place in places {
            let Some(taken) = self.seat.staged.take(place) else { continue };
            let written = self.written(&taken.commit);
            taken.waiting.into_iter().for_each(|reply| reply.finish(Ok(written)));
        }
        Ok(())
    }

    /// Mirrors find nothing here that is older than the log is now.
    fn restart_outbox(&self) {
        let size = self.seat.edge.as_ref().map_or(0, Edge::size);
        self.seat.with_outbox(|outbox| outbox.restart(size));
    }

    /// Appends records to the seat's log alone.
    async fn append_to_seat_log(&mut self, records: &[Vec<u8>]) -> Result<(), StoreError> {
        self.expect_certain()?;
        let mut edge = self.seat.edge.clone().unwrap_or_default();
        let size = edge.size();
        let last_entry = EntryRow(self.next.entry.0 - 1);
        write::begin(&mut self.connection).await?;
        let written = async {
            for record in records {
                log::append_record(&mut self.connection, SEAT_LOG, &mut edge, record.clone(), last_entry).await?;
            }
            write::commit(&mut self.connection).await
        };
        let (written, size) = (written.await, size + records.len() as u64);
        self.end(written, Trace::LogSize(size)).await?;
        self.seat.edge = Some(edge);
        Ok(())
    }

    /// Cuts the seat's log to `size` records; all of it if those have another root, or there are not as many.
    async fn cut_seat_log(&mut self, size: u64, root: Digest) -> Result<(), StoreError> {
        let Some(edge) = &self.seat.edge else { return Ok(()) };
        let held = log::root_of(&mut self.connection, SEAT_LOG, size.min(edge.size())).await?;
        let kept = match held {
            Some(held) if edge.size() < size || held == root => size.min(edge.size()),
            Some(_) | None => 0,
        };
        if kept == edge.size() {
            return Ok(());
        }
        self.expect_certain()?;
        write::begin(&mut self.connection).await?;
        let mut edge = Edge::default();
        let cut = async {
            edge = table::cut_log(&mut self.connection, kept).await?;
            write::commit(&mut self.connection).await
        };
        let cut = cut.await;
        self.end(cut, Trace::LogSize(kept)).await?;
        self.seat.edge = Some(edge);
        Ok(())
    }

    /// Takes up what is staged, and where the seat's log goes on, from before this start.
    pub(in crate::writer) async fn take_up_seat(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let size = write::stored_log_size(&mut self.connection, SEAT_LOG).await?;
        if size > 0 {
            self.seat.edge = Some(log::edge(&mut self.connection, SEAT_LOG, size).await?);
            self.seat.with_outbox(|outbox| outbox.restart(size));
        }
        // A holder's log has no gaps: what comes before the first lease after a start belongs to it as well.
        let current = self.membership.seats().current().map(|term| &term.certificate.body);
        if let Some(body) = current.filter(|body| body.holder == identity.keys.author.id() && size > 0) {
            self.seat.part = Part::Holder(body.term);
        }
        for (commit, name) in table::staged(&mut self.connection).await? {
            let verified = commit.verify_for(&identity.genesis, identity.lattice).map_err(StoreError::damaged)?;
            let counts = self.membership.admit_header(verified.header()).is_ok();
            let staged = StagedCommit::new(verified, name);
            // Its mirrors may not have them yet, and what is staged next must not leave a gap there. What is beyond the cut
            // of its term waits for quarantine.
            if counts {
                let carried = staged.carried();
                self.seat.with_outbox(|outbox| outbox.staged(carried));
            }
            self.seat.staged.insert(staged);
        }
        Ok(())
    }
}
