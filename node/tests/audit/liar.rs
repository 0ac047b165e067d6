//! A server that passes on what a real node says, but for some paths.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// What becomes of an honest answer at a path: another body, or a refusal.
pub(crate) type Lie = Box<dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send>;

/// The server. Dropping it ends it.
pub(crate) struct Liar {
    pub(crate) url: String,
    shared: Shared,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    behind: Arc<Mutex<String>>,
    lie: Arc<Mutex<Lie>>,
    /// How paths begin that are never answered.
    silent: Arc<Mutex<Option<&'static str>>>,
    http: reqwest::Client,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    /// Before the node at this URL. It begins honest.
    pub(crate) async fn before(url: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        let honest: Lie = Box::new(|_, body| Some(body));
        let shared = Shared {
            behind: Arc::new(Mutex::new(url)),
            lie: Arc::new(Mutex::new(honest)),
            silent: Arc::default(),
            http,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, shared, task }
    }

    /// Lies so from now on.
    pub(crate) fn lies(&self, lie: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send + 'static) {
        *self.shared.lie.lock().expect("unpoisoned") = Box::new(lie);
    }

    /// Never answers questions for paths that begin so, from now on.
    pub(crate) fn is_silent_at(&self, beginning: Option<&'static str>) {
        *self.shared.silent.lock().expect("unpoisoned") = beginning;
    }

    /// Passes on what another node says from now on.
    pub(crate) fn stands_before(&self, url: String) {
        *self.shared.behind.lock().expect("unpoisoned") = url;
    }
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path_and_query().expect("a path").to_string();
    let silent = *shared.silent.lock().expect("unpoisoned");
    if silent.is_some_and(|beginning| path.starts_with(beginning)) {
        return std::future::pending().await;
    }
    let url = format!("{}{path}", shared.behind.lock().expect("unpoisoned"));
    let question = shared.http.get(url);
    let question = match request.headers().get("authorization") {
        Some(credentials) => question.header("authorization", credentials),
        None => question,
    };
    let Ok(answer) = question.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, body) = (answer.status(), answer.bytes().await.unwrap_or_default());
    let told = shared.lie.lock().expect("unpoisoned")(&path, body.to_vec());
    match told {
        Some(body) => (status, Bytes::from(body)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
