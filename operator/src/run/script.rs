//! An API server for tests that expects requests in order and gives the answers it was told to give.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// One request and its answer.
pub(super) struct Step {
    /// Method, a space, and the path without the query.
    pub(super) request: &'static str,
    /// What is answered.
    pub(super) reply: Reply,
}

/// An answer.
pub(super) enum Reply {
    /// Status code and body.
    Json(u16, Value),
    /// The object that was sent, as stored under the uid `made`.
    Stored,
    /// A failure of this code and reason.
    Failure(u16, &'static str),
    /// The same for ever; no later step is reached.
    For(fn(&Heard) -> (u16, Value)),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) request: String,
    pub(super) query: String,
    pub(super) body: Value,
}

/// The state of a script.
#[derive(Clone)]
pub(super) struct Script(Arc<Mutex<Played>>);

struct Played {
    steps: VecDeque<Step>,
    heard: Vec<Heard>,
}

/// A step.
pub(super) fn step(request: &'static str, reply: Reply) -> Step {
    Step { request, reply }
}

impl Script {
    /// Will expect these requests.
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(Mutex::new(Played { steps: steps.into_iter().collect(), heard: Vec::new() })))
    }

    /// Talks to this server.
    pub(super) fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let heard = Heard {
                    request: format!("{} {}", parts.method, parts.uri.path()),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                let (status, body) = script.answer(heard);
                let body = Full::new(Bytes::from(body.to_string()));
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, heard: Heard) -> (u16, Value) {
        let mut played = self.0.lock().unwrap();
        played.heard.push(heard.clone());
        let Some(step) = played.steps.front() else { return failure(500, "Unexpected") };
        if step.request != heard.request {
            return failure(500, "Unexpected");
        }
        if let Reply::For(answer) = step.reply {
            return answer(&heard);
        }
        match played.steps.pop_front().unwrap().reply {
            Reply::Json(status, body) => (status, body),
            Reply::Failure(status, reason) => failure(status, reason),
            Reply::Stored => {
                let mut stored = heard.body;
                stored["metadata"]["uid"] = json!("made");
                (200, stored)
            }
            Reply::For(_) => unreachable!("handled above"),
        }
    }

    /// What was asked; fails when that is not exactly what was expected.
    #[track_caller]
    pub(super) fn finish(&self) -> Vec<Heard> {
        let played = self.0.lock().unwrap();
        let missing: Vec<_> = played.steps.iter().map(|step| step.request).collect();
        assert!(missing.is_empty(), "not asked: {missing:?}; asked: {:#?}", played.heard);
        played.heard.clone()
    }

    /// What was asked so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap().heard.clone()
    }
}

/// A failure as the API server puts it.
pub(super) fn failure(code: u16, reason: &str) -> (u16, Value) {
    let message = format!("the script says {reason}");
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason,
        "code": code}),
    )
}
