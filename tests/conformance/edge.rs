//! Plays cases on a running edge: sockets, store and fills are real, and the case says what time it is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use proxima_edge::clock::Clock;
use proxima_edge::edge::Edge;
use proxima_edge_core::timestamp::Timestamp;
use proxima_tests::{Exchange as AtOrigin, Gate, Head, Origin, Response, Viewer, config, wait_until};
use tokio::time::timeout;

use crate::START;
use crate::cases::message::OriginAnswer;
use crate::cases::{self, Case, Exchange, Step};
use crate::compare::{compare_hints, compare_request, compare_response, with_dates};
use answer::{bytes, interim_bytes};

mod answer;

/// Cases that are played at the same time.
const AT_ONCE: usize = 8;
/// How long the origin may take to be asked after the viewer has its answer. Waited out by a case that fails only.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn every_case_holds_on_a_running_edge() {
    let cases = cases::all().unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    let only = std::env::var_os("PROXIMA_CASE").unwrap_or_default();
    let only = only.to_string_lossy();
    let chosen: Vec<_> = cases.into_iter().filter(|case| case.name.contains(&*only)).collect();
    assert!(!chosen.is_empty(), "no case is called {only}");
    let (count, queue) = (chosen.len(), Mutex::new(chosen));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
                while let Some(case) = take(&queue) {
                    let playing = std::panic::AssertUnwindSafe(play(&case)).catch_unwind();
                    let result = runtime.block_on(playing).unwrap_or_else(|_| Err("it panicked".to_owned()));
                    if let Err(why) = result {
                        failed.lock().unwrap().push(format!("{}: {why}", case.name));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    assert!(failed.is_empty(), "{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"));
}

fn take(queue: &Mutex<Vec<Case>>) -> Option<Case> {
    queue.lock().unwrap().pop()
}

/// What the origin is to do next, and what it did.
#[derive(Default)]
struct Script {
    /// Its next answer.
    next: Option<Turn>,
    /// What it says before, and until when it then waits.
    interim: Option<(Vec<u8>, Gate)>,
}

/// One answer of an origin.
enum Turn {
    /// These bytes, and then the next request.
    Keep { with_body: Vec<u8>, head_only: Vec<u8> },
    /// These bytes, and then the end.
    Close(Vec<u8>),
    /// A reset.
    Reset,
}

/// An edge, its origin and the time.
struct Stage {
    edge: Arc<Edge>,
    http: std::net::SocketAddr,
    origin: Origin,
    script: Arc<Mutex<Script>>,
    clock: Clock,
    /// Requests that the origin should have had so far.
    asked: usize,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.edge.shutdown.cancel();
    }
}

async fn play(case: &Case) -> Result<(), String> {
    let mut stage = Stage::build(case).await?;
    for step in &case.steps {
        match step {
            Step::Advance(time) => stage.clock.advance(*time),
            Step::Exchange(exchange) => {
                let played = stage.exchange(exchange).await;
                played.map_err(|why| format!("exchange {}: {why}", exchange.number))?;
            }
        }
    }
    Ok(())
}

impl Stage {
    async fn build(case: &Case) -> Result<Self, String> {
        let script = Arc::<Mutex<Script>>::default();
        let shared = Arc::clone(&script);
        let origin = Origin::start(move |exchange| take_turn(exchange, Arc::clone(&shared))).await;
        let mut edge_config = case.config.clone();
        edge_config.distributions[0].origins = vec![config::origin(origin.address)];
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("config.json");
        std::fs::write(&file, serde_json::to_vec(&edge_config).expect("a configuration is JSON"))
            .expect("a file is written");
        let clock = Clock::manual(START);
        let (edge, http) =
            proxima_edge::start_with_clock(&file, clock.clone()).map_err(|error| format!("no edge: {error}"))?;
        Ok(Self { edge, http, origin, script, clock, asked: 0 })
    }

    async fn exchange(&mut self, exchange: &Exchange) -> Result<(), String> {
        let now = self.clock.now();
        let gate = Gate::closed();
        *self.script.lock().unwrap() = Script {
            next: exchange.origin.as_ref().map(|answer| bytes(answer, now)),
            interim: interim_bytes(&exchange.interim, now).map(|bytes| (bytes, gate.clone())),
        };
        let (hints, response) = self.ask(exchange, now, &gate).await;
        if exchange.origin.is_some() {
            self.asked += 1;
            let arrival = wait_until_asked(&self.origin, self.asked);
            if timeout(ASKED_WITHIN, arrival).await.is_err() {
                return Err(format!("the origin was not asked; the viewer got\n{}", response.head.raw));
            }
        }
        self.settle().await;
        let heads = self.origin.heads();
        if matches!(exchange.origin, Some(OriginAnswer::Disconnect | OriginAnswer::Reset)) {
            self.asked = heads.len();
        }
        if heads.len() > self.asked {
            let unexpected: Vec<_> = heads[self.asked..].iter().map(|head| head.raw.clone()).collect();
            return Err(format!("the origin was asked and should not have been:\n{}", unexpected.join("")));
        }
        if let (Some(expected), Some(head)) = (&exchange.asked, heads.last()) {
            compare_request(expected, head, now)?;
        }
        if let Some(hinted) = &exchange.hinted {
            compare_hints(hinted, &hints, now)?;
        }
        compare_response(&exchange.viewer, &response, now)
    }

    /// Opens the gate when the interim responses that are expected have come. With what came of them, and the response.
    async fn ask(&self, exchange: &Exchange, now: Timestamp, gate: &Gate) -> (Vec<Head>, Response) {
        let request = &exchange.request;
        let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        if !request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text += "Host: site.test\r\n";
        }
        for (name, value) in &request.fields {
            text += &format!("{name}: {}\r\n", with_dates(value, now));
        }
        if let Some(body) = &request.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += request.body.as_deref().unwrap_or_default();
        let mut viewer = Viewer::connect(self.http).await;
        viewer.send(text).await;
        let expected = exchange.hinted.as_ref().map_or(0, Vec::len);
        let mut hints = Vec::new();
        loop {
            if hints.len() >= expected {
                gate.open();
            }
            let head = viewer.head().await;
            if head.status() >= 200 {
                let body = viewer.wire.body(head.response_framing(&request.method)).await;
                return (hints, Response { head, body });
            }
            hints.push(head);
        }
    }

    /// Waits until nothing is being fetched any more, so that the next step finds what this one left.
    async fn settle(&self) {
        wait_until("nothing is being fetched", async || {
            let (fills, answering) = (self.edge.metrics.fills.get(), self.origin.in_progress());
            if fills == 0 && answering == 0 { Ok(()) } else { Err(format!("{fills} fills, {answering} at the origin")) }
        })
        .await;
    }
}

async fn wait_until_asked(origin: &Origin, count: usize) {
    wait_until("the origin is asked", async || {
        if origin.requests() >= count { Ok(()) } else { Err(format!("{} requests", origin.requests())) }
    })
    .await;
}

/// What the origin of a case does with a request.
async fn take_turn(mut exchange: AtOrigin, script: Arc<Mutex<Script>>) -> Option<AtOrigin> {
    exchange.request_body().await;
    let interim = script.lock().unwrap().interim.take();
    if let Some((bytes, gate)) = interim {
        exchange.write(bytes).await;
        gate.pass().await;
    }
    let turn = {
        let mut script = script.lock().unwrap();
        // An edge may try again where it was not answered at all, and finds the origin as it was.
        match &script.next {
            Some(Turn::Close(bytes)) if bytes.is_empty() => Some(Turn::Close(Vec::new())),
            Some(Turn::Reset) => Some(Turn::Reset),
            _ => script.next.take(),
        }
    };
    let head_only = exchange.head.method() == "HEAD";
    match turn {
        Some(Turn::Keep { with_body, head_only: head }) => {
            exchange.write(if head_only { head } else { with_body }).await;
            Some(exchange)
        }
        Some(Turn::Close(bytes)) => {
            exchange.write(bytes).await;
            None
        }
        Some(Turn::Reset) => exchange.reset(),
        // Told by the number of requests; the answer is only there so that nobody waits for it.
        None => {
            exchange.write("HTTP/1.1 599 Unexpected\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n").await;
            Some(exchange)
        }
    }
}
