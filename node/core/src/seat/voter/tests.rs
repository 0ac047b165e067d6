//! Each rule of a voter, one by one. That together they suffice, and that none can be left out, is the model's business.

use lattice::ids::LatticeId;
use lattice::seat::Body;

use super::*;

const NOW: BootMs = BootMs(10_000);
const LEASE_MS: u64 = Timing::LAN.lease_ms;

fn name(n: u8) -> AuthorId {
    AuthorId([n; 32])
}

/// Node 1 holds, node 2 is its shadow, nodes 1 to 3 vote.
fn founding() -> NamedBody {
    let body = Body {
        lattice: LatticeId::ZERO,
        seat: "green".to_owned(),
        term: 1,
        holder: name(1),
        shadow: Some(name(2)),
        spares: vec![name(4)],
        voters: vec![name(1), name(2), name(3)],
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 0,
        reason: String::new(),
    };
    body.into()
}

fn after(before: &NamedBody, term: u64, holder: u8, shadow: u8) -> NamedBody {
    let mut body = before.body().clone();
    (body.term, body.holder, body.shadow) = (term, name(holder), Some(name(shadow)));
    (body.follows, body.electors) = (Some(before.name()), before.voters.clone());
    body.into()
}

/// Voter 3, long after its start.
fn voter() -> Voter {
    Voter::start(name(3), &Timing::LAN, BootMs(0), Some(founding()), None)
}

fn vote(voter: &mut Voter, body: &NamedBody) -> Result<NamedBody, Refusal> {
    let pending = voter.ask_vote(NOW, body.holder, body)?;
    Ok(pending.persisted().vote().expect("a vote").clone())
}

fn ticket(round: u64) -> Ticket {
    Ticket { session: 7, round }
}

fn renew(voter: &mut Voter, now: BootMs, body: &NamedBody, round: u64) -> Result<(), Refusal> {
    voter.renew(now, &LeaseRequest { from: body.holder, body, ticket: ticket(round), lease_ms: LEASE_MS })
}

#[test]
fn v1_a_vote_is_read_back_as_it_was_stored() {
    let mut voter = voter();
    let body = after(&founding(), 2, 2, 1);
    let pending = voter.ask_vote(NOW, name(2), &body).expect("free");
    let ballot = Ballot::from_stored(&pending.stored_form()).expect("as stored");
    assert_eq!(ballot, Ballot { act: Act::Voted, body: body.clone() });
    let mut restarted = Voter::start(name(3), &Timing::LAN, BootMs(0), Some(founding()), Some(ballot));
    let other = after(&founding(), 2, 1, 2);
    assert_eq!(vote(&mut restarted, &other), Err(Refusal::TermTaken { term: 2 }));
    assert!(
        Ballot::from_stored(&[]).is_err() && Ballot::from_stored(&[2]).is_err() && Ballot::from_stored(&[1]).is_err()
    );
}

#[test]
fn v1_one_body_a_term_and_the_same_answer_to_the_same_question() {
    let mut voter = voter();
    let body = after(&founding(), 2, 2, 1);
    assert_eq!(vote(&mut voter, &body), Ok(body.clone()));
    assert_eq!(vote(&mut voter, &body), Ok(body));
    assert_eq!(vote(&mut voter, &after(&founding(), 2, 2, 4)), Err(Refusal::TermTaken { term: 2 }));
}

#[test]
fn v2_only_a_higher_term_than_any_voted_for_or_certified() {
    let mut voter = voter();
    assert!(vote(&mut voter, &after(&founding(), 5, 2, 1)).is_ok());
    assert_eq!(vote(&mut voter, &after(&founding(), 4, 2, 1)), Err(Refusal::LowTerm { term: 5 }));
    voter.learn(&after(&founding(), 7, 2, 1));
    assert_eq!(vote(&mut voter, &after(&founding(), 7, 2, 4)), Err(Refusal::LowTerm { term: 7 }));
}

#[test]
fn v3_only_for_holder_or_shadow_of_the_highest_body() {
    let mut voter = voter();
    assert_eq!(vote(&mut voter, &after(&founding(), 2, 4, 1)), Err(Refusal::NotEntitled { term: 1 }), "a spare");
    assert!(vote(&mut voter, &after(&founding(), 2, 1, 4)).is_ok());
    let former = vote(&mut voter, &after(&founding(), 3, 2, 1));
    assert_eq!(former, Err(Refusal::NotEntitled { term: 2 }), "the body voted for names another shadow");
    let asker = voter.ask_vote(NOW, name(1), &after(&founding(), 3, 4, 1)).map(|_| ());
    assert_eq!(asker, Err(Refusal::NotAsker), "nobody asks for another");
}

#[test]
fn v4_not_while_the_lease_of_another_runs() {
    let mut voter = voter();
    assert_eq!(renew(&mut voter, NOW, &founding(), 1), Ok(()));
    let body = after(&founding(), 2, 2, 1);
    let refusal = Refusal::LeaseRuns { holder: name(1), ms: LEASE_MS };
    assert_eq!(vote(&mut voter, &body), Err(refusal));
    assert_eq!(refusal.wait_ms(), Some(LEASE_MS));
    assert!(vote(&mut voter.clone(), &after(&founding(), 2, 1, 4)).is_ok(), "its own holder may stand");
    assert!(voter.clone().ask_vote(NOW.after(LEASE_MS), name(2), &body).is_ok(), "run out");
    voter.release(name(1), ticket(1));
    assert!(vote(&mut voter, &body).is_ok(), "released");
}

/// Operators may settle a term while a lease of the term before still runs here.
#[test]
fn v4_nor_is_a_lease_granted_under_anothers() {
    let mut voter = voter();
    assert_eq!(renew(&mut voter, NOW, &founding(), 1), Ok(()));
    let next = after(&founding(), 2, 2, 1);
    voter.learn(&next);
    let granted = renew(&mut voter, NOW.after(100), &next, 1);
    assert_eq!(granted, Err(Refusal::LeaseRuns { holder: name(1), ms: LEASE_MS - 100 }));
    assert_eq!(renew(&mut voter, NOW.after(LEASE_MS), &next, 1), Ok(()));
}

/// The shadow is a voter, granted its holder a lease, and stands. Asked for its vote on the body that it has in its book
/// already, it must not take that for a vote it gave.
#[test]
fn v4_standing_is_not_voting() {
    let mut shadow = Voter::start(name(2), &Timing::LAN, BootMs(0), Some(founding()), None);
    assert_eq!(renew(&mut shadow, NOW, &founding(), 1), Ok(()));
    let body = after(&founding(), 2, 2, 1);
    assert_eq!(shadow.stand(&body).expect("free to stand").persisted().vote(), None);
    assert!(matches!(vote(&mut shadow, &body), Err(Refusal::LeaseRuns { .. })));
    let later = NOW.after(LEASE_MS);
    let voted = shadow.ask_vote(later, name(2), &body).expect("run out").persisted();
    assert_eq!(voted.vote(), Some(&body));
    assert_eq!(shadow.stand(&body).expect("again").persisted().vote(), Some(&body), "a vote stays one");
}

#[test]
fn v5_who_voted_or_stood_does_nothing_for_a_lower_term() {
    let mut voter = voter();
    assert!(vote(&mut voter, &after(&founding(), 2, 2, 1)).is_ok());
    assert_eq!(renew(&mut voter, NOW, &founding(), 1), Err(Refusal::LowTerm { term: 2 }));
    assert!(!voter.may_serve(1) && voter.may_serve(2));
    let mut shadow = Voter::start(name(2), &Timing::LAN, BootMs(0), Some(founding()), None);
    assert!(shadow.stand(&after(&founding(), 2, 2, 1)).is_ok());
    assert!(!shadow.may_serve(1), "at once, before it is stored");
}

#[test]
fn v6_after_a_restart_it_rests_for_one_lease() {
    let mut voter = Voter::start(name(3), &Timing::LAN, NOW, Some(founding()), None);
    let rest = Refusal::Resting { ms: LEASE_MS };
    assert_eq!(vote(&mut voter, &after(&founding(), 2, 2, 1)), Err(rest));
    assert_eq!(renew(&mut voter, NOW, &founding(), 1), Err(rest));
    assert_eq!(voter.inquire(NOW).rest_ms, LEASE_MS);
    assert_eq!(renew(&mut voter, NOW.after(LEASE_MS), &founding(), 1), Ok(()));
}

#[test]
fn v8_a_refusal_changes_nothing() {
    let mut voter = voter();
    assert_eq!(renew(&mut voter, NOW, &founding(), 1), Ok(()));
    let before = voter.clone();
    let next = after(&founding(), 2, 2, 1);
    assert!(vote(&mut voter, &next).is_err());
    assert!(vote(&mut voter, &after(&founding(), 9, 4, 1)).is_err());
    assert!(renew(&mut voter, NOW, &next, 1).is_err());
    assert_eq!(voter, before);
}

#[test]
fn v9_a_body_follows_the_highest_certificate_and_counts_its_voters() {
    let mut voter = voter();
    let second = after(&founding(), 2, 1, 2);
    voter.learn(&second);
    voter.learn(&founding());
    assert_eq!(voter.state().certified.as_ref(), Some(&second), "an older one is no news");
    assert_eq!(vote(&mut voter, &after(&founding(), 3, 2, 1)), Err(Refusal::NotLatest { term: 2 }));
    let mut others = after(&second, 3, 2, 1).body().clone();
    others.electors = vec![name(2), name(3), name(4)];
    assert_eq!(vote(&mut voter, &others.into()), Err(Refusal::NotLatest { term: 2 }));
    assert!(vote(&mut voter, &after(&second, 3, 2, 1)).is_ok());
    let mut fresh = Voter::start(name(3), &Timing::LAN, BootMs(0), None, None);
    assert_eq!(vote(&mut fresh, &second), Err(Refusal::NoSeat));
}

/// The holder names new voters, and its shadow, which has not heard of it, stands from the term before: each would have a
/// majority of its own voters, and a lease.
#[test]
fn v10_other_voters_are_not_voted_for() {
    let mut others = after(&founding(), 2, 1, 2).body().clone();
    others.voters = vec![name(3), name(4), name(5)];
    assert_eq!(vote(&mut voter(), &others.into()), Err(Refusal::NotLatest { term: 1 }));
}

#[test]
fn a_lease_is_for_the_certified_holder_from_a_voter() {
    let mut voter = voter();
    assert_eq!(renew(&mut voter, NOW, &after(&founding(), 2, 2, 1), 1), Err(Refusal::Uncertified));
    let request = LeaseRequest { from: name(2), body: &founding(), ticket: ticket(1), lease_ms: LEASE_MS };
    assert_eq!(voter.renew(NOW, &request), Err(Refusal::NotAsker));
    let mut spare = Voter::start(name(4), &Timing::LAN, BootMs(0), Some(founding()), None);
    assert_eq!(renew(&mut spare, NOW, &founding(), 1), Err(Refusal::NoVoter));
    assert_eq!(vote(&mut spare, &after(&founding(), 2, 2, 1)), Err(Refusal::NoVoter));
}

/// The holder would go on serving after this voter has voted for another.
#[test]
fn a_lease_that_is_counted_on_for_longer_than_it_is_kept_is_refused() {
    let (mut voter, body) = (voter(), founding());
    let request = |lease_ms| LeaseRequest { from: name(1), body: &body, ticket: ticket(1), lease_ms };
    assert_eq!(voter.renew(NOW, &request(LEASE_MS + 1)), Err(Refusal::ShorterLease { ms: LEASE_MS }));
    assert_eq!(voter.renew(NOW, &request(LEASE_MS - 1)), Ok(()));
}

/// Copies of a message come late. A release must not take back what was asked for after it, and a request from before it
/// must not bring back a lease that nobody uses.
#[test]
fn a_release_takes_back_what_was_asked_for_until_then() {
    let mut voter = voter();
    assert_eq!(renew(&mut voter, NOW, &founding(), 3), Ok(()));
    voter.release(name(1), ticket(3));
    assert_eq!(voter.inquire(NOW).released_by, Some(name(1)));
    assert_eq!(renew(&mut voter, NOW, &founding(), 2), Err(Refusal::Released));
    assert_eq!(renew(&mut voter, NOW, &founding(), 4), Ok(()));
    voter.release(name(1), ticket(3));
    voter.release(name(2), ticket(9));
    voter.release(name(1), Ticket { session: 8, round: 9 });
    let state = voter.inquire(NOW.after(1));
    assert_eq!((state.lease, state.released_by), (Some((name(1), LEASE_MS - 1)), None));
}
