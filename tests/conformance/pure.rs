//! Plays cases on the pure core: no socket, no task, no clock.
//!
//! The driver does, one after another, what the edge does concurrently: look up, decide, ask, judge, keep. So a case that
//! holds here and not on the running edge points at the edge's shell, and one that holds nowhere at the core. Cases whose
//! point is how bytes come over a connection are not for it; see [`is_for_the_core`].

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use proxima_edge_core::cache_status::Handling;
use proxima_edge_core::decide::Decision;
use proxima_edge_core::edge_config::EdgeConfig;
use proxima_edge_core::entry::StoredResponse;
use proxima_edge_core::freshness::Staleness;
use proxima_edge_core::key::CacheKey;
use proxima_edge_core::origin_request::{OriginRequest, Purpose};
use proxima_edge_core::outcome::Reason;
use proxima_edge_core::part::{Part, Representation};
use proxima_edge_core::plan::Plan;
use proxima_edge_core::range::{Segment, unsatisfied};
use proxima_edge_core::request::{ConnectionFacts, Refusal, Scheme, ViewerRequest};
use proxima_edge_core::respond::{self, Answer, Identity};
use proxima_edge_core::route::Route;
use proxima_edge_core::storable::{self, OriginResponse, end_to_end};
use proxima_edge_core::timestamp::Timestamp;
use proxima_edge_core::validation::{self, Confirmed, HeadVerdict};
use proxima_tests::{Body, Head, config};

use crate::START;
use crate::cases::message::{Framing, OriginAnswer, OriginReply};
use crate::cases::{self, Case, Exchange, Step};
use crate::compare::{compare_request, compare_response, with_dates};

#[test]
fn every_case_that_the_core_decides_holds_on_the_core() {
    let cases = cases::all().unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    let all = cases.len();
    let chosen: Vec<_> = cases.into_iter().filter(is_for_the_core).collect();
    let failed: Vec<_> =
        chosen.iter().filter_map(|case| play(case).err().map(|why| format!("{}: {why}", case.name))).collect();
    eprintln!("{} of {all} cases are decided by the core alone", chosen.len());
    assert!(chosen.len() * 10 >= all * 9, "most cases are for the core: {}", chosen.len());
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), chosen.len(), failed.join("\n"));
}

/// Whether no step of the case depends on how a body is framed, how a connection ends, or what a shell remembers.
fn is_for_the_core(case: &Case) -> bool {
    // What fills remember of a key is no matter of one decision.
    case.area != "fills"
        && case.steps.iter().all(|step| match step {
            // Interim responses are written beside the answer.
            Step::Exchange(exchange) => match &exchange.origin {
                _ if !exchange.interim.is_empty() || exchange.hinted.is_some() => false,
                Some(OriginAnswer::Reply(reply)) => reply.framing == Framing::Length,
                Some(OriginAnswer::Disconnect | OriginAnswer::Reset) | None => true,
            },
            Step::Advance(_) => true,
        })
}

fn play(case: &Case) -> Result<(), String> {
    let mut core = Core::new(&case.config)?;
    for step in &case.steps {
        match step {
            Step::Advance(time) => core.now = core.now.plus(*time),
            Step::Exchange(exchange) => {
                core.exchange(exchange).map_err(|why| format!("exchange {}: {why}", exchange.number))?;
            }
        }
    }
    Ok(())
}

/// A response that is kept.
#[derive(Clone)]
struct Kept {
    head: StoredResponse,
    body: String,
    /// What unsafe requests invalidate it by.
    resource: String,
}

/// What the origin does when it is asked, and whether it was.
struct Asked<'a> {
    answer: Option<&'a OriginAnswer>,
    requests: Vec<OriginRequest>,
    now: Timestamp,
}

/// An answer of the origin.
struct Fetched {
    head: OriginResponse,
    body: String,
}

/// What the viewer gets.
struct Reply {
    head: Response<()>,
    body: String,
}

/// The core, with a store of the simplest kind.
struct Core {
    plan: Plan,
    now: Timestamp,
    identity: Identity,
    kept: BTreeMap<CacheKey, Kept>,
    varies: BTreeMap<CacheKey, Vec<HeaderName>>,
}

impl Core {
    fn new(config: &EdgeConfig) -> Result<Self, String> {
        let mut config = config.clone();
        config.distributions[0].origins = vec![config::origin(([127, 0, 0, 1], 80).into())];
        let plan = Plan::compile(&config).map_err(|problems| format!("{problems:?}"))?;
        let identity = Identity {
            zone: HeaderValue::from_static("zone-a"),
            via: HeaderValue::from_static("1.1 edge-1 (proxima)"),
        };
        Ok(Self { plan, now: START, identity, kept: BTreeMap::new(), varies: BTreeMap::new() })
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<(), String> {
        let mut asked = Asked { answer: exchange.origin.as_ref(), requests: Vec::new(), now: self.now };
        let method = exchange.request.method.clone();
        let reply = self.answer(exchange, &mut asked).unwrap_or_else(|refusal| self.refuse(&refusal));
        match (&exchange.origin, asked.requests.last()) {
            (None, Some(request)) => return Err(format!("the origin was asked and should not have been: {request:?}")),
            (Some(_), None) => return Err(format!("the origin was not asked; the viewer gets {:?}", reply.head)),
            (Some(_), Some(request)) => {
                if let Some(expected) = &exchange.asked {
                    compare_request(expected, &request_head(request), self.now)?;
                }
            }
            (None, None) => {}
        }
        let body = if method == "HEAD" { String::new() } else { reply.body };
        let response = proxima_tests::Response {
            head: response_head(&reply.head),
            body: Body { bytes: body.into_bytes(), complete: true },
        };
        compare_response(&exchange.viewer, &response, self.now)
    }

    fn answer(&mut self, exchange: &Exchange, asked: &mut Asked<'_>) -> Result<Reply, Refusal> {
        let facts = ConnectionFacts { peer: ([127, 0, 0, 1], 50_000).into(), scheme: Scheme::Http };
        let request = ViewerRequest::read(&facts, parts(exchange, self.now), exchange.request.body.is_some())?;
        let route = self.plan.route(&request)?;
        route.admit(&request)?;
        if let Err(reason) = route.uses_cache(&request) {
            return self.pass(&route, &request, reason, asked);
        }
        let (key, found) = self.lookup(&route, &request);
        match (route.decide(found.as_ref().map(|found| &found.head), &request, self.now), found) {
            (Decision::Serve, Some(found)) => Ok(self.serve(&request, &found, Reason::Hit)),
            (Decision::ServeStale(reason), Some(found)) => {
                if reason == Reason::StaleWhileRevalidate {
                    // What the refresh brings, and whether it fails, concerns only those who come later.
                    let plain = without_conditions(&request);
                    let _ = self.fill(&route, &plain, (&key, Some(found.clone()), Reason::Expired), asked);
                }
                Ok(self.serve(&request, &found, reason))
            }
            (Decision::Serve | Decision::ServeStale(_), None) => Err(Refusal::new(Reason::InternalError, "")),
            (Decision::Revalidate, found) => self.fill(&route, &request, (&key, found, Reason::Expired), asked),
            (Decision::Fetch(reason), _) => self.fill(&route, &request, (&key, None, reason), asked),
            (Decision::Bypass(reason), _) => self.pass(&route, &request, reason, asked),
            (Decision::Refuse(refusal), _) => Err(refusal),
        }
    }

    /// The key that the request has, as far as is known what responses vary by, and what is kept under it.
    fn lookup(&self, route: &Route, request: &ViewerRequest) -> (CacheKey, Option<Kept>) {
        let primary = route.cache_key(request);
        let key = match self.varies.get(&primary) {
            Some(names) => primary.variant(names, &route.origin_request(request, Purpose::Fill).headers),
            None => primary,
        };
        let found = self.kept.get(&key).cloned();
        (key, found)
    }

    /// Fetches for everybody: by validation where something is kept.
    fn fill(
        &mut self,
        route: &Route,
        request: &ViewerRequest,
        (key, kept, reason): (&CacheKey, Option<Kept>, Reason),
        asked: &mut Asked<'_>,
    ) -> Result<Reply, Refusal> {
        let plain = route.origin_request(request, Purpose::Fill);
        let mut outgoing = plain.clone();
        let conditional = kept.as_ref().is_some_and(|kept| validation::make_conditional(&mut outgoing, &kept.head));
        let mut fetched = asked.ask(&outgoing);
        if let (true, Some(kept), Ok(answer)) = (conditional, &kept, &fetched)
            && answer.head.status == StatusCode::NOT_MODIFIED
        {
            match route.confirm(&kept.head, &plain, &answer.head, 0) {
                Confirmed::Kept(head) => {
                    let confirmed = Kept { head: *head, ..kept.clone() };
                    self.kept.insert(key.clone(), confirmed.clone());
                    let own = route.with_own_cookies(&confirmed.head, &answer.head);
                    let confirmed = Kept { head: own.unwrap_or(confirmed.head), ..confirmed };
                    return Ok(self.serve(request, &confirmed, Reason::RefreshHit));
                }
                Confirmed::Unshared(head, _) => {
                    if storable::supersedes(&plain, StatusCode::NOT_MODIFIED) {
                        self.kept.remove(key);
                    }
                    return Ok(self.serve(request, &Kept { head: *head, ..kept.clone() }, Reason::RefreshHit));
                }
                Confirmed::Other => fetched = asked.ask(&plain),
            }
        }
        let policy = &route.behavior.cache_policy;
        let failed = fetched.as_ref().map_or(true, |fetched| policy.is_origin_failure(fetched.head.status));
        if failed && let Some(kept) = kept.as_ref().filter(|kept| self.stands_in(route, request, kept)) {
            return Ok(self.serve(request, kept, Reason::StaleIfError));
        }
        let fetched = fetched?;
        if storable::supersedes(&plain, fetched.head.status) {
            self.kept.remove(key);
        }
        Ok(self.keep(route, request, fetched, reason))
    }

    fn stands_in(&self, route: &Route, request: &ViewerRequest, kept: &Kept) -> bool {
        route.behavior.cache_policy.may_serve_stale(&kept.head, Staleness::IfError, self.now)
            || route.stands_in(&kept.head, request, self.now)
    }

    /// Judges a whole response, keeps it where it may be kept, and answers with it.
    fn keep(&mut self, route: &Route, request: &ViewerRequest, fetched: Fetched, reason: Reason) -> Reply {
        let outgoing = route.origin_request(request, Purpose::Fill);
        let mut head = respond::fetched(&fetched.head, route, &self.as_answer(reason));
        let part = match route.storable(&outgoing, &fetched.head, 0) {
            Ok(mut stored) => {
                stored.body_length = fetched.body.len() as u64;
                let primary = route.cache_key(request);
                let key = if stored.vary.is_empty() {
                    primary
                } else {
                    let key = primary.variant(&stored.vary, &outgoing.headers);
                    self.varies.insert(primary, stored.vary.clone());
                    key
                };
                let part = Part::of(request, &Representation::stored(&stored));
                let resource = format!("{:?}", route.resource(request));
                self.kept.insert(key, Kept { head: stored, body: fetched.body.clone(), resource });
                part
            }
            Err(_) => Part::of(request, &Representation::unstored(&fetched.head)),
        };
        if part == Part::NotModified {
            respond::not_modified(&mut head);
            return Reply { head, body: String::new() };
        }
        self.cut(head, fetched.body, &part)
    }

    /// Passes a request to the origin for this viewer alone, and notes what that means for what is kept.
    fn pass(
        &mut self,
        route: &Route,
        request: &ViewerRequest,
        reason: Reason,
        asked: &mut Asked<'_>,
    ) -> Result<Reply, Refusal> {
        let outgoing = route.origin_request(request, Purpose::Pass);
        let fetched = asked.ask(&outgoing)?;
        let invalid = route.invalidates(request, fetched.head.status, &fetched.head.headers);
        let invalid: Vec<_> = invalid.iter().map(|resource| format!("{resource:?}")).collect();
        self.kept.retain(|_, kept| !invalid.contains(&kept.resource));
        if request.method == Method::HEAD {
            let (key, found) = self.lookup(route, request);
            let verdict = found.map(|kept| (route.updated_by_head(&kept.head, &outgoing, &fetched.head, 0), kept));
            match verdict {
                Some((HeadVerdict::Kept(head), kept)) => {
                    self.kept.insert(key, Kept { head: *head, ..kept });
                }
                Some((HeadVerdict::Forgotten, _)) => {
                    self.kept.remove(&key);
                }
                Some((HeadVerdict::Untouched, _)) | None => {}
            }
        }
        if reason == Reason::RangeRequest && storable::is_whole(&fetched.head) {
            return Ok(self.keep(route, request, fetched, reason));
        }
        if route.stores_for_get(request, &fetched.head) {
            let get = ViewerRequest { method: Method::GET, has_body: false, ..request.clone() };
            return Ok(self.keep(route, &get, fetched, reason));
        }
        let head = respond::fetched(&fetched.head, route, &self.as_answer(reason));
        Ok(Reply { head, body: fetched.body })
    }

    fn serve(&self, request: &ViewerRequest, kept: &Kept, reason: Reason) -> Reply {
        let mut head = respond::stored(&kept.head, &self.as_answer(reason));
        match Part::of(request, &Representation::stored(&kept.head)) {
            Part::NotModified => {
                respond::not_modified(&mut head);
                Reply { head, body: String::new() }
            }
            part => self.cut(head, kept.body.clone(), &part),
        }
    }

    /// A whole response, or the part of it that was asked for.
    fn cut(&self, mut head: Response<()>, body: String, part: &Part) -> Reply {
        match part {
            Part::Whole | Part::NotModified => Reply { head, body },
            Part::Unsatisfiable(length) => {
                let mut reply = self.refuse(&Refusal::new(Reason::RangeNotSatisfiable, ""));
                reply.head.headers_mut().insert("content-range", unsatisfied(*length));
                reply
            }
            Part::Excerpt(excerpt) => {
                let layout = excerpt.layout(head.headers().get(CONTENT_TYPE), "boundary");
                respond::partial(&mut head, &layout);
                let mut cut = Vec::new();
                for segment in &layout.segments {
                    match segment {
                        Segment::Span(range) => {
                            cut.extend_from_slice(&body.as_bytes()[range.start as usize..range.end as usize])
                        }
                        Segment::Text(text) => cut.extend_from_slice(text),
                    }
                }
                Reply { head, body: String::from_utf8_lossy(&cut).into_owned() }
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let response = respond::refused(refusal, &self.as_answer(refusal.reason));
        let (parts, body) = response.into_parts();
        Reply { head: Response::from_parts(parts, ()), body: String::from_utf8_lossy(&body).into_owned() }
    }

    fn as_answer(&self, reason: Reason) -> Answer<'_> {
        Answer { identity: &self.identity, request_id: "1", reason, handling: Handling::default(), now: self.now }
    }
}

impl Asked<'_> {
    /// Asks the origin; a failed connection is the same to the core whatever its cause.
    fn ask(&mut self, request: &OriginRequest) -> Result<Fetched, Refusal> {
        self.requests.push(request.clone());
        match self.answer {
            Some(OriginAnswer::Reply(reply)) => {
                let fetched = fetched(reply, request, self.now);
                let answers = request.is_answered_by(fetched.head.status);
                answers.then_some(fetched).ok_or_else(|| Refusal::new(Reason::OriginInvalidResponse, ""))
            }
            Some(OriginAnswer::Disconnect | OriginAnswer::Reset) | None => {
                Err(Refusal::new(Reason::OriginCommError, ""))
            }
        }
    }
}

fn fetched(reply: &OriginReply, request: &OriginRequest, now: Timestamp) -> Fetched {
    let mut headers = fields(&reply.fields, now);
    end_to_end(&mut headers);
    let status = StatusCode::from_u16(reply.status).expect("cases have valid statuses");
    let empty = matches!(reply.status, 204 | 304);
    let body = if empty || request.method == Method::HEAD { String::new() } else { reply.body.clone() };
    let body_length = (!empty).then_some(reply.body.len() as u64);
    Fetched { head: OriginResponse { status, headers, body_length, requested_at: now, received_at: now }, body }
}

fn without_conditions(request: &ViewerRequest) -> ViewerRequest {
    let mut request = request.clone();
    for name in ["if-none-match", "if-modified-since", "range", "if-range"] {
        request.headers.remove(name);
    }
    request.selects = false;
    request
}

fn parts(exchange: &Exchange, now: Timestamp) -> http::request::Parts {
    let request = &exchange.request;
    let mut headers = fields(&request.fields, now);
    headers.entry(HOST).or_insert(HeaderValue::from_static("site.test"));
    let mut built =
        http::Request::builder().method(request.method.as_str()).uri(&request.target).body(()).expect("a request");
    *built.headers_mut() = headers;
    built.into_parts().0
}

fn fields(fields: &[(String, String)], now: Timestamp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        headers.append(name, HeaderValue::try_from(with_dates(value, now)).expect("a field value"));
    }
    headers
}

fn request_head(request: &OriginRequest) -> Head {
    let mut head = Head { start: format!("{} {} HTTP/1.1", request.method, request.target), ..Head::default() };
    head.fields = listed(&request.headers);
    head.fields.push(("host".to_owned(), String::from_utf8_lossy(request.host.as_bytes()).into_owned()));
    head.raw = format!("{head:?}");
    head
}

fn response_head(response: &Response<()>) -> Head {
    let mut head = Head { start: format!("HTTP/1.1 {}", response.status().as_u16()), ..Head::default() };
    head.fields = listed(response.headers());
    head.raw = format!("{head:?}");
    head
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
