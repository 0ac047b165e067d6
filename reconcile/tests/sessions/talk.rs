//! Carries a session between an initiator's node and whoever answers, through bytes, and writes down what was said.

use reconcile::message::Compared;
use reconcile::view::Scope;
use reconcile::{Config, Effect, Event, Initiator, Outcome, Request, Response, Stats};

use crate::node::Node;

/// What a session said and how it ended.
pub(crate) struct Talk {
    pub(crate) transcript: Vec<String>,
    pub(crate) outcome: Outcome,
    pub(crate) stats: Stats,
    /// Bytes of all messages, both ways.
    pub(crate) bytes: usize,
}

/// What becomes of a request.
pub(crate) type Reply = Result<Response, String>;

/// A session between two honest nodes over a road that loses nothing.
pub(crate) fn between(ours: &mut Node, theirs: &mut Node) -> Talk {
    with(ours, Config::default(), |_, request| Ok(theirs.answer(request)))
}

/// A session of `ours` with whatever `peer` does; it sees our node as well, to write to it in the middle.
pub(crate) fn with(ours: &mut Node, config: Config, mut peer: impl FnMut(&mut Node, Request) -> Reply) -> Talk {
    let mut initiator = Initiator::new(ours.view(), config);
    let mut talk = Talk { transcript: Vec::new(), outcome: Outcome::Busy, stats: Stats::default(), bytes: 0 };
    let mut event = Event::Start;
    loop {
        let effect = initiator.step(event);
        talk.say(&effect);
        event = match effect {
            Effect::Send(request) => match peer(ours, talk.carry_request(&request)) {
                Ok(response) => Event::Received(talk.carry_response(&response)),
                Err(reason) => Event::SendFailed(reason),
            },
            Effect::Load { keys, max_bytes } => {
                let (commits, served) = ours.load(&keys, max_bytes);
                Event::Loaded { commits, served }
            }
            Effect::Apply { commits } => {
                let intake = ours.apply(commits);
                Event::Applied { intake, view: ours.view() }
            }
            Effect::RaiseFrontier { root, chains } => {
                ours.raise(root, chains);
                Event::Raised { view: ours.view() }
            }
            Effect::Finish(outcome) => {
                talk.outcome = outcome;
                talk.stats = initiator.stats();
                return talk;
            }
        };
    }
}

impl Talk {
    fn carry_request(&mut self, request: &Request) -> Request {
        let bytes = request.encode();
        self.bytes += bytes.len();
        let carried = Request::decode(&bytes).expect("what an initiator says decodes");
        assert_eq!(carried, *request);
        carried
    }

    /// Hostile answers may hold what no bytes can; they are given as they are.
    fn carry_response(&mut self, response: &Response) -> Response {
        let bytes = response.encode();
        self.bytes += bytes.len();
        self.transcript.push(format!("  < {}", said(response)));
        Response::decode(&bytes).unwrap_or_else(|_| response.clone())
    }

    fn say(&mut self, effect: &Effect) {
        let line = match effect {
            Effect::Send(request) => format!("> {}", asked(request)),
            Effect::Load { keys, .. } => format!("= load {}", keys.len()),
            Effect::Apply { commits } => format!("= apply {}", commits.len()),
            Effect::RaiseFrontier { chains, .. } => format!("= raise {}", chains.len()),
            Effect::Finish(outcome) => format!("= {}", outcome.word()),
        };
        self.transcript.push(line);
    }

    /// The transcript as one text, for comparison.
    pub(crate) fn text(&self) -> String {
        self.transcript.join("\n")
    }
}

fn asked(request: &Request) -> String {
    match request {
        Request::Open(summary) => format!("open {}", summary.entries),
        Request::Compare { nodes } => {
            let bits = nodes.iter().map(|(prefix, _)| prefix.bits()).max().unwrap_or(0);
            format!("compare {} at {bits} bits", nodes.len())
        }
        Request::List { scope, prefixes, after } => {
            let scope = match scope {
                Scope::State => "state",
                Scope::Members => "members",
            };
            let on = if after.is_some() { ", on" } else { "" };
            format!("list {scope} under {}{on}", prefixes.len())
        }
        Request::Fetch { keys } => format!("fetch {}", keys.len()),
        Request::Push { commits } => format!("push {}", commits.len()),
        Request::Frontier { .. } => "frontier".to_owned(),
    }
}

fn said(response: &Response) -> String {
    match response {
        Response::Opened(summary) => format!("opened {}", summary.entries),
        Response::Compared { answers } => {
            let count = |is: fn(&Compared) -> bool| answers.iter().filter(|answer| is(answer)).count();
            let leaves = answers.iter().map(|answer| match answer {
                Compared::Leaves(leaves) => leaves.len(),
                Compared::Same | Compared::Children(_) => 0,
            });
            let same = count(|answer| matches!(answer, Compared::Same));
            let children = count(|answer| matches!(answer, Compared::Children(_)));
            format!("same {same}, children {children}, leaves {}", leaves.sum::<usize>())
        }
        Response::Listed { leaves, more } => {
            format!("listed {}{}", leaves.len(), if *more { ", more" } else { "" })
        }
        Response::Commits { commits, served } => format!("commits {}, served {served}", commits.len()),
        Response::Pushed(intake) => {
            format!("applied {}, waiting {}, refused {}", intake.applied, intake.waiting, intake.refused.len())
        }
        Response::Frontier { chains, .. } => format!("frontier {}", chains.len()),
        Response::Busy => "busy".to_owned(),
        Response::Refused { reason } => format!("refused: {reason}"),
    }
}

/// Compares a transcript with an expected one, indentation aside.
pub(crate) fn assert_said(talk: &Talk, expected: &str) {
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said: Vec<_> = talk.transcript.iter().map(|line| line.trim()).collect();
    assert_eq!(said, expected, "\n{}\n", talk.text());
}
