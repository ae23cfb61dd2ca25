//! The straight line: from a request to its response, one named step after another.
//!
//! Nothing here decides; each step is one module's, and the only branching is on [`Decision`]. Leaving the line early
//! means a [`Refusal`], which is answered in one place.

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Response, Version, header, request};
use hyper::Request;
use hyper::body::{Body, Incoming};
use proxima_edge_core::decide::Decision;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::request::{ConnectionFacts, Refusal, ViewerRequest};
use proxima_edge_core::respond::{self, Answer};
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::OriginResponse;

use crate::body::{BodySource, ReplyBody};
use crate::edge::Worker;
use crate::fill::{self, FillReader, Source, Wish};
use crate::log::Record;
use crate::origin::{Fetched, OriginError, RequestBody};
use crate::store::{Found, Lookup};

/// Answers one request. Never fails: what goes wrong becomes a response, and every response carries its log record.
pub async fn handle(
    worker: Rc<Worker>,
    connection: Rc<ConnectionFacts>,
    incoming: Request<Incoming>,
) -> Response<ReplyBody> {
    let (head, body) = incoming.into_parts();
    let record = Record::begin(&worker, &connection, &head);
    let version = head.version;
    let mut exchange = Exchange { worker, record, unread: !body.is_end_stream() };
    let mut response = match exchange.answer(&connection, head, body).await {
        Ok(response) => response,
        Err(refusal) => exchange.refuse(&refusal),
    };
    let Exchange { mut record, unread, .. } = exchange;
    record.fields.status = Some(response.status());
    record.fields.time_to_first_byte = Some(record.elapsed());
    if record.is_logged() {
        record.fields.content_type = text(response.headers().get(header::CONTENT_TYPE));
    }
    if version == Version::HTTP_2 {
        // Connection-specific fields do not exist there (RFC 9113 § 8.2.2).
        response.headers_mut().remove(header::CONNECTION);
    } else if unread {
        // The rest of the request's body would have to be read first; nobody needs it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| body.logged(record))
}

/// One request on its way, and what is noted of it.
struct Exchange {
    worker: Rc<Worker>,
    record: Record,
    /// A part of the request's body has not been read.
    unread: bool,
}

impl Exchange {
    /// The steps. What asks an origin is boxed: it is rare beside a hit, and its state would be moved with every one.
    async fn answer(
        &mut self,
        connection: &ConnectionFacts,
        head: request::Parts,
        body: Incoming,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let edge = Arc::clone(&self.worker.edge);
        let now = edge.clock.now();
        let plan = edge.plans.current().ok_or_else(not_configured)?;
        let request = ViewerRequest::read(connection, head, !body.is_end_stream())?;
        let route = plan.route(&request)?;
        self.note_route(&route);
        route.admit(&request)?;
        if let Err(reason) = route.uses_cache(&request) {
            return Box::pin(self.pass(&route, &request, body, reason)).await;
        }
        let key = route.cache_key(&request);
        let (found, varies) = self.lookup(&route, &request, &key).await;
        let decision = route.decide(found.as_ref().map(|found| &*found.head), &request, now);
        let misses = decision != Decision::Serve && route.behavior.cache_policy.origin_controlled;
        let place = misses.then(|| edge.invalidations.place(&route.resource(&request)));
        let wish = |kept, reason| Wish { route: &route, request: &request, key, varies, kept, place, reason };
        match (decision, found) {
            (Decision::Serve, Some(found)) => Ok(self.serve(&request, found, Reason::Hit)),
            (Decision::ServeStale(reason), Some(found)) => {
                if reason == Reason::StaleWhileRevalidate {
                    fill::refresh(&self.worker, &wish(Some(found.clone()), Reason::Expired));
                }
                Ok(self.serve(&request, found, reason))
            }
            (Decision::Serve | Decision::ServeStale(_), None) => Err(Refusal::new(Reason::InternalError, "")),
            (Decision::Revalidate, found) => {
                let source = Box::pin(fill::fetch(&self.worker, wish(found, Reason::Expired))).await;
                self.relay(&route, &request, source)
            }
            (Decision::Fetch(reason), _) => {
                let source = Box::pin(fill::fetch(&self.worker, wish(None, reason))).await;
                self.relay(&route, &request, source)
            }
            (Decision::Bypass(Reason::HeadMiss), found) => {
                let kept = found.filter(|found| route.may_replay(&found.head, &request));
                let source = Box::pin(fill::head(&self.worker, &wish(kept, Reason::HeadMiss))).await;
                self.relay(&route, &request, source)
            }
            (Decision::Bypass(reason), _) => Box::pin(self.pass(&route, &request, body, reason)).await,
            (Decision::Refuse(refusal), _) => Err(refusal),
        }
    }

    /// Step 6: what the store has for this request, and the headers that responses under its key differ by.
    async fn lookup(
        &self,
        route: &Route,
        request: &ViewerRequest,
        key: &CacheKey,
    ) -> (Option<Found>, Option<Arc<[http::HeaderName]>>) {
        let (found, varies) = match self.worker.edge.store.lookup(key).await {
            Lookup::Found(found) => (Some(found), None),
            Lookup::Absent => (None, None),
            Lookup::Varies(names) => match fill::lookup_variant(&self.worker, route, request, key, &names).await {
                Lookup::Found(found) => (Some(found), Some(names)),
                Lookup::Absent | Lookup::Varies(_) => (None, Some(names)),
            },
        };
        (found.filter(|found| !self.is_invalidated(route, request, found)), varies)
    }

    /// What an unsafe request has invalidated is as good as not there: it serves neither as a validator nor in place of
    /// an error.
    fn is_invalidated(&self, route: &Route, request: &ViewerRequest, found: &Found) -> bool {
        let invalidations = &self.worker.edge.invalidations;
        route.behavior.cache_policy.origin_controlled
            && invalidations.covers(found.head.generation, || invalidations.place(&route.resource(request)))
    }

    /// Answers from the store.
    fn serve(&mut self, request: &ViewerRequest, found: Found, reason: Reason) -> Response<ReplyBody> {
        let head = respond::stored(&found.head, self.as_answer(reason));
        let length = found.head.body_length;
        finish(head, request, found.body.into(), Some(length))
    }

    /// Passes the request to the origin for this viewer alone.
    async fn pass(
        &mut self,
        route: &Route,
        request: &ViewerRequest,
        body: Incoming,
        reason: Reason,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let outgoing = route.origin_request(request, Purpose::Pass);
        let body = RequestBody::viewer(body);
        let upload = body.upload();
        let fetched = self.worker.origins.fetch(route, &outgoing, body).await;
        if let Some(upload) = upload {
            self.record.fields.request_body_bytes = upload.bytes();
            self.unread = !upload.is_complete();
        }
        let source = match fetched {
            Ok(fetched) => fill::passed(&self.worker, route, request, fetched, reason).await,
            Err(error) => Source::Failed(error),
        };
        self.relay(route, request, source)
    }

    /// Step 10 for what does not come from the store.
    fn relay(
        &mut self,
        route: &Route,
        request: &ViewerRequest,
        source: Source,
    ) -> Result<Response<ReplyBody>, Refusal> {
        match source {
            Source::Fill(reader, reason) => Ok(self.relay_fill(route, request, reader, reason)),
            Source::Kept(found, reason) => Ok(self.serve(request, found, reason)),
            Source::Origin(fetched, reason, why) => {
                let Fetched { head, body } = *fetched;
                self.note_fetch(&head);
                self.record.fields.not_stored = Some(why);
                let response = respond::fetched(&head, route, self.as_answer(reason));
                Ok(finish(response, request, BodySource::Origin(Box::new(body)), head.body_length))
            }
            Source::Failed(error) => Err(self.failed(error)),
        }
    }

    fn relay_fill(
        &mut self,
        route: &Route,
        request: &ViewerRequest,
        reader: FillReader,
        reason: Reason,
    ) -> Response<ReplyBody> {
        let head = reader.shared_head().expect("a fill is relayed only after its head is settled as shared");
        let length = head.response.body_length;
        // Whoever caused the fetch gets what the origin said; Age would say that it came from a cache.
        let response = if reason == Reason::CollapsedHit {
            let mut response = respond::stored(&head.stored, self.as_answer(reason));
            if length.is_none() {
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            response
        } else {
            self.note_fetch(&head.response);
            respond::fetched(&head.response, route, self.as_answer(reason))
        };
        finish(response, request, BodySource::Fill(reader), length)
    }

    /// A failed origin, in words for the viewer; the log gets the inside story.
    fn failed(&mut self, error: OriginError) -> Refusal {
        self.worker.edge.metrics.origin_error(error.reason);
        self.record.fields.detail = Some(error.detail);
        Refusal::new(error.reason, "the origin of this resource gave no usable answer")
    }

    fn refuse(&mut self, refusal: &Refusal) -> Response<ReplyBody> {
        if self.record.fields.detail.is_none() {
            self.record.fields.detail = Some(refusal.detail.clone().into_owned());
        }
        let mut response = respond::refused(refusal, self.as_answer(refusal.reason)).map(ReplyBody::whole);
        if self.record.fields.method == http::Method::HEAD {
            *response.body_mut() = ReplyBody::empty();
        }
        response
    }

    /// What the head of a response says of this answer; notes its reason.
    fn as_answer(&mut self, reason: Reason) -> Answer<'_> {
        self.record.fields.reason = reason;
        let edge = &self.worker.edge;
        Answer { identity: &edge.identity, request_id: self.record.request_id.clone(), reason, now: edge.clock.now() }
    }

    fn note_route(&mut self, route: &Route) {
        if self.record.is_logged() {
            self.record.fields.distribution = Some(route.distribution.name.clone());
            let pattern = route.behavior.path_pattern.as_ref();
            let pattern = pattern.map_or("Default (*)", |pattern| pattern.as_str());
            self.record.fields.behavior = Some(pattern.to_owned());
        }
    }

    fn note_fetch(&mut self, head: &OriginResponse) {
        self.record.fields.origin_first_byte = Some(head.received_at.since(head.requested_at));
    }
}

/// Puts head and body together; HEAD, 204 and 304 have no body whatever their head says.
fn finish(head: Response<()>, request: &ViewerRequest, source: BodySource, length: Option<u64>) -> Response<ReplyBody> {
    let body =
        if respond::has_body(request, head.status()) { ReplyBody::new(source, length) } else { ReplyBody::empty() };
    head.map(|()| body)
}

fn not_configured() -> Refusal {
    Refusal::new(Reason::NotConfigured, "this edge has no configuration yet")
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
