//! Step 8, the origin: one exchange with an origin server.
//!
//! Owns connections, names, timeouts and retries. Everything is per worker: no lock, no task on another thread. A
//! connection is shared by nothing but requests of one Distribution to one address with one TLS name and one trust, so that
//! no response can reach another tenant. Only the announced body is ever read; whatever an origin sends beyond it ends the connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use proxima_edge_core::limits;
use proxima_edge_core::origin_request::OriginRequest;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::plan::Origin;
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::{OriginResponse, end_to_end};
use proxima_edge_core::timestamp::Timestamp;

use crate::edge::Edge;
use crate::server::interim::Interim;

mod body;
mod connect;
mod guard;
mod informational;
mod pool;

pub use body::{OriginBody, OriginBodyError, RequestBody};
pub use guard::Verdict;

use body::Upload;
use connect::Connector;
use informational::Informational;
use pool::{Lease, Pool, PoolKey, Sender};

/// Why an origin gave no response. Shared by all who waited for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {detail}")]
pub struct OriginError {
    /// The stable name; decides the status.
    pub reason: Reason,
    /// For the log; viewers do not see it.
    pub detail: String,
}

impl OriginError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// An origin's response: its head, and its body as it comes.
#[derive(Debug)]
pub struct Fetched {
    /// The head, without hop-by-hop fields.
    pub head: OriginResponse,
    /// The body.
    pub body: OriginBody,
}

/// All origins, as one worker sees them.
pub struct Origins {
    edge: Arc<Edge>,
    connector: Connector,
    pools: RefCell<HashMap<PoolKey, Rc<Pool>>>,
}

/// What one failed exchange leaves behind.
struct Failure {
    error: OriginError,
    /// The request's body, when not a byte of the request was written.
    unsent: Option<RequestBody>,
}

impl Origins {
    /// Without connections. Trusts the bundled roots.
    pub fn new(edge: &Arc<Edge>) -> Self {
        Self { edge: Arc::clone(edge), connector: Connector::new(), pools: RefCell::default() }
    }

    /// Sends a request to the behaviour's origin and waits for the response head.
    ///
    /// Failed connections are tried again up to the origin's attempts, and so are GET and HEAD without an answer in
    /// time (CloudFront: "Origin connection attempts"). A request that may have reached the origin is otherwise sent
    /// again only when it is GET or HEAD and died with a pooled connection. Interim responses go to `interim`.
    pub async fn fetch(
        &self,
        route: &Route,
        request: &OriginRequest,
        mut body: RequestBody,
        interim: &Interim,
    ) -> Result<Fetched, OriginError> {
        let origin = &route.behavior.origin;
        let pool = self.pool(route, request);
        let upload = body.upload();
        let permit = pool.acquire(&origin.name).await?;
        let safe = body.is_empty() && (request.method == Method::GET || request.method == Method::HEAD);
        let mut attempt = 1;
        let mut pooled_allowed = true;
        loop {
            let pooled = if pooled_allowed { pool.checkout().await } else { None };
            let reused = pooled.is_some();
            let sender = match pooled {
                Some(sender) => sender,
                None => match self.connector.connect(&self.edge, origin, request, attempt).await {
                    Ok(sender) => sender,
                    Err(error) if may_reconnect(&error) && attempt < origin.connection_attempts => {
                        attempt += 1;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let failure = match self.exchange(sender, origin, request, (body, interim)).await {
                Ok((response, ..)) if !request.is_answered_by(response.status()) => {
                    let detail = format!("{} without having been asked for it", response.status().as_u16());
                    return Err(OriginError::new(Reason::OriginInvalidResponse, detail));
                }
                Ok((response, sender, requested_at)) => {
                    let lease = Lease::new(sender, upload, &pool, permit, origin.keep_alive_timeout);
                    return self.accept(response, lease, origin, requested_at);
                }
                Err(failure) => failure,
            };
            // A pooled connection may have been closed by the origin at any moment: that is no fault of either side.
            let died_in_pool = reused && failure.error.reason == Reason::OriginCommError;
            let timed_out = failure.error.reason == Reason::OriginReadTimeout && attempt < origin.connection_attempts;
            body = match failure.unsent {
                Some(unsent) if reused => unsent,
                _ if safe && (died_in_pool || timed_out) => RequestBody::Empty,
                _ => return Err(failure.error),
            };
            pooled_allowed = false;
            attempt += u8::from(!reused || timed_out);
        }
    }

    fn pool(&self, route: &Route, request: &OriginRequest) -> Rc<Pool> {
        let key = PoolKey::new(&route.distribution.uid, &route.behavior.origin, request);
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.get(&key) {
            return Rc::clone(pool);
        }
        // Pools of origins that a new configuration no longer names are empty before long.
        pools.retain(|_, pool| !pool.is_unused());
        let pool = Rc::new(Pool::new(&self.edge.metrics));
        pools.insert(key, Rc::clone(&pool));
        pool
    }

    /// Sends the request once and waits for the head.
    async fn exchange(
        &self,
        mut sender: Sender,
        origin: &Origin,
        request: &OriginRequest,
        (body, interim): (RequestBody, &Interim),
    ) -> Result<(Response<Incoming>, Sender, Timestamp), Failure> {
        let upload = body.upload();
        let informational = Informational::new(interim.is_wanted());
        let outgoing = compose(request, body, &informational);
        let requested_at = self.edge.clock.now();
        self.edge.metrics.origin_requests.inc();
        let sent = sender.try_send_request(outgoing);
        tokio::select! {
            biased;
            answer = sent => match answer {
                Ok(response) => Ok((response, sender, requested_at)),
                Err(mut refused) => {
                    let unsent = refused.take_message().map(Request::into_body);
                    let error = classify(&refused.into_error(), upload.as_deref());
                    Err(Failure { error, unsent })
                }
            },
            () = informational.relay(interim) => Err(Failure {
                error: OriginError::new(Reason::OriginInvalidResponse, "more interim responses than HTTP allows"),
                unsent: None,
            }),
            () = silence(origin.response_timeout, upload.as_deref()) => Err(Failure {
                error: OriginError::new(
                    Reason::OriginReadTimeout,
                    format!("no response head from origin {} within {:?}", origin.name, origin.response_timeout),
                ),
                unsent: None,
            }),
        }
    }

    /// Checks a response head and ties the connection to its body.
    fn accept(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        origin: &Origin,
        requested_at: Timestamp,
    ) -> Result<Fetched, OriginError> {
        let received_at = self.edge.clock.now();
        let (mut parts, incoming) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(OriginError::new(Reason::OriginInvalidResponse, "101 without having been asked to switch"));
        }
        let codings = parts.headers.get_all(header::TRANSFER_ENCODING);
        let chunked = codings.iter().next().is_some();
        if !codings.iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(OriginError::new(Reason::OriginInvalidResponse, "a transfer coding other than chunked"));
        }
        let body_length = if chunked { None } else { announced_length(parts.headers.get(header::CONTENT_LENGTH)) };
        end_to_end(&mut parts.headers);
        Ok(Fetched {
            head: OriginResponse {
                status: parts.status,
                headers: parts.headers,
                body_length,
                requested_at,
                received_at,
            },
            body: OriginBody::new(incoming, lease, origin.response_timeout),
        })
    }
}

/// Serialises the request from the parsed model; hyper adds the one framing header that the body calls for.
fn compose(request: &OriginRequest, body: RequestBody, informational: &Informational) -> Request<RequestBody> {
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = request.target.parse().expect("the core composes a valid request target");
    let headers = outgoing.headers_mut();
    headers.reserve(request.headers.len() + 2);
    headers.insert(header::HOST, request.host.clone());
    headers.extend(request.headers.clone());
    informational.watch(&mut outgoing);
    outgoing
}

fn announced_length(value: Option<&HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.trim().parse().ok()
}

/// Ends when nothing has happened for `timeout`: no response head, and no progress of the upload either.
async fn silence(timeout: Duration, upload: Option<&Upload>) {
    let begun = tokio::time::Instant::now();
    let mut deadline = begun + timeout;
    loop {
        tokio::time::sleep_until(deadline).await;
        let last = upload.map_or(begun, |upload| upload.last_progress().unwrap_or(begun));
        if last + timeout <= deadline {
            return;
        }
        deadline = last + timeout;
    }
}

/// Whether another attempt to connect may do better. A forbidden address stays forbidden.
fn may_reconnect(error: &OriginError) -> bool {
    error.reason != Reason::OriginAddressForbidden
}

fn classify(error: &hyper::Error, upload: Option<&Upload>) -> OriginError {
    let reason = if upload.is_some_and(Upload::malformed) {
        Reason::InvalidFraming
    } else if upload.is_some_and(Upload::failed) {
        Reason::ViewerBodyIncomplete
    } else if error.is_parse_too_large() {
        Reason::OriginHeaderTooBig
    } else if error.is_parse() {
        Reason::OriginInvalidResponse
    } else {
        Reason::OriginCommError
    };
    OriginError::new(reason, chain(error))
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Longest request line and headers that fit an origin's response head buffer.
const _: () = assert!(limits::ORIGIN_HEAD_BYTES >= 8192, "hyper refuses smaller buffers");

#[cfg(test)]
mod tests;
