//! Compare-and-set, reads under the lease, and the way to the holder, as clients use them at any node.

use reqwest::{Method, RequestBuilder, StatusCode};
use testnet::deadline;
use testnet::process::Node;

use crate::world::{SOON, World};

struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    fn of(node: &Node) -> Self {
        let policy = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).redirect(policy).build().expect("a client");
        let base = node.reached().expect("it runs").client.url().to_string();
        let token = std::fs::read_to_string(node.dir().join("api.token")).expect("a token");
        Self { http, base, token: token.trim().to_owned() }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Sets `green/x` under a condition; gives the status and the entity tag.
    async fn put(&self, value: &str, condition: Option<(&str, &str)>) -> (StatusCode, Option<String>) {
        let mut request = self.ask(Method::PUT, "api/v1/entries/green/x").body(value.to_owned());
        if let Some((name, tag)) = condition {
            request = request.header(name, tag);
        }
        let answer = request.send().await.expect("an answer");
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned());
        (answer.status(), tag)
    }

    /// Reads `green/x` under the lease: its value and entity tag.
    async fn read(&self) -> (String, String) {
        let answer = self.ask(Method::GET, "api/v1/entries/green/x?consistency=seat").send().await.expect("an answer");
        let tag = answer.headers().get("etag").expect("a tag").to_str().expect("text").to_owned();
        let entry: serde_json::Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
        (entry["value"].as_str().expect("text").to_owned(), tag)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_at_the_holder_and_through_any_other_node() {
    let world = World::of(4, &[1]).await;
    let [holder, other] = [0, 3].map(|node| Api::of(&world.nodes[node]));
    let absent = Some(("if-none-match", "*"));
    let (created, first) = other.put("1", absent).await;
    assert_eq!(created, StatusCode::OK);
    let first = first.expect("a version");
    assert_eq!(other.put("2", absent).await.0, StatusCode::PRECONDITION_FAILED, "it is there");
    assert_eq!(holder.put("2", absent).await.0, StatusCode::PRECONDITION_FAILED);
    assert_eq!(holder.read().await, ("1".to_owned(), first.clone()));
    assert_eq!(other.read().await, ("1".to_owned(), first.clone()), "the same version at every node");
    let (changed, second) = holder.put("2", Some(("if-match", &first))).await;
    assert_eq!(changed, StatusCode::OK);
    assert_eq!(other.put("3", Some(("if-match", &first))).await.0, StatusCode::PRECONDITION_FAILED, "it has changed");
    let second = second.expect("a version");
    assert_eq!(other.put("3", Some(("if-match", &second))).await.0, StatusCode::OK);
    assert_eq!(holder.read().await.0, "3");
    assert_eq!(other.put("4", Some(("if-match", "*"))).await.0, StatusCode::OK);
    assert_eq!(other.put("5", Some(("if-match", "3"))).await.0, StatusCode::BAD_REQUEST, "no entity tag");
    // Of two that saw the same version one changes it.
    let (_, seen) = holder.read().await;
    let condition = Some(("if-match", seen.as_str()));
    let (here, there) = tokio::join!(holder.put("here", condition), other.put("there", condition));
    let won = [&here, &there].into_iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!(won, 1, "{here:?} {there:?}");
    // Reads beside the lease are of the node's own state; those under it are for the seat's keys alone.
    let elsewhere = other.ask(Method::GET, "api/v1/entries/plain?consistency=seat").send().await.expect("an answer");
    assert_eq!(elsewhere.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let unknown = other.ask(Method::GET, "api/v1/entries/green/absent?consistency=seat").send().await;
    assert_eq!(unknown.expect("an answer").status(), StatusCode::NOT_FOUND);
    for query in ["level=local", "forward=no"] {
        let plain = other.ask(Method::PUT, &format!("api/v1/entries/plain?{query}")).body("1").send().await;
        let plain = plain.expect("an answer");
        assert_eq!(plain.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(plain.text().await.expect("text").contains("for the seat's keys alone"), "{query}");
    }
    let unconditional = other.ask(Method::PUT, "api/v1/entries/plain").header("if-match", "*").body("1").send().await;
    assert_eq!(unconditional.expect("an answer").status(), StatusCode::UNPROCESSABLE_ENTITY, "a key without a holder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_no_forwarding_is_sent_to_the_holder() {
    let mut world = World::without_seat(4).await;
    let url = format!("http://{}", world.nodes[0].launch_mut().http);
    world.nodes[0].stop().await;
    world.nodes[0].launch_mut().options.extend(["--http-url".to_owned(), url.clone()]);
    world.nodes[0].start().await.expect("started");
    world.create(&[1]).await;
    let other = Api::of(&world.nodes[3]);
    let unforwarded = async || {
        let request = other.ask(Method::PUT, "api/v1/entries/green/a%20b?forward=no").body("1");
        request.send().await.expect("an answer")
    };
    // The URL is an ordinary entry, which takes its time to every node.
    deadline::until(SOON, async || match unforwarded().await.status() {
        StatusCode::CONFLICT => Err("no URL is known there".to_owned()),
        _ => Ok(()),
    })
    .await
    .expect("the holder's URL");
    let moved = unforwarded().await;
    assert_eq!(moved.status(), StatusCode::TEMPORARY_REDIRECT);
    let location = moved.headers().get("location").expect("a place").to_str().expect("text").to_owned();
    assert!(location.starts_with(&format!("{url}/api/v1/entries/green")), "{location}");
    // Tokens are per node.
    let holder = Api::of(&world.nodes[0]);
    let there = holder.http.put(&location).bearer_auth(&holder.token).body("1").send().await.expect("an answer");
    assert_eq!(there.status(), StatusCode::OK);
    let entry = world.client(3).entry_at_seat("green/a b").await.expect("an answer").expect("written");
    assert_eq!(entry.value.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_chooses_levels_compares_and_sets_and_reads_under_the_lease() {
    let world = World::of(4, &[1]).await;
    let run = async |words: &[&str]| {
        let output = world.nodes[3].output(words).await.expect("it runs");
        let said = [&output.stdout[..], &output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    let tag_of = |(code, said): (Option<i32>, String)| {
        assert_eq!(code, Some(0), "{said}");
        let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        json["tag"].as_str().expect("a tag").to_owned()
    };
    let first = tag_of(run(&["put", "green/x", "1", "--if-absent", "--level", "quorum", "--json"]).await);
    let (code, why) = run(&["put", "green/x", "2", "--if-absent"]).await;
    assert_eq!(code, Some(1), "it is there: {why}");
    assert_eq!(tag_of(run(&["get", "green/x", "--consistency", "seat", "--json"]).await), first);
    let second = tag_of(run(&["put", "green/x", "2", "--if-match", &first, "--json"]).await);
    let (code, why) = run(&["put", "green/x", "3", "--if-match", &first]).await;
    assert_eq!(code, Some(1), "it has changed: {why}");
    assert_eq!(run(&["get", "green/x", "--consistency", "seat"]).await, (Some(0), "2".to_owned()));
    let (code, said) = run(&["put", "green/local", "1", "--level", "local"]).await;
    assert!(code == Some(0) && said.contains("staged at the seat's holder"), "{said}");
    let (code, said) = run(&["delete", "green/x", "--if-match", &first]).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = run(&["delete", "green/x", "--if-match", &second, "--level", "shadow"]).await;
    assert!(code == Some(0) && said.contains("durable at log position"), "{said}");
    assert_eq!(run(&["get", "green/x", "--consistency", "seat"]).await.0, Some(1));
    for (words, why) in [
        (&["put", "plain", "1", "--level", "quorum"][..], "for the seat's keys alone"),
        (&["put", "plain", "1", "--if-absent"], "for the seat's keys alone"),
        (&["get", "plain", "--consistency", "seat"], "only the seat's keys"),
        (&["put", "green/x", "1", "--if-match", "7"], "entity tag"),
        (&["put", "green/x", "1", "--level", "most"], "local, shadow, quorum"),
        (&["put", "green/x", "1", "--if-absent", "--if-match", "*"], "cannot be used with"),
    ] {
        let (code, said) = run(words).await;
        assert!(code == Some(2) && said.contains(why), "{words:?}: {said}");
    }
}
