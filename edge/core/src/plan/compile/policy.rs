//! Proves one cache policy.

use std::collections::HashSet;
use std::time::Duration;

use http::HeaderName;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    VIA,
};

use super::Problems;
use crate::conditional::CONDITIONS;
use crate::edge_config::{CacheKeyConfig, CachePolicyConfig, Selection};
use crate::limits;
use crate::origin_request::is_edges_own;
use crate::plan::CachePolicy;

/// Fields of one connection, fields that differ by what the edge appends, and fields that a fill leaves out: in a key
/// they would say something that the origin does not see.
const FORBIDDEN: [HeaderName; 14] = [
    HeaderName::from_static("cdn-loop"),
    CONNECTION,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    RANGE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
];

pub(super) fn compile(config: &CachePolicyConfig, field: &str, problems: &mut Problems) -> Option<CachePolicy> {
    let before = problems.0.len();
    if config.min_ttl_ms > config.max_ttl_ms {
        problems.add(format!("{field}.minTtlMs"), "must not be above maxTtlMs");
    }
    for (name, millis) in [
        ("minTtlMs", config.min_ttl_ms),
        ("defaultTtlMs", config.default_ttl_ms.unwrap_or(0)),
        ("maxTtlMs", config.max_ttl_ms),
    ] {
        if millis > limits::TTL_MILLIS {
            problems.add(format!("{field}.{name}"), format!("must be at most {} (100 years)", limits::TTL_MILLIS));
        }
    }
    let key = &config.key;
    selection(&key.cookies, &format!("{field}.key.cookies"), problems);
    selection(&key.query_strings, &format!("{field}.key.queryStrings"), problems);
    let names = headers(key, &format!("{field}.key.headers"), problems);
    let forward_host = names.contains(&HOST);
    let normalised = key.accept_encoding_gzip || key.accept_encoding_brotli;
    // What only an edge may set is not taken from viewers, so there is never any.
    let elsewhere = |name: &HeaderName| *name == HOST || (normalised && *name == ACCEPT_ENCODING) || is_edges_own(name);
    let mut key_headers: Vec<HeaderName> = names.into_iter().filter(|name| !elsewhere(name)).collect();
    key_headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    (problems.0.len() == before).then(|| CachePolicy {
        name: config.name.clone(),
        min_ttl: Duration::from_millis(config.min_ttl_ms),
        default_ttl: config.default_ttl_ms.map(Duration::from_millis),
        max_ttl: Duration::from_millis(config.max_ttl_ms),
        key_scheme: key.scheme,
        key_host: key.host || forward_host,
        forward_host,
        key_headers,
        key_cookies: key.cookies.clone(),
        key_query_strings: key.query_strings.clone(),
        accept_encoding_gzip: key.accept_encoding_gzip,
        accept_encoding_brotli: key.accept_encoding_brotli,
        forward_all_viewer_headers: config.forward.all_viewer_headers,
        set_cookie: config.set_cookie,
        override_origin_directives: config.override_origin_directives,
        origin_controlled: config.origin_controlled,
        honor_request_directives: config.honor_request_directives,
    })
}

fn headers(config: &CacheKeyConfig, field: &str, problems: &mut Problems) -> Vec<HeaderName> {
    problems.at_most(field, config.headers.len(), limits::HEADERS);
    let mut names = Vec::new();
    for (index, text) in config.headers.iter().enumerate() {
        let field = format!("{field}[{index}]");
        match HeaderName::from_lowercase(text.as_bytes()) {
            Err(_) => problems.add(field, format!("{text:?} is not a header name in lower case")),
            Ok(name) if name == COOKIE => problems.add(field, "cookies are named in key.cookies"),
            Ok(name) if FORBIDDEN.contains(&name) || CONDITIONS.contains(&name) => {
                problems.add(field, format!("{text:?} cannot be in a key: it does not reach the origin as sent"));
            }
            Ok(name) if names.contains(&name) => problems.add(field, format!("{text:?} is used twice")),
            Ok(name) => names.push(name),
        }
    }
    names
}

fn selection(config: &Selection, field: &str, problems: &mut Problems) {
    let (Selection::Some(names) | Selection::AllExcept(names)) = config else { return };
    problems.at_most(field, names.len(), limits::HEADERS);
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            problems.add(field, "has an empty name");
        } else if !seen.insert(name) {
            problems.add(field, format!("{name:?} is used twice"));
        }
    }
}
