//! Requests that are framed well and mean what the edge will not do.

use super::{Case, Fate, get, post};

pub(super) fn cases() -> Vec<Case> {
    [hosts(), targets(), paths(), methods(), sizes()].concat()
}

fn hosts() -> Vec<Case> {
    let heads = [
        ("no Host", "GET /x HTTP/1.1\r\n\r\n"),
        ("Host twice, equal", "GET /x HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n"),
        ("Host twice, different", "GET /x HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
        ("Host with a user", "GET /x HTTP/1.1\r\nHost: user@a.test\r\n\r\n"),
        ("Host with a path", "GET /x HTTP/1.1\r\nHost: a.test/y\r\n\r\n"),
        ("Host without a value", "GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
        ("Host as a list", "GET /x HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n"),
        ("Host with a bad port", "GET /x HTTP/1.1\r\nHost: a.test:x\r\n\r\n"),
        ("Host that some read as an address", "GET /x HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n"),
        ("absolute form with another Host", "GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n"),
        ("absolute form with a user", "GET http://user@a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ("absolute form without Host", "GET http://a.test/x HTTP/1.1\r\n\r\n"),
        ("absolute form of another protocol", "GET ftp://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ];
    heads.map(|(name, head)| Case::refused(name, head)).to_vec()
}

fn targets() -> Vec<Case> {
    vec![
        Case::served("absolute form that agrees", "GET http://a.test/x HTTP/1.1\r\nHost: A.test\r\n\r\n", "GET /x"),
        Case::new("* with GET", "GET * HTTP/1.1\r\nHost: site.test\r\n\r\n", &[400], Fate::Open, &[]),
        Case::served(
            "a query that looks like a path",
            "GET /x?/../y HTTP/1.1\r\nHost: site.test\r\n\r\n",
            "GET /x?/../y",
        ),
        Case::served("slashes twice", "GET //x//y HTTP/1.1\r\nHost: site.test\r\n\r\n", "GET //x//y"),
    ]
}

fn paths() -> Vec<Case> {
    let paths = [
        ("dot segments", "/a/../x"),
        ("one dot", "/a/./x"),
        ("dots at the end", "/a/.."),
        ("encoded dots", "/a/%2e%2e/x"),
        ("half encoded dots", "/a/.%2E/x"),
        ("dots between encoded slashes", "/a%2f..%2fx"),
        ("a backslash", "/a\\x"),
        ("an encoded backslash", "/a%5cx"),
        ("an encoded NUL", "/a%00x"),
        ("an encoded line end", "/a%0d%0aX: y"),
        ("an encoded DEL", "/a%7fx"),
        ("a percent sign that encodes nothing", "/a%zzx"),
        ("half a percent encoding", "/a%4"),
    ];
    let request = |path: &str| format!("GET {} HTTP/1.1\r\nHost: site.test\r\n\r\n", path.replace(' ', "%20"));
    paths.map(|(name, path)| Case::new(name, request(path), &[400], Fate::Open, &[])).to_vec()
}

fn methods() -> Vec<Case> {
    let refused = |name, bytes: Vec<u8>| Case::new(name, bytes, &[403], Fate::Closed, &[]);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len());
    vec![
        refused("GET with a body (CVE-2025-4366)", [get(&length), smuggled.into()].concat()),
        refused(
            "GET with a chunked body (CVE-2020-35863)",
            [get("Transfer-Encoding: chunked\r\n"), b"5\r\nhello\r\n0\r\n\r\n".to_vec()].concat(),
        ),
        refused("HEAD with a body", b"HEAD /x HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        refused("CONNECT", b"CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n".to_vec()),
        refused("TRACE", b"TRACE /x HTTP/1.1\r\nHost: site.test\r\n\r\n".to_vec()),
        Case::served(
            "a POST with a request for a body",
            post(&length, smuggled),
            &format!("POST /x {}", smuggled.trim_end()),
        ),
    ]
}

fn sizes() -> Vec<Case> {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: site.test\r\n\r\n", "x".repeat(length - 1));
    vec![
        Case::new("a target of 8193 bytes", target(8_193), &[414], Fate::Open, &[]),
        Case::new("a head beyond 32768 bytes", get(&format!("X: {}\r\n", "x".repeat(32_768))), &[494], Fate::Open, &[]),
        Case::new("a head beyond 64 KiB", get(&format!("X: {}\r\n", "x".repeat(70_000))), &[494], Fate::Closed, &[]),
        Case::new("101 fields", get(&"X: y\r\n".repeat(100)), &[494], Fate::Closed, &[]),
    ]
}
