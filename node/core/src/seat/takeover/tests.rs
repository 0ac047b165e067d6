//! The line of `status`, case by case.

use super::*;

const NOW: BootMs = BootMs(100_000);

fn well() -> Outlook {
    Outlook {
        has_shadow: true,
        shadow_heard: Some(NOW),
        shadow_in_term: true,
        shadow_ill: None,
        staged: (10, 10),
        records: (20, 20),
        voters: (2, 2),
        abstaining: 0,
        paused: None,
    }
}

#[test]
fn it_says_what_would_be_lost() {
    let line = |outlook: &Outlook| takeover_possible(NOW, 1_500, outlook).expect("possible").to_string();
    assert_eq!(line(&well()), "the shadow can take over; nothing would be lost");
    let behind = Outlook { staged: (12, 10), records: (25, 20), ..well() };
    let words =
        "the shadow can take over; 2 commits, acknowledged at `local` at most, would be lost (5 records yet to apply)";
    assert_eq!(line(&behind), words);
    let paused_before = Outlook { paused: Some(NOW), ..well() };
    assert_eq!(line(&paused_before), line(&well()), "a pause ends by itself");
}

#[test]
fn it_says_why_not() {
    let cases = [
        (Outlook { has_shadow: false, ..well() }, WhyNot::NoShadow),
        (Outlook { shadow_heard: None, ..well() }, WhyNot::ShadowUnknown),
        (Outlook { shadow_heard: Some(BootMs(98_000)), ..well() }, WhyNot::ShadowSilent { ms: 2_000 }),
        (Outlook { shadow_in_term: false, ..well() }, WhyNot::ShadowSeeding),
        (Outlook { shadow_ill: Some("full".to_owned()), ..well() }, WhyNot::ShadowIll("full".to_owned())),
        (Outlook { voters: (1, 2), ..well() }, WhyNot::TooFewVoters { answering: 1, abstaining: 0, needed: 2 }),
        (Outlook { paused: Some(BootMs(100_500)), ..well() }, WhyNot::Paused { ms: 500 }),
    ];
    for (outlook, why) in cases {
        assert!(!why.to_string().is_empty());
        assert_eq!(takeover_possible(NOW, 1_500, &outlook), Err(why));
    }
}
