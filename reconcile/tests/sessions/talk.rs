//! Carries a session between an initiator's node and whoever answers, through bytes, and writes down what was said.

use reconcile::limits::{FRUITLESS_ROUNDS_MAX, PASSES_MAX, ROUNDS_MAX, SYMBOLS_COLD};
use reconcile::message::Compared;
use reconcile::view::Scope;
use reconcile::{Config, Effect, Event, Initiator, Method, Outcome, Request, Response, Stats};

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

/// The same without sketches.
pub(crate) fn by_descent(ours: &mut Node, theirs: &mut Node) -> Talk {
    with(ours, DESCENT, |_, request| Ok(theirs.answer(request)))
}

/// A session that never asks for a symbol.
pub(crate) const DESCENT: Config = Config {
    passes_max: PASSES_MAX,
    rounds_max: ROUNDS_MAX,
    fruitless_rounds_max: FRUITLESS_ROUNDS_MAX,
    foretold: None,
    begins_by: Method::Descent,
};

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
            Effect::Apply { commits, meanwhile } => {
                let answer = meanwhile.map(|request| {
                    peer(ours, talk.carry_request(&request)).map(|response| talk.carry_response(&response))
                });
                let intake = ours.apply(commits);
                Event::Applied { intake, view: ours.view(), answer }
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
            Effect::Apply { commits, meanwhile: None } => format!("= apply {}", commits.len()),
            Effect::Apply { commits, meanwhile: Some(request) } => {
                format!("= apply {}, meanwhile > {}", commits.len(), asked(request))
            }
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

/// As many symbols as a session begins with that knows nothing are `a few`.
fn and_flight(symbols: u64, estimate: bool) -> String {
    let symbols = match symbols {
        0 => String::new(),
        SYMBOLS_COLD => ", a few symbols".to_owned(),
        symbols => format!(", {symbols} symbols"),
    };
    symbols + if estimate { ", estimate" } else { "" }
}

/// Whether a request is for commits, however it names them.
pub(crate) fn is_fetch(request: &Request) -> bool {
    matches!(request, Request::Fetch { .. } | Request::FetchShort { .. })
}

fn asked(request: &Request) -> String {
    match request {
        Request::Open { summary, symbols, estimate } => {
            format!("open {}{}", summary.entries, and_flight(*symbols, *estimate))
        }
        Request::Symbols { parts } => {
            let symbols: u64 = parts.iter().map(|part| part.count).sum();
            let (from, bits) = (parts[0].from, parts[0].prefix.bits());
            format!("symbols {symbols} from {from}, parts {} at {bits} bits", parts.len())
        }
        Request::FetchShort { keys } => format!("fetch {} short", keys.len()),
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
        Response::Opened { summary, flight } => {
            let flight = flight.clone().unwrap_or_default();
            let flight = and_flight(flight.symbols.len() as u64, flight.estimator.is_some());
            format!("opened {}{flight}", summary.entries)
        }
        Response::Symbols { parts, .. } => {
            format!("symbols {}, parts {}", parts.iter().map(Vec::len).sum::<usize>(), parts.len())
        }
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
