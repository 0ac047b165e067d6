//! The value of an operation under `@seat/`, and whether it counts where it says that it was made.
#![no_main]

use std::sync::OnceLock;

use lattice::genesis::{Genesis, Member};
use lattice::keys::NodeKeys;
use lattice::membership::Change;
use lattice::seat::{Certificate, Seats};
use lattice_fuzz::{encoded, has_key, one_encoding};

/// A lattice with the operators and the seat of the seeds.
fn genesis() -> &'static Genesis {
    static GENESIS: OnceLock<Genesis> = OnceLock::new();
    GENESIS.get_or_init(|| {
        let keys = |n: u8| NodeKeys::from_seed([n; 32]);
        let member = |n: u8| Member {
            name: n.to_string(),
            author: keys(n).author.id(),
            log_key: keys(n).log_key(),
            peer_id: vec![n; 38],
            roles: [].into(),
        };
        let mut genesis = Genesis::founded_by("fuzzed", "1", &keys(1), vec![1; 38]);
        genesis.admins = [1, 2, 3].map(|n| keys(n).author.id()).into();
        genesis.members = [1, 2, 3, 4].map(member).into();
        genesis.members.sort_by_key(|member| member.author);
        genesis.seat_prefixes = ["blue/".to_owned()].into();
        genesis
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(certificate) = one_encoding(bytes, encoded(Certificate::decode(bytes), Certificate::encode)) else {
        return;
    };
    assert!(has_key(&certificate), "a certificate of a seat that can stand in a key has one");
    assert_eq!(Change::decode(bytes), Ok(Change::Certify(Box::new(certificate.clone()))));
    let lattice = certificate.body.lattice;
    if certificate.verify(genesis(), lattice).is_ok() {
        let mut seats = Seats::default();
        let is_first = certificate.body.follows.is_none();
        seats.join([certificate]);
        assert_eq!(seats.current().is_some(), is_first, "a term that follows nothing known");
    }
});
