//! What may be stood for.

use lattice::ids::LatticeId;

use super::*;

fn name(n: u8) -> AuthorId {
    AuthorId([n; 32])
}

fn term(spares: &[u8]) -> NamedBody {
    let body = Body {
        lattice: LatticeId::ZERO,
        seat: "green".to_owned(),
        term: 4,
        holder: name(1),
        shadow: Some(name(2)),
        spares: spares.iter().map(|spare| name(*spare)).collect(),
        voters: vec![name(1), name(2), name(3)],
        electors: vec![name(1), name(3), name(5)],
        follows: Some(NamedBody::from(Body { term: 3, ..founding() }).name()),
        ..founding()
    };
    body.into()
}

fn founding() -> Body {
    Body {
        lattice: LatticeId::ZERO,
        seat: "green".to_owned(),
        term: 1,
        holder: name(1),
        shadow: None,
        spares: Vec::new(),
        voters: vec![name(1), name(3), name(5)],
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 0,
        reason: String::new(),
    }
}

fn position() -> Position {
    Position { term: 4, staged_seq: 70, holds_opening_cut: true, log_size: 900, log_root: [9; 32] }
}

fn heading() -> Heading {
    Heading { term: 6, time_ms: 1, reason: "silence".to_owned() }
}

#[test]
fn a_takeover_names_the_first_spare_and_puts_the_old_holder_last() {
    let body = takeover(name(2), Some(&term(&[7, 8])), &position(), heading()).expect("the shadow, with all");
    assert_eq!(body.check(), Ok(()));
    assert_eq!((body.term, body.holder, body.shadow), (6, name(2), Some(name(7))));
    assert_eq!(body.spares, [name(8), name(1)]);
    assert_eq!((body.cut, body.log_size, body.log_root), (70, 900, [9; 32]));
    assert_eq!((body.follows, body.electors), (Some(term(&[7, 8]).name()), term(&[]).voters.clone()));
    let alone = takeover(name(2), Some(&term(&[])), &position(), heading()).expect("the shadow, with all");
    assert_eq!((alone.shadow, alone.spares), (Some(name(1)), Vec::new()), "without a spare, the old holder");
}

#[test]
fn v7_whoever_lacks_what_its_term_began_with_does_not_stand() {
    let lacking = Position { holds_opening_cut: false, ..position() };
    let refused = takeover(name(2), Some(&term(&[])), &lacking, heading());
    assert_eq!(refused, Err(CannotStand::LacksOpening { term: 4 }));
    // It had all commits by gossip, and none of their names: a write that was sent again counted as another.
    let opened = NamedBody::from(Body { log_size: 901, ..term(&[]).body().clone() });
    let refused = takeover(name(2), Some(&opened), &position(), heading());
    assert_eq!(refused, Err(CannotStand::LacksOpening { term: 4 }), "one record short");
    let elsewhere = Position { term: 3, ..position() };
    let refused = takeover(name(2), Some(&term(&[])), &elsewhere, heading());
    assert_eq!(
        refused,
        Err(CannotStand::OtherTerm { term: 4 }),
        "a copy of the term before says nothing of this one's"
    );
}

#[test]
fn only_the_shadow_takes_over_and_only_the_holder_changes() {
    for other in [1, 3, 7] {
        let refused = takeover(name(other), Some(&term(&[7])), &position(), heading());
        assert_eq!(refused, Err(CannotStand::NotShadow { term: 4 }));
    }
    let degrade = Change { shadow: None, spares: Vec::new(), voters: term(&[]).voters.clone() };
    let refused = change(name(2), Some(&term(&[])), &position(), degrade.clone(), heading());
    assert_eq!(refused, Err(CannotStand::NotHolder { term: 4 }));
    let body = change(name(1), Some(&term(&[])), &position(), degrade.clone(), heading()).expect("the holder");
    assert_eq!((body.holder, body.shadow, body.cut), (name(1), None, 70));
    assert_eq!(change(name(1), None, &position(), degrade, heading()), Err(CannotStand::NoSeat));
}
