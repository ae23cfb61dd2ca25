use serde_json::{Value, json};

use super::*;
use crate::fixture::NOON;

fn record() -> AccessRecord {
    AccessRecord {
        at: NOON.plus(Duration::from_millis(7)),
        request_id: "id-1".to_owned(),
        peer: "[::ffff:192.0.2.7]:5000".parse().unwrap(),
        scheme: Scheme::Http,
        version: Version::HTTP_11,
        method: Method::GET,
        host: "shop.example.com".to_owned(),
        path: "/a".to_owned(),
        query: None,
        user_agent: None,
        referer: None,
        distribution: None,
        behavior: None,
        status: None,
        reason: Reason::ViewerAborted,
        not_stored: None,
        detail: None,
        content_type: None,
        body_bytes: 0,
        request_body_bytes: 0,
        time_to_first_byte: None,
        time_taken: Duration::from_millis(1_500),
        origin_first_byte: None,
        aborted: true,
    }
}

fn check(record: &AccessRecord, expected: Value) {
    let line = record.to_json("a", "edge-1");
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
}

#[test]
fn what_is_not_known_has_no_field() {
    check(
        &record(),
        json!({
            "time": "2026-11-22T12:00:00.007Z", "request_id": "id-1", "edge": "edge-1", "zone": "a",
            "client_ip": "192.0.2.7", "client_port": 5000, "scheme": "http", "protocol": "HTTP/1.1", "method": "GET",
            "host": "shop.example.com", "uri_stem": "/a", "result_type": "Error",
            "detailed_result_type": "ClientCommError", "reason": "ViewerAborted", "bytes": 0, "request_bytes": 0, "time_taken": 1.5, "aborted": true,
        }),
    );
}

#[test]
fn everything_known_is_said() {
    let record = AccessRecord {
        scheme: Scheme::Https,
        version: Version::HTTP_2,
        query: Some("x=\"1\"\n".to_owned()),
        user_agent: Some("curl".to_owned()),
        referer: Some("https://a.example/".to_owned()),
        distribution: Some("web/shop".to_owned()),
        behavior: Some("Default (*)".to_owned()),
        status: Some(StatusCode::OK),
        reason: Reason::Miss,
        not_stored: Some(NotStored::SetCookie),
        detail: Some("more".to_owned()),
        content_type: Some("text/html".to_owned()),
        body_bytes: 7,
        request_body_bytes: 8,
        time_to_first_byte: Some(Duration::from_millis(250)),
        origin_first_byte: Some(Duration::from_millis(125)),
        aborted: false,
        ..record()
    };
    check(
        &record,
        json!({
            "time": "2026-11-22T12:00:00.007Z", "request_id": "id-1", "edge": "edge-1", "zone": "a",
            "client_ip": "192.0.2.7", "client_port": 5000, "scheme": "https", "protocol": "HTTP/2.0", "method": "GET",
            "host": "shop.example.com", "uri_stem": "/a", "uri_query": "x=\"1\"\n", "user_agent": "curl",
            "referer": "https://a.example/", "distribution": "web/shop", "behavior": "Default (*)", "status": 200,
            "result_type": "Miss", "detailed_result_type": "Miss", "reason": "Miss", "not_stored": "SetCookie", "detail": "more",
            "content_type": "text/html", "bytes": 7, "request_bytes": 8, "time_to_first_byte": 0.25,
            "time_taken": 1.5, "origin_first_byte": 0.125, "aborted": false,
        }),
    );
}

#[test]
fn long_values_are_cut_between_characters() {
    let long = format!("{}\u{e4}{}", "a".repeat(2_047), "b".repeat(5_000));
    let record =
        AccessRecord { path: long.clone(), query: Some("q".repeat(2_049)), user_agent: Some(long), ..record() };
    let line: Value = serde_json::from_str(&record.to_json("a", "edge-1")).unwrap();
    assert_eq!(line["uri_stem"].as_str().unwrap().len(), 2_047);
    assert_eq!(line["uri_query"].as_str().unwrap().len(), 2_048);
    assert_eq!(line["user_agent"].as_str().unwrap().len(), 2_047);
}

#[test]
fn time_has_milliseconds_even_at_the_ends() {
    assert_eq!(time(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
    assert!(time(Timestamp::from_millis(u64::MAX)).starts_with("9999-12-3"));
}
