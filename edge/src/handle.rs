//! The straight line: from a request to its response, one named step after another.
//!
//! Nothing here decides; each step is one module's, and the only branching is on [`Decision`]. Leaving the line early
//! means a [`Refusal`], which is answered in one place.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, Version, header, request};
use hyper::Request;
use hyper::body::{Body, Incoming};
use proxima_edge_core::cache_status::Handling;
use proxima_edge_core::decide::Decision;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::origin_request::Purpose;
use proxima_edge_core::outcome::{NotStored, Reason};
use proxima_edge_core::part::{Part, Representation};
use proxima_edge_core::range::{self, Excerpt, Segment};
use proxima_edge_core::request::{ConnectionFacts, Refusal, ViewerRequest};
use proxima_edge_core::respond::{self, Answer};
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::OriginResponse;
use proxima_edge_core::timestamp::Timestamp;

use crate::body::{BodySource, ReplyBody};
use crate::edge::Worker;
use crate::fill::{self, FillReader, Source, Wish};
use crate::log::Record;
use crate::origin::{Fetched, OriginError, RequestBody};
use crate::server::interim::Interim;
use crate::store::{Found, Lookup, Wanted};

/// Answers one request. Never fails: what goes wrong becomes a response, and every response carries its log record.
pub async fn handle(
    worker: Rc<Worker>,
    connection: Rc<ConnectionFacts>,
    incoming: Request<Incoming>,
    interim: Interim,
) -> Response<ReplyBody> {
    let (head, body) = incoming.into_parts();
    let record = Record::begin(&worker, &connection, &head);
    let (version, now) = (head.version, record.fields.at);
    let mut exchange = Exchange { worker, record, now, interim, unread: !body.is_end_stream() };
    let mut response = match exchange.answer(&connection, head, body).await {
        Ok(response) => response,
        Err(refusal) => exchange.refuse(&refusal),
    };
    let Exchange { mut record, unread, .. } = exchange;
    record.fields.status = Some(response.status());
    if record.is_logged() {
        record.fields.time_to_first_byte = Some(record.elapsed());
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
    record: Box<Record>,
    /// The time of day: when the request came, and from then on when an origin had answered.
    now: Timestamp,
    /// Where interim responses go.
    interim: Interim,
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
        let plan = edge.plans.current().ok_or_else(not_configured)?;
        let request = ViewerRequest::read(connection, head, !body.is_end_stream())?;
        let route = plan.route(&request)?;
        self.note_route(&route);
        route.admit(&request)?;
        if let Err(reason) = route.uses_cache(&request) {
            return Box::pin(self.pass(&route, &request, body, reason)).await;
        }
        let key = route.cache_key(&request);
        let (found, varies, decision) = self.lookup(&route, &request, &key).await;
        let kept = match (&decision, found) {
            (Decision::Serve, Some(found)) => return Ok(self.serve(&route, &request, found, Reason::Hit)),
            (_, found) => found,
        };
        let place = route.behavior.cache_policy.origin_controlled;
        let place = place.then(|| edge.invalidations.place(&route.resource(&request)));
        let (reason, interim) = (Reason::Miss, self.interim.clone());
        let wish = Wish { route: &route, request: &request, key, varies, kept, place, reason, interim };
        Box::pin(self.miss(wish, decision, body)).await
    }

    /// Step 8, fill, for what the store cannot answer on its own.
    async fn miss(
        &mut self,
        mut wish: Wish<'_>,
        decision: Decision,
        body: Incoming,
    ) -> Result<Response<ReplyBody>, Refusal> {
        let (route, request) = (wish.route, wish.request);
        let source = match (decision, wish.kept.take()) {
            // What is fresh was served before, and what is not there is not decided to be served.
            (Decision::Serve, _) | (Decision::ServeStale(_), None) => {
                return Err(Refusal::new(Reason::InternalError, ""));
            }
            (Decision::ServeStale(reason), Some(found)) => {
                if reason == Reason::StaleWhileRevalidate {
                    wish.kept = Some(found.clone());
                    wish.reason = Reason::Expired;
                    fill::refresh(&self.worker, &wish);
                }
                return Ok(self.serve(route, request, found, reason));
            }
            (Decision::Revalidate, kept) => {
                wish.kept = kept;
                wish.reason = Reason::Expired;
                fill::fetch(&self.worker, wish).await
            }
            (Decision::Fetch(reason), _) => {
                wish.reason = match reason {
                    Reason::Miss if wish.varies.is_some() => Reason::VariantMiss,
                    reason => reason,
                };
                fill::fetch(&self.worker, wish).await
            }
            (Decision::Bypass(Reason::HeadMiss), kept) => {
                wish.kept = kept.filter(|found| route.may_replay(&found.head, request));
                wish.reason = Reason::HeadMiss;
                fill::head(&self.worker, &wish).await
            }
            (Decision::Bypass(reason @ Reason::RangeRequest), _) => {
                wish.reason = reason;
                fill::ranges(&self.worker, &wish).await
            }
            (Decision::Bypass(reason), _) => return self.pass(route, request, body, reason).await,
            (Decision::Refuse(refusal), _) => return Err(refusal),
        };
        self.relay(route, request, source)
    }

    /// Step 6 and 7: what the store has for this request, the headers that responses under its key differ by, and what to
    /// do. Decided during the lookup, since that says which parts of the body are worth collecting.
    async fn lookup(
        &self,
        route: &Route,
        request: &ViewerRequest,
        key: &CacheKey,
    ) -> (Option<Found>, Option<Arc<[http::HeaderName]>>, Decision) {
        let (store, now) = (&self.worker.edge.store, self.now);
        let decided = Cell::new(None);
        let wanted = |head: &StoredResponse| {
            let decision = route.decide(Some(head), request, now);
            let wanted = wanted(request, head, &decision);
            decided.set(Some(decision));
            wanted
        };
        let (found, varies) = match store.lookup(key, wanted).await {
            Lookup::Found(found) => (Some(found), None),
            Lookup::Absent => (None, None),
            Lookup::Varies(names) => {
                let variant = fill::variant(route, request, key, &names);
                match store.lookup(&variant, wanted).await {
                    Lookup::Found(found) => (Some(found), Some(names)),
                    Lookup::Absent | Lookup::Varies(_) => (None, Some(names)),
                }
            }
        };
        let found = found.filter(|found| !self.is_invalidated(route, request, found));
        // A small body needs no choice of parts, so nobody has asked yet.
        let decision = found.as_ref().and_then(|_| decided.take());
        let decision = decision.unwrap_or_else(|| route.decide(found.as_ref().map(|found| &*found.head), request, now));
        (found, varies, decision)
    }

    /// What an unsafe request has invalidated is as good as not there: it serves neither as a validator nor in place of
    /// an error.
    fn is_invalidated(&self, route: &Route, request: &ViewerRequest, found: &Found) -> bool {
        let invalidations = &self.worker.edge.invalidations;
        route.behavior.cache_policy.origin_controlled
            && invalidations.covers(found.head.generation, || invalidations.place(&route.resource(request)))
    }

    /// Answers from the store.
    fn serve(&mut self, route: &Route, request: &ViewerRequest, found: Found, reason: Reason) -> Response<ReplyBody> {
        let part = Part::of(request, &Representation::stored(&found.head));
        let mut answer = self.as_answer(reason);
        let ttl = route.behavior.cache_policy.ttl(&found.head, answer.now);
        let forward_status = (reason == Reason::RefreshHit).then_some(StatusCode::NOT_MODIFIED);
        answer.handling = Handling { ttl: Some(ttl), forward_status, storage: None };
        let head = respond::stored(&found.head, &answer);
        match part {
            Part::Whole => finish(head, request, found.body.into(), Some(found.head.body_length)),
            Part::NotModified => not_modified(head),
            Part::Excerpt(excerpt) => {
                partial(head, &excerpt, |segments| BodySource::stored_excerpt(&found.body, segments))
            }
            Part::Unsatisfiable(length) => self.unsatisfiable(length),
        }
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
        let asked = fill::Asked::begin(&self.worker.edge, route, request);
        let fetched = self.worker.origins.fetch(route, &outgoing, body, &self.interim).await;
        if let Some(upload) = upload {
            self.record.fields.request_body_bytes = upload.bytes();
            self.unread = !upload.is_complete();
        }
        let source = match fetched {
            Ok(fetched) => fill::passed(&self.worker, asked, fetched, reason).await,
            Err(error) => asked.failed(error),
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
        self.now = self.worker.edge.clock.now();
        match source {
            Source::Fill(reader, reason) => Ok(self.relay_fill(route, request, reader, reason)),
            Source::Kept(found, reason) => Ok(self.serve(route, request, found, reason)),
            Source::Origin(fetched, reason, why) => {
                let Fetched { head, body } = *fetched;
                self.note_fetch(&head);
                self.record.fields.not_stored = Some(why);
                let mut answer = self.as_answer(reason);
                answer.handling.storage = Some(Err(why));
                let response = respond::fetched(&head, route, &answer);
                // Of what was fetched without the viewer's conditions, nobody but us can judge them.
                if why != NotStored::Bypassed
                    && Part::of(request, &Representation::unstored(&head)) == Part::NotModified
                {
                    return Ok(not_modified(response));
                }
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
        let collapsed = reason == Reason::CollapsedHit;
        if !collapsed {
            self.note_fetch(&head.response);
        }
        let mut answer = self.as_answer(reason);
        let ttl = route.behavior.cache_policy.ttl(&head.stored, answer.now);
        answer.handling = Handling { ttl: Some(ttl), forward_status: None, storage: Some(Ok(())) };
        let response = if collapsed {
            let mut response = respond::stored(&head.stored, &answer);
            if length.is_none() {
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            response
        } else {
            respond::fetched(&head.response, route, &answer)
        };
        match Part::of(request, &Representation::arriving(&head.stored, length)) {
            Part::Whole => finish(response, request, BodySource::Fill(reader), length),
            Part::NotModified => not_modified(response),
            Part::Excerpt(excerpt) => {
                partial(response, &excerpt, |segments| BodySource::fill_excerpt(reader, segments))
            }
            Part::Unsatisfiable(length) => self.unsatisfiable(length),
        }
    }

    /// None of the bytes asked for are there.
    fn unsatisfiable(&mut self, length: u64) -> Response<ReplyBody> {
        let refusal =
            Refusal::new(Reason::RangeNotSatisfiable, "the requested range is beyond the end of the resource");
        let mut response = self.refuse(&refusal);
        response.headers_mut().insert(header::CONTENT_RANGE, range::unsatisfied(length));
        response
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
        let mut response = respond::refused(refusal, &self.as_answer(refusal.reason)).map(ReplyBody::whole);
        if self.record.fields.method == http::Method::HEAD {
            *response.body_mut() = ReplyBody::empty();
        }
        response
    }

    /// What the head of a response says of this answer; notes its reason.
    fn as_answer(&mut self, reason: Reason) -> Answer<'_> {
        self.record.fields.reason = reason;
        let edge = &self.worker.edge;
        let request_id = self.record.request_id.as_str();
        Answer { identity: &edge.identity, request_id, reason, handling: Handling::default(), now: self.now }
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

/// What is wanted of a stored body. Where it does not answer the request as it is, all of it may be of use.
fn wanted(request: &ViewerRequest, head: &StoredResponse, decision: &Decision) -> Wanted {
    // What is refreshed meanwhile is for others as well, who may want another part of it.
    if !matches!(decision, Decision::Serve | Decision::ServeStale(Reason::StaleAsRequested)) {
        return Wanted::All;
    }
    match Part::of(request, &Representation::stored(head)) {
        Part::Whole if respond::has_body(request, head.status) => Wanted::All,
        Part::Excerpt(excerpt) => Wanted::Parts(excerpt.ranges().to_vec()),
        Part::Whole | Part::NotModified | Part::Unsatisfiable(_) => Wanted::Parts(Vec::new()),
    }
}

fn not_modified(mut head: Response<()>) -> Response<ReplyBody> {
    respond::not_modified(&mut head);
    head.map(|()| ReplyBody::empty())
}

/// A 206 whose body is made of parts of the representation.
fn partial(
    mut head: Response<()>,
    excerpt: &Excerpt,
    body: impl FnOnce(Vec<Segment>) -> BodySource,
) -> Response<ReplyBody> {
    let layout = excerpt.layout(head.headers().get(header::CONTENT_TYPE), &boundary());
    respond::partial(&mut head, &layout);
    head.map(|()| ReplyBody::new(body(layout.segments), Some(layout.length)))
}

/// 128 bits that nobody can foresee: each state has keys from the operating system.
fn boundary() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

fn not_configured() -> Refusal {
    Refusal::new(Reason::NotConfigured, "this edge has no configuration yet")
}

fn text(value: Option<&HeaderValue>) -> Option<String> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
