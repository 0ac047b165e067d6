//! A session of this crate, measured.

use lattice::commit::Commit;
use lattice::ids::KeyHash;
use reconcile::message::Intake;
use reconcile::{Answer, Config, Effect, Event, Initiator, Outcome, Request, Response, responder};

use crate::rows::{Cost, cpu_seconds};
use crate::world::{Side, World};

/// What the initiator knows of the difference's size before it asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Foretold {
    /// What two estimators tell, as they come in heads.
    ByEstimator,
    /// Nothing.
    Not,
}

/// Runs one session to equal roots.
pub(crate) fn session(world: &World, differences: u64, seed: u64, foretold: Foretold) -> Cost {
    let [mut ours, mut theirs] = world.sides(differences, seed);
    let foretold = match foretold {
        Foretold::ByEstimator => {
            let estimator = theirs.index.sketch().estimator();
            Some(estimator.difference(ours.index.sketch().estimator()))
        }
        Foretold::Not => None,
    };
    let mut road = Road { bytes: 0, seconds: 0.0 };
    let mut machine = Initiator::new(ours.view(), Config { foretold, ..Config::default() });
    let mut event = Event::Start;
    // Freeing the pages that applied commits replaced is part of applying them.
    let before = [ours.view(), theirs.view()];
    let outcome = loop {
        let effect = road.timed(|| machine.step(event));
        event = match effect {
            Effect::Send(request) => Event::Received(road.ask(&mut theirs, request)),
            Effect::Load { keys, .. } => {
                let (commits, served) = load(&ours, &keys);
                Event::Loaded { commits, served }
            }
            Effect::Apply { commits, meanwhile } => {
                let answer = meanwhile.map(|request| Ok(road.ask(&mut theirs, request)));
                let intake = apply(&mut ours, commits);
                Event::Applied { intake, view: ours.view(), answer }
            }
            Effect::RaiseFrontier { .. } => unreachable!("frontiers are equal"),
            Effect::Finish(outcome) => break outcome,
        };
    };
    drop(before);
    assert!(matches!(outcome, Outcome::Equal { .. }), "{outcome:?}");
    assert_eq!(ours.index.root(), theirs.index.root());
    // The last opening finds nothing: it tells that all is done.
    let round_trips = machine.stats().rounds_to_find.saturating_sub(u64::from(differences > 0));
    Cost { round_trips, bytes: road.bytes, cpu_ms: road.seconds * 1e3 }
}

struct Road {
    bytes: u64,
    seconds: f64,
}

impl Road {
    fn timed<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let started = cpu_seconds();
        let result = work();
        self.seconds += cpu_seconds() - started;
        result
    }

    /// Carries a request there and its answer back. Coding commits is no part of finding them.
    fn ask(&mut self, peer: &mut Side, request: Request) -> Response {
        let request = if matches!(request, Request::Push { .. }) {
            self.carry(request, Request::encode, |bytes| Request::decode(bytes).ok())
        } else {
            self.carried(request, Request::encode, |bytes| Request::decode(bytes).ok())
        };
        let view = peer.view();
        let response = match self.timed(|| responder::answer(request, &view)) {
            Answer::Reply(response) => {
                return self.carried(response, Response::encode, |bytes| Response::decode(bytes).ok());
            }
            Answer::Load { keys, .. } => {
                let (commits, served) = load(peer, &keys);
                responder::loaded(commits, served)
            }
            Answer::Apply { commits } => responder::applied(apply(peer, commits)),
            Answer::ReadFrontier { .. } => unreachable!("frontiers are equal"),
        };
        self.carry(response, Response::encode, |bytes| Response::decode(bytes).ok())
    }

    fn carried<M>(&mut self, message: M, encode: fn(&M) -> Vec<u8>, decode: fn(&[u8]) -> Option<M>) -> M {
        let started = cpu_seconds();
        let bytes = encode(&message);
        self.bytes += bytes.len() as u64;
        let message = decode(&bytes).expect("what was encoded decodes");
        self.seconds += cpu_seconds() - started;
        message
    }

    fn carry<M: Commits>(&mut self, message: M, encode: fn(&M) -> Vec<u8>, decode: fn(&[u8]) -> Option<M>) -> M {
        let bytes = encode(&message);
        let commits: usize = message.commits().iter().map(|commit| commit.encode().len()).sum();
        self.bytes += (bytes.len() - commits) as u64;
        decode(&bytes).expect("what was encoded decodes")
    }
}

trait Commits {
    fn commits(&self) -> &[Commit];
}

impl Commits for Request {
    fn commits(&self) -> &[Commit] {
        if let Self::Push { commits } = self { commits } else { &[] }
    }
}

impl Commits for Response {
    fn commits(&self) -> &[Commit] {
        if let Self::Commits { commits, .. } = self { commits } else { &[] }
    }
}

fn load(side: &Side, keys: &[KeyHash]) -> (Vec<Commit>, usize) {
    (keys.iter().filter_map(|key| side.commits.get(key)).cloned().collect(), keys.len())
}

fn apply(side: &mut Side, commits: Vec<Commit>) -> Intake {
    let applied = commits.len() as u64;
    commits.into_iter().for_each(|commit| side.take(commit));
    side.index.root();
    Intake { applied, ..Intake::default() }
}
