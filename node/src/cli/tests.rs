//! Command lines as a table: what is read, what is refused.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn command_lines_that_are_read() {
    for line in [
        "lattice init --name one",
        "lattice init --dir D --name one --lattice fruit --genesis G.toml --json",
        "lattice run",
        "lattice run --dir D --p2p 127.0.0.1:0 --p2p /ip6/::1/tcp/4801 --peer /dns/a/tcp/1",
        "lattice run --http 127.0.0.1:0 --http [::1]:0",
        "lattice run --no-mdns --name n --log-json --synchronous normal --external /ip4/1.2.3.4/tcp/5",
        "lattice run --mdns --no-mdns",
        "lattice invite --dir D --json",
        "lattice join TICKET --dir D --name two --json",
        "lattice status --url http://127.0.0.1:4800 --token-file F --json",
        "lattice peers",
        "lattice put k v --json",
        "lattice put k -",
        "lattice put k @FILE",
        "lattice put -- -k -v",
        "lattice get ../k",
        "lattice delete k --dir D",
        "lattice list",
        "lattice list --all",
        "lattice list fruit/ --after fruit/a --limit 5 --json",
        "lattice watch fruit/ --from 0 --json",
        "lattice import - --format csv --prefix p/",
        "lattice import F.ndjson --json",
        "lattice export fruit/ -o FILE",
        "lattice proof entry fruit/apple -o FILE",
        "lattice proof absence k --url http://127.0.0.1:4800",
        "lattice proof commit 0000000000000000000000000000000000000000000000000000000000000000 --record 7",
        "lattice proof log 0 --dir D",
        "lattice verify FILE --policy P --json",
        "lattice policy show --dir D",
        "lattice audit http://a:1 https://b --policy P --once --state S --deep --token-file T --json --max-age 60",
        "lattice audit http://a:1 --policy P --every 5 --metrics 127.0.0.1:0 --webhook http://c --on-alarm /bin/x -v --once",
        "lattice audit --db D --deep",
        "lattice testnet up --nodes 3",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn command_lines_that_are_refused_say_why() {
    for (line, why) in [
        ("lattice", "Usage"),
        ("lattice fly", "unrecognized subcommand"),
        ("lattice init", "--name"),
        ("lattice init --name", "a value is required"),
        ("lattice status --jsn", "unexpected argument"),
        ("lattice run --p2p nowhere", "write IP:PORT, or a multiaddr"),
        ("lattice run --http 4800", "write IP:PORT"),
        ("lattice run --peer 127.0.0.1:1", "is not a multiaddr"),
        ("lattice run --synchronous off", "neither \"full\" nor \"normal\""),
        ("lattice put k", "<VALUE>"),
        ("lattice list --limit 0", "0 is not in"),
        ("lattice watch --from -1", "unexpected argument"),
        ("lattice import", "<FILE>"),
        ("lattice import F --format xml", "possible values: ndjson, csv"),
        ("lattice join --name n", "<TICKET>"),
        ("lattice proof commit abc", "64 hexadecimal digits"),
        ("lattice verify FILE", "--policy"),
        ("lattice audit", "<URL>"),
        ("lattice audit http://a:1", "--policy"),
        ("lattice audit --db D", "--deep"),
        ("lattice audit http://a:1 --db D --deep", "cannot be used with"),
        ("lattice audit http://a:1 --policy P --token-file T", "--deep"),
    ] {
        let refused = parse(line).err().unwrap_or_else(|| panic!("{line} was read"));
        assert_eq!(refused.exit_code(), 2, "{line}");
        assert!(refused.to_string().contains(why), "{line}: {refused}");
    }
}

#[test]
fn refusals_have_exit_codes() {
    let refused = |status| client::ClientError::Refused { status, detail: "no".into(), retry_after_seconds: None };
    for (error, code) in [
        (refused(404), 1),
        (refused(403), 1),
        (refused(409), 1),
        (refused(400), 2),
        (refused(401), 2),
        (refused(413), 2),
        (refused(422), 2),
        (refused(500), 3),
        (refused(503), 3),
        (client::ClientError::NoNode("D".into()), 3),
        (client::ClientError::BadTarget("url".into()), 2),
    ] {
        assert_eq!(Failure::from(error.clone()).code(), code, "{error:?}");
    }
    let gone = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
    assert_eq!(gone.code(), 0, "the reader had enough");
}
