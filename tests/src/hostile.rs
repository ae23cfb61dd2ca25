//! Requests that try to be read differently by two readers, as bytes, and what a strict edge makes of each.
//!
//! Each input is sent in one write with an ordinary request behind it, the canary. Its answer tells whether the
//! connection went on, and that nobody took it for a part of the input. The origin tells what it was made to see: no
//! request that is not in the table, and none whose body was not what was framed.

mod chunks;
mod framing;
mod lines;
mod meaning;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config;
use crate::http1::{Head, Wire};
use crate::{Origin, Reply};
use proxima_edge_core::edge_config::{AllowedMethods, EdgeConfig};

/// One input.
#[derive(Clone, Debug)]
pub struct Case {
    /// Group and what it tries.
    pub name: &'static str,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// What must come of it.
    pub expected: Outcome,
    /// A request may have reached the origin in part before the violation was seen; it never does as a whole.
    pub may_reach_in_part: bool,
}

/// What came of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Final statuses before the canary's.
    pub statuses: Vec<u16>,
    /// What became of the connection.
    pub fate: Fate,
    /// Complete requests at the origin: method, target and body.
    pub origin: Vec<String>,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The canary was answered.
    Open,
    /// It ended.
    Closed,
    /// Neither, for as long as somebody had patience.
    Hangs,
}

/// The ordinary request behind each input.
pub const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: site.test\r\n\r\n";

/// All inputs.
pub fn cases() -> Vec<Case> {
    [framing::cases(), lines::cases(), chunks::cases(), meaning::cases()].concat()
}

impl Case {
    fn new(name: &'static str, bytes: impl Into<Vec<u8>>, statuses: &[u16], fate: Fate, origin: &[&str]) -> Self {
        let origin = origin.iter().map(|&request| request.to_owned()).collect();
        let expected = Outcome { statuses: statuses.to_vec(), fate, origin };
        Self { name, bytes: bytes.into(), expected, may_reach_in_part: false }
    }

    /// 400, the connection ends, and the origin sees nothing.
    fn refused(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, &[400], Fate::Closed, &[])
    }

    /// One good answer, and the connection goes on.
    fn served(name: &'static str, bytes: impl Into<Vec<u8>>, request: &str) -> Self {
        Self::new(name, bytes, &[200], Fate::Open, &[request])
    }

    /// A body that breaks: 400, the connection ends, and the origin never sees a complete request.
    fn body_refused(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { may_reach_in_part: true, ..Self::refused(name, bytes) }
    }
}

/// A POST with more fields, each ending in CRLF, and a body.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n{body}").into_bytes()
}

/// A GET with more fields.
fn get(fields: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nHost: site.test\r\n{fields}\r\n").into_bytes()
}

/// An origin that notes every complete request, body included, and answers with its target.
pub struct Recording {
    /// The origin.
    pub origin: Origin,
    complete: Arc<Mutex<Vec<String>>>,
}

impl Recording {
    /// Listens.
    pub async fn start() -> Self {
        let complete = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&complete);
        let origin = Origin::start(move |mut exchange| {
            let seen = Arc::clone(&seen);
            async move {
                let body = exchange.request_body().await;
                if !body.complete {
                    return None;
                }
                let head = &exchange.head;
                let target = head.target().to_owned();
                let line = format!("{} {target} {}", head.method(), String::from_utf8_lossy(&body.bytes));
                seen.lock().expect("no panic while it is held").push(line.trim_end().to_owned());
                exchange.reply(Reply::ok(target)).await
            }
        })
        .await;
        Self { origin, complete }
    }

    /// Complete requests since the last time, without canaries.
    pub fn take(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.complete.lock().expect("no panic while it is held"));
        seen.into_iter().filter(|request| request != "GET /canary").collect()
    }
}

/// An edge that passes every method to an origin and stores nothing.
pub fn passing(origin: SocketAddr) -> EdgeConfig {
    let mut edge = config::site(origin);
    let behavior = &mut edge.distributions[0].default_behavior;
    behavior.allowed_methods = AllowedMethods::Any;
    behavior.cache_policy = config::policy_of_nothing();
    edge
}

/// Sends an input and the canary, and tells what came of it.
pub async fn observe(to: SocketAddr, origin: &Recording, bytes: &[u8], patience: Duration) -> Outcome {
    observe_answers(to, origin, bytes, patience).await.0
}

/// The same, with the heads of the answers before the canary's.
pub async fn observe_answers(
    to: SocketAddr,
    origin: &Recording,
    bytes: &[u8],
    patience: Duration,
) -> (Outcome, Vec<Head>) {
    let mut wire = Wire::connect(to).await.expect("the server accepts connections");
    wire.write([bytes, CANARY.as_bytes()].concat()).await;
    let mut answers = Vec::new();
    let conversation = tokio::time::timeout(patience, converse(&mut wire, bytes, &mut answers)).await;
    let fate = conversation.unwrap_or(Fate::Hangs);
    let statuses = answers.iter().map(Head::status).collect();
    (Outcome { statuses, fate, origin: origin.take() }, answers)
}

async fn converse(wire: &mut Wire, bytes: &[u8], answers: &mut Vec<Head>) -> Fate {
    let mut method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
    while let Some(head) = wire.head().await {
        if (100..200).contains(&head.status()) {
            continue;
        }
        let body = wire.body(head.response_framing(method)).await;
        if head.status() == 200 && body.bytes == b"/canary" {
            return Fate::Open;
        }
        answers.push(head);
        method = "GET";
    }
    Fate::Closed
}
