//! Proves one origin.

use std::collections::HashSet;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::{Problems, configured_host, raw_path_problem};
use crate::edge_config::{HeaderConfig, OriginConfig};
use crate::limits;
use crate::plan::{CaBundle, Origin, authority};

/// Fields that frame, route or trace the request: a custom header of that name would break it (CloudFront: "Custom
/// headers that CloudFront can't add to origin requests").
const FORBIDDEN: [HeaderName; 12] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
];

pub(super) fn compile(config: &OriginConfig, field: &str, problems: &mut Problems) -> Option<Origin> {
    let before = problems.0.len();
    let host = host(&config.host, &format!("{field}.host"), problems);
    let connect = match &config.connect_to {
        Some(text) => connect_to(text, &format!("{field}.connectTo"), problems),
        None => host.clone().map(|host| (host, None)),
    };
    let server_name = config.tls_server_name.as_ref();
    let tls_server_name = server_name.and_then(|name| self::host(name, &format!("{field}.tlsServerName"), problems));
    let ca_bundle = config.ca_bundle.as_deref();
    let ca_bundle = ca_bundle.and_then(|pem| self::ca_bundle(pem, &format!("{field}.caBundle"), problems));
    for (name, port) in [("httpPort", config.http_port), ("httpsPort", config.https_port)] {
        if port == 0 {
            problems.add(format!("{field}.{name}"), "must be between 1 and 65535");
        }
    }
    path(&config.path, &format!("{field}.path"), problems);
    bounds(config, field, problems);
    let custom_headers = custom_headers(&config.custom_headers, &format!("{field}.customHeaders"), problems);
    let (host, (connect_host, connect_port)) = (host?, connect?);
    let field_value = |port, default_port| HeaderValue::try_from(authority(&host, port, default_port)).ok();
    let (http_authority, https_authority) = (field_value(config.http_port, 80)?, field_value(config.https_port, 443)?);
    (problems.0.len() == before).then(|| Origin {
        name: config.name.clone(),
        connect_host,
        connect_port,
        host,
        protocol_policy: config.protocol_policy,
        http_port: config.http_port,
        https_port: config.https_port,
        http_authority,
        https_authority,
        tls_server_name,
        ca_bundle,
        path: config.path.clone(),
        custom_headers,
        connection_attempts: config.connection_attempts,
        connection_timeout: Duration::from_millis(config.connection_timeout_ms),
        response_timeout: Duration::from_millis(config.response_timeout_ms),
        keep_alive_timeout: Duration::from_millis(config.keep_alive_timeout_ms),
    })
}

/// A name or an address, IPv6 without brackets.
fn host(text: &str, field: &str, problems: &mut Problems) -> Option<String> {
    let name = configured_host(&text.to_ascii_lowercase()).filter(|_| !text.starts_with('['));
    if name.is_none() {
        problems
            .add(field, format!("{text:?} is neither a host name nor an address (no scheme, no port, no brackets)"));
    }
    name
}

/// `HOST:PORT`, IPv6 in brackets.
fn connect_to(text: &str, field: &str, problems: &mut Problems) -> Option<(String, Option<u16>)> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok().filter(|&port| port != 0)?;
        let bare = !host.contains(':') || host.starts_with('[');
        configured_host(&host.to_ascii_lowercase()).filter(|_| bare).map(|host| (host, Some(port)))
    });
    if parsed.is_none() {
        problems.add(field, format!("{text:?} is not HOST:PORT"));
    }
    parsed
}

/// PEM with at least one certificate (RFC 7468 § 5). What the certificates say is for whoever verifies with them.
fn ca_bundle(pem: &str, field: &str, problems: &mut Problems) -> Option<CaBundle> {
    let begins = pem.lines().filter(|line| line.trim_end() == "-----BEGIN CERTIFICATE-----").count();
    let ends = pem.lines().filter(|line| line.trim_end() == "-----END CERTIFICATE-----").count();
    if begins == 0 || begins != ends {
        problems.add(field, "has no complete certificate between BEGIN CERTIFICATE and END CERTIFICATE");
        return None;
    }
    Some(CaBundle { pem: pem.to_owned(), digest: Sha256::digest(pem).into() })
}

fn path(path: &str, field: &str, problems: &mut Problems) {
    if path.is_empty() {
        return;
    }
    if !path.starts_with('/') || path.ends_with('/') {
        problems.add(field, "must begin with a slash and not end with one, or be empty");
    } else if path.len() > limits::PATH_PATTERN_BYTES {
        problems.add(field, format!("has at most {} bytes", limits::PATH_PATTERN_BYTES));
    } else if let Some(detail) = raw_path_problem(path) {
        problems.add(field, detail);
    }
}

fn bounds(config: &OriginConfig, field: &str, problems: &mut Problems) {
    if !(1..=limits::CONNECTION_ATTEMPTS).contains(&config.connection_attempts) {
        problems.add(
            format!("{field}.connectionAttempts"),
            format!("must be between 1 and {}", limits::CONNECTION_ATTEMPTS),
        );
    }
    for (name, millis) in [
        ("connectionTimeoutMs", config.connection_timeout_ms),
        ("responseTimeoutMs", config.response_timeout_ms),
        ("keepAliveTimeoutMs", config.keep_alive_timeout_ms),
    ] {
        if !(1..=limits::ORIGIN_TIMEOUT_MILLIS).contains(&millis) {
            let message = format!("must be between 1 and {} milliseconds", limits::ORIGIN_TIMEOUT_MILLIS);
            problems.add(format!("{field}.{name}"), message);
        }
    }
}

fn custom_headers(config: &[HeaderConfig], field: &str, problems: &mut Problems) -> Vec<(HeaderName, HeaderValue)> {
    problems.at_most(field, config.len(), limits::CUSTOM_HEADERS);
    let mut headers = Vec::new();
    let mut names = HashSet::new();
    for (index, HeaderConfig { name, value }) in config.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let parsed = HeaderName::from_bytes(name.as_bytes());
        match &parsed {
            Err(_) => problems.add(format!("{field}.name"), format!("{name:?} is not a header name")),
            Ok(parsed) if FORBIDDEN.contains(parsed) => {
                problems.add(format!("{field}.name"), format!("{name:?} is set by the edge itself"));
            }
            Ok(parsed) if !names.insert(parsed.clone()) => {
                problems.add(format!("{field}.name"), format!("{name:?} is used twice"));
            }
            Ok(_) => {}
        }
        let text = HeaderValue::from_str(value).ok().filter(|_| value.len() <= limits::CONFIG_VALUE_BYTES);
        if text.is_none() {
            let message = format!("must be text without controls, of at most {} bytes", limits::CONFIG_VALUE_BYTES);
            problems.add(format!("{field}.value"), message);
        }
        headers.extend(parsed.ok().zip(text));
    }
    headers
}
