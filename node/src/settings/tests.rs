//! Settings as tables: what is typed, and what it means or why it is refused.

use std::path::Path;

use lattice::genesis::{Genesis, Member};
use lattice::keys::NodeKeys;
use lattice::limits::Limits;

use super::founding::Founding;
use super::*;

fn from_file(text: &str) -> Result<Typed, file::BadFile> {
    file::parse(Path::new("/d/lattice.toml"), text)
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Typed, environment::BadVariable> {
    environment::read(|name| {
        let pair = pairs.iter().find(|(variable, _)| *variable == name);
        pair.map(|(_, value)| (*value).to_owned())
    })
}

fn resolve(typed: Typed) -> Result<Settings, BadSettings> {
    Settings::resolve("/d".into(), typed, true)
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(Multiaddr::to_string).collect()
}

#[test]
fn defaults_work_without_a_word() {
    let settings = resolve(Typed::default()).expect("defaults");
    assert_eq!(texts(&settings.p2p), ["/ip4/0.0.0.0/tcp/4801", "/ip4/0.0.0.0/udp/4801/quic-v1"]);
    assert_eq!(settings.http, ["127.0.0.1:4800".parse().expect("an address")]);
    assert!(settings.mdns && !settings.log_json);
    assert_eq!(settings.synchronous, Synchronous::Full);
    assert!(settings.peers.is_empty() && settings.external.is_empty() && settings.name.is_none());
}

#[test]
fn the_first_file_says_only_the_name_and_its_comments_are_the_defaults() {
    let name = "Bob's \"node\"".parse().expect("a name");
    let first = from_file(&file::first_text(&name, &[])).expect("own text");
    assert_eq!(first, Typed { name: Some(name.clone()), ..Typed::default() });
    let uncommented = file::first_text(&name, &[]).replace("\n#", "\n").replace("\n ", "\n# ");
    let all = from_file(&uncommented).expect("the comments are options");
    let defaults = resolve(first).expect("a name");
    assert_eq!(resolve(all), Ok(defaults));
}

#[test]
fn flags_go_over_environment_over_file_over_defaults() {
    let file = from_file("name = 'file'\nmdns = false\np2p = ['127.0.0.1:1']\nhttp = ['127.0.0.1:9']").expect("valid");
    let env = from_env(&[("LATTICE_NAME", "env"), ("LATTICE_P2P", "127.0.0.1:2, [::1]:3")]).expect("valid");
    let flags = Typed { name: Some("flag".parse().expect("a name")), ..Typed::default() };
    let settings = resolve(flags.over(env).over(file)).expect("valid");
    assert_eq!(settings.name.as_deref(), Some("flag"));
    assert_eq!(
        texts(&settings.p2p),
        ["/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/udp/2/quic-v1", "/ip6/::1/tcp/3", "/ip6/::1/udp/3/quic-v1"],
        "a list of a stronger source replaces"
    );
    assert!(!settings.mdns, "from the file");
    assert_eq!(settings.http[0].port(), 9);
    assert_eq!(settings.synchronous, Synchronous::Full, "from the defaults");
}

#[test]
fn the_second_road_has_defaults_and_takes_numbers_and_urls() {
    let defaults = resolve(Typed::default()).expect("defaults").heartbeat;
    let (tracker, http_after_ms) = (defaults.numbers.tracker, defaults.numbers.http_after_ms);
    assert_eq!((tracker.interval_ms, tracker.jitter_percent, tracker.mismatches), (10_000, 10, 3));
    assert_eq!((http_after_ms, defaults.timeout.as_secs(), defaults.own_url), (60_000, 5, None));
    let env = from_env(&[("LATTICE_NODES", "http://a:1/, http://b:2,http://a:1"), ("LATTICE_HEARTBEAT_MS", "1000")]);
    let file = from_file("http_url = 'https://own'\nnodes = ['http://file:1']\nheartbeat_mismatches = 5");
    let meant = resolve(env.expect("valid").over(file.expect("valid"))).expect("valid").heartbeat;
    assert_eq!(meant.nodes, ["http://a:1", "http://b:2"]);
    assert_eq!((meant.numbers.tracker.interval_ms, meant.numbers.tracker.mismatches), (1_000, 5));
    assert_eq!(meant.own_url.as_deref(), Some("https://own"));
}

#[test]
fn urls_of_nodes_and_our_own() {
    // What is typed, what it means to ask there, and whether members may be told so.
    let table = [
        ("http://a:4800/", Some("http://a:4800"), true),
        ("HTTPS://Node.Example/x/", Some("https://Node.Example/x"), true),
        ("http://127.0.0.1:65535", Some("http://127.0.0.1:65535"), true),
        ("http://0.0.0.0:4800", Some("http://0.0.0.0:4800"), false),
        ("http://0:4800", Some("http://0:4800"), false),
        ("http://[::]:4800", Some("http://[::]:4800"), false),
        ("http://[::ffff:0.0.0.0]", Some("http://[::ffff:0.0.0.0]"), false),
        ("http://a:0", None, false),
        ("http://a:65536", None, false),
        ("http://300.0.0.1:4800", None, false),
        ("ftp://a", None, false),
        ("a:4800", None, false),
    ];
    for (typed, asked, may_be_told) in table {
        let url = typed.parse::<heartbeat::NodeUrl>().ok().map(String::from);
        assert_eq!(url.as_deref(), asked, "{typed}");
        assert_eq!(typed.parse::<heartbeat::OwnUrl>().is_ok(), may_be_told, "{typed}");
    }
    for (url, expected) in [
        ("http://127.0.0.2:1", true),
        ("http://[::1]:1", true),
        ("http://localhost:1", true),
        ("http://192.0.2.7", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(heartbeat::is_loopback(url), expected, "{url}");
    }
}

#[test]
fn empty_items_of_a_list_are_left_out() {
    let nodes = |value| resolve(from_env(&[("LATTICE_NODES", value)]).expect(value)).expect(value).heartbeat.nodes;
    assert_eq!(nodes("http://a:1,,http://b:2, ,"), ["http://a:1", "http://b:2"]);
    assert_eq!(nodes(" , ,"), Vec::<String>::new());
    let nowhere = resolve(from_env(&[("LATTICE_P2P", ",")]).expect("no item")).expect_err("nowhere to listen");
    assert!(nowhere.to_string().contains("at least one"), "{nowhere}");
}

#[test]
fn variables_that_no_one_reads_are_told_with_the_one_that_was_meant() {
    let table = [
        ("LATTICE_NODE", Some(Some("LATTICE_NODES"))),
        ("LATTICE_HEARTBEAT", Some(Some("LATTICE_HEARTBEAT_MS"))),
        ("LATTICE_HTPT_URL", Some(Some("LATTICE_HTTP_URL"))),
        ("LATTICE_FRUIT_OF_THE_DAY", Some(None)),
        ("LATTICE_NODES", None),
        ("LATTICE_DIR", None),
        ("LATTICE_TEST_ANYTHING", None),
        ("LATTICE_PORT", None),
        ("LATTICE_SERVICE_HOST", None),
        ("LATTICE_1_PORT_4800_TCP_ADDR", None),
        ("HOME", None),
    ];
    for (name, expected) in table {
        let found = environment::unknown([name.to_owned()]).pop();
        assert_eq!(found.map(|unknown| unknown.nearest), expected, "{name}");
    }
    // None that is read may be called unknown.
    let asked = std::cell::RefCell::new(Vec::new());
    let read = environment::read(|name| {
        asked.borrow_mut().push(name.to_owned());
        None
    });
    assert_eq!(read, Ok(Typed::default()));
    assert_eq!(environment::unknown(asked.into_inner()), []);
}

#[test]
fn listening_addresses() {
    let table: [(&str, Result<&[&str], &str>); 10] = [
        ("127.0.0.1:0", Ok(&["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"])),
        ("localhost:7", Ok(&["/ip4/127.0.0.1/tcp/7", "/ip4/127.0.0.1/udp/7/quic-v1"])),
        ("/ip4/10.0.0.1/tcp/7", Ok(&["/ip4/10.0.0.1/tcp/7"])),
        ("/ip6/::/udp/7/quic-v1", Ok(&["/ip6/::/udp/7/quic-v1"])),
        ("4801", Err("IP:PORT")),
        ("node.example:4801", Err("IP:PORT")),
        ("/dns/node.example/tcp/4801", Err("IP of an interface")),
        ("/ip4/10.0.0.1/udp/7", Err("no transport of a lattice")),
        ("/ip4/10.0.0.1/tcp/7/ws", Err("no transport of a lattice")),
        (
            "/ip4/1.2.3.4/tcp/7/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
            Err("leave out the /p2p/ part"),
        ),
    ];
    for (typed, meant) in table {
        match (typed.parse::<P2pListen>(), meant) {
            (Ok(listen), Ok(addresses)) => assert_eq!(texts(&listen.into_addresses()), addresses, "{typed}"),
            (Err(refused), Err(why)) => assert!(refused.to_string().contains(why), "{typed}: {refused}"),
            (got, _) => panic!("{typed}: {got:?}"),
        }
    }
}

#[test]
fn equal_addresses_are_kept_once() {
    let typed = from_file("p2p = ['127.0.0.1:5', '/ip4/127.0.0.1/tcp/5']\nhttp = ['127.0.0.1:6', 'localhost:6']");
    let settings = resolve(typed.expect("valid")).expect("valid");
    assert_eq!((settings.p2p.len(), settings.http.len()), (2, 1));
}

#[test]
fn a_bad_file_names_its_line_and_key() {
    let table = [
        ("mdns = true\nmdsn = true\n", "/d/lattice.toml, line 2, \"mdsn\": unknown field"),
        ("\n\nmdns = 'yes'\n", "line 3, \"mdns\": invalid type"),
        ("p2p = [\n  '127.0.0.1:1',\n  'nonsense',\n]\n", "line 1, \"p2p\": \"nonsense\" is not an address"),
        ("peers = ['127.0.0.1:1']", "line 1, \"peers\": \"127.0.0.1:1\" is not a multiaddr"),
        ("http = ['4800']", "line 1, \"http\": \"4800\" is not an address"),
        ("name = ''", "line 1, \"name\": \"\" can't be a name"),
        ("nodes = ['http://a:1', 'a:1']", "line 1, \"nodes\": \"a:1\" is not a node's URL"),
        ("nodes = ['http://a:65536']", "with a port from 1 to 65535"),
        ("http_url = 'http://u@a'", "line 1, \"http_url\""),
        ("http_url = 'http://[::]:4800'", "not where others reach it"),
        ("heartbeat_ms = 99", "99 is not a whole number from 100 to 3600000"),
        ("heartbeat_mismatches = 0", "0 is not a whole number from 1 to 1000"),
        ("lattice_http = ['4802']", "line 1, \"lattice_http\": \"4802\" is not an address"),
        ("synchronous = 'off'", "line 1, \"synchronous\""),
        ("name = 'a'\nname = 'b'", "line 2"),
        ("name = 'a", "line 1"),
        ("[p2p]\nlisten = 1", "line 1"),
    ];
    for (text, expected) in table {
        let refused = from_file(text).expect_err(text).to_string();
        assert!(refused.contains(expected), "{text:?}: {refused}");
        assert!(refused.contains("correct or delete"), "{refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
}

#[test]
fn a_bad_variable_names_itself() {
    for (variable, value) in [
        ("LATTICE_MDNS", "maybe"),
        ("LATTICE_P2P", "127.0.0.1:1,x,"),
        ("LATTICE_HTTP", "nowhere"),
        ("LATTICE_NODES", "http://a:1,ftp://b"),
        ("LATTICE_NODES", "http://a:0"),
        ("LATTICE_HTTP_URL", "http://0.0.0.0:4800"),
        ("LATTICE_HEARTBEAT_MS", "soon"),
        ("LATTICE_PEERS", "x"),
        ("LATTICE_SYNCHRONOUS", "FULL"),
        ("LATTICE_NAME", "two\nlines"),
    ] {
        let refused = from_env(&[(variable, value)]).expect_err(value).to_string();
        assert!(refused.contains(variable), "{refused}");
    }
    let foreign = from_env(&[("LATTICE_PORT", "tcp://10.0.0.1:80"), ("LATTICE_NAME", "")]);
    assert_eq!(foreign, Ok(Typed::default()));
}

#[test]
fn settings_that_can_not_be_meant() {
    let wide = from_file("http = ['127.0.0.1:1', '0.0.0.0:4800']").expect("valid");
    let refused = Settings::resolve("/d".into(), wide.clone(), false).expect_err("no token");
    assert!(refused.to_string().contains("0.0.0.0:4800") && refused.to_string().contains("/d/api.token"), "{refused}");
    assert!(Settings::resolve("/d".into(), wide, true).is_ok());
    for text in ["p2p = []", "http = []"] {
        let refused = resolve(from_file(text).expect("valid")).expect_err(text);
        assert!(refused.to_string().contains("at least one"), "{refused}");
    }
}

#[test]
fn a_missing_file_is_silent_and_an_unreadable_one_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(file::read(dir.path()).expect("no file"), Typed::default());
    std::fs::write(dir.path().join(file::FILE_NAME), b"name = '\xff'").expect("writable");
    let refused = file::read(dir.path()).expect_err("not UTF-8").to_string();
    assert!(refused.contains("lattice.toml") && refused.contains("UTF-8"), "{refused}");
}

#[test]
fn the_first_file_is_written_once() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["one", "two"] {
        file::write_first(dir.path(), &name.parse().expect("a name"), &[]).expect("writable");
    }
    let kept = file::read(dir.path()).expect("own text");
    assert_eq!(kept.name.as_ref().map(typed::NodeName::as_str), Some("one"));
}

fn member(seed: u8) -> Member {
    let keys = NodeKeys::from_seed([seed; 32]);
    let p2p = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).expect("32 bytes");
    Genesis::founded_by("x", &format!("node {seed}"), &keys, p2p.public().to_peer_id().to_bytes()).members[0].clone()
}

fn found(text: &str, founder: Member) -> Result<Genesis, founding::BadFounding> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("genesis.toml");
    std::fs::write(&file, text).expect("writable");
    Founding::read(&file)?.into_genesis(None, founder)
}

fn as_toml(member: &Member) -> String {
    let peer_id = libp2p::PeerId::from_bytes(&member.peer_id).expect("a peer id");
    format!(
        "[[members]]\nname = '{}'\nauthor = '{}'\nlog_key = '{}'\npeer_id = '{peer_id}'\nroles = ['voter']\n",
        member.name, member.author, member.log_key
    )
}

#[test]
fn a_genesis_file_is_read_and_the_founder_added() {
    let (one, two) = (member(1), member(2));
    let text = format!(
        "name = 'fruit'\nadmins = ['{}']\nseat_prefixes = ['seat/']\n{}[limits]\nvalue_bytes = 100\n",
        two.author,
        as_toml(&two)
    );
    let genesis = found(&text, one.clone()).expect("a valid file");
    assert_eq!(genesis.name, "fruit");
    assert_eq!(genesis.admins, [one.author, two.author].into());
    assert_eq!(genesis.members.len(), 2);
    assert_eq!(genesis.seat_prefixes, ["seat/".to_owned()].into());
    assert_eq!(genesis.limits, Limits { value_bytes: 100, ..Limits::DEFAULT });
    assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis));
    let alone = found("", one.clone()).expect("an empty file founds the default");
    assert_eq!(
        alone,
        Genesis {
            name: "lattice".into(),
            ..Genesis::founded_by("x", &one.name, &NodeKeys::from_seed([1; 32]), one.peer_id.clone())
        }
    );
}

#[test]
fn a_founder_named_in_the_file_is_what_the_file_says() {
    let (one, two) = (member(1), member(2));
    let text = format!("admins = ['{}']\n{}{}", two.author, as_toml(&one), as_toml(&two));
    let genesis = found(&text, one).expect("valid");
    assert_eq!(genesis.admins, [two.author].into());
    assert_eq!(genesis.members.len(), 2);
}

#[test]
fn a_bad_genesis_file_says_what_to_correct() {
    let two = as_toml(&member(2));
    let table = [
        ("nmae = 'x'".to_owned(), "line 1, \"nmae\""),
        (two.replace("author = '", "author = '00"), "line 3, \"author\": expected 64 hexadecimal digits"),
        (two.replace("peer_id = '12", "peer_id = 'xx"), "line 5, \"peer_id\""),
        (two.replace("voter", "boss"), "line 6, \"roles\": \"boss\" is not a role"),
        (two.replace("log_key", "log_kex"), "line 4"),
        (format!("{two}{two}"), "list each once"),
        (format!("admins = ['{}']", "77".repeat(32)), "not among the members"),
        ("limits = { key_bytes = 513 }".to_owned(), "a limit is zero or beyond"),
        ("limits = { key_bytes = -1 }".to_owned(), "line 1"),
        ("seat_prefixes = ['green']".to_owned(), "ends in '/'"),
        ("name = ''".to_owned(), "the lattice's name"),
        (two.replace("node 2", ""), "a member's name"),
    ];
    for (text, expected) in table {
        let refused = found(&text, member(1)).expect_err(expected).to_string();
        assert!(refused.contains(expected), "{text}: {refused}");
        assert!(refused.contains("genesis.toml"), "{refused}");
    }
    assert!(Founding::read(Path::new("/nonexistent/genesis.toml")).is_err());
}
