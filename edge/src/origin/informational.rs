//! Interim responses (1xx) of one exchange: bounded, and passed on to the viewer who asks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Request, StatusCode};
use tokio::sync::Notify;

use crate::server::interim::Interim;

/// Most interim responses before the final one. Early Hints come once or twice; more is a broken or hostile origin.
const INTERIM_RESPONSES: u32 = 16;

/// What an exchange brought before its response. One 100 is ordinary; CloudFront treats a second as an error.
#[derive(Debug)]
pub(super) struct Informational {
    seen: Arc<Mutex<Seen>>,
    came: Arc<Notify>,
    wanted: bool,
}

#[derive(Debug, Default)]
struct Seen {
    all: u32,
    continues: u32,
    /// Not yet passed on.
    waiting: VecDeque<(StatusCode, HeaderMap)>,
}

impl Informational {
    /// None yet; whether a viewer wants them.
    pub(super) fn new(wanted: bool) -> Self {
        Self { seen: Arc::default(), came: Arc::default(), wanted }
    }

    /// Notes the interim responses to a request that is about to be sent.
    pub(super) fn watch<B>(&self, request: &mut Request<B>) {
        let (seen, came, wanted) = (Arc::clone(&self.seen), Arc::clone(&self.came), self.wanted);
        hyper::ext::on_informational(request, move |response| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let status = response.status();
            seen.all += 1;
            seen.continues += u32::from(status == StatusCode::CONTINUE);
            if wanted && status != StatusCode::CONTINUE && seen.all <= INTERIM_RESPONSES {
                seen.waiting.push_back((status, response.headers().clone()));
            }
            came.notify_one();
        });
    }

    /// Passes on what comes, until it is too much.
    pub(super) async fn relay(&self, interim: &Interim) {
        loop {
            self.came.notified().await;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.all > INTERIM_RESPONSES || seen.continues > 1 {
                return;
            }
            for (status, fields) in seen.waiting.drain(..) {
                interim.send(status, fields);
            }
        }
    }
}
