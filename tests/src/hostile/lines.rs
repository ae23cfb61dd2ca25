//! Lines that readers end or divide in different places.

use super::{Case, Fate, get};

pub(super) fn cases() -> Vec<Case> {
    [ends(), fields(), request_lines(), versions(), beginnings()].concat()
}

fn ends() -> Vec<Case> {
    vec![
        Case::refused("a bare LF ends the request line", "GET /x HTTP/1.1\nHost: site.test\r\n\r\n"),
        Case::refused("a bare LF ends a field", "GET /x HTTP/1.1\r\nHost: site.test\n\r\n"),
        Case::refused("a bare LF ends the head", "GET /x HTTP/1.1\r\nHost: site.test\r\n\n"),
        Case::refused("bare LF everywhere", "GET /x HTTP/1.1\nHost: site.test\n\n"),
        Case::refused("a bare CR ends a field", "GET /x HTTP/1.1\r\nX: a\rHost: site.test\r\n\r\n"),
        Case::refused("a bare CR ends the request line", "GET /x HTTP/1.1\rHost: site.test\r\n\r\n"),
        Case::refused("CR twice before LF", get("X: a\r\r\n")),
        Case::refused("a field of one CR", get("\r\r\n")),
        Case::new(
            "a bare LF in the second of two requests",
            "GET /first HTTP/1.1\r\nHost: site.test\r\n\r\nGET /x HTTP/1.1\nHost: site.test\r\n\r\n",
            &[200, 400],
            Fate::Closed,
            &["GET /first"],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let lines = [
        ("a folded field", "X: a\r\n b\r\n"),
        ("a folded field, with a tab", "X: a\r\n\tb\r\n"),
        ("a space before a colon", "X : a\r\n"),
        ("a space within a name", "X Y: a\r\n"),
        ("a line without a colon", "X\r\n"),
        ("a field without a name", ": a\r\n"),
        ("a name with parentheses", "X(y): a\r\n"),
        ("a name with a semicolon", "X;y: a\r\n"),
        ("a name that is not ASCII", "\u{e9}: a\r\n"),
        ("a NUL in a name", "X\0Y: a\r\n"),
        ("a NUL in a value", "X: a\0b\r\n"),
        ("a control in a value", "X: a\x01b\r\n"),
        ("DEL in a value", "X: a\x7fb\r\n"),
        ("an escape in a value", "X: \x1b[2J\r\n"),
    ];
    lines.map(|(name, fields)| Case::refused(name, get(fields))).to_vec()
}

fn request_lines() -> Vec<Case> {
    let lines = [
        ("a fragment", "GET /x#y HTTP/1.1"),
        ("a fragment that hides a path", "GET /x#/../admin HTTP/1.1"),
        ("two spaces before the target (CVE-2021-44040)", "GET  /x HTTP/1.1"),
        ("two spaces behind the target", "GET /x  HTTP/1.1"),
        ("a space within the target", "GET /x y HTTP/1.1"),
        ("a tab for a space", "GET\t/x\tHTTP/1.1"),
        ("a space behind the version", "GET /x HTTP/1.1 "),
        ("a space before the method", " GET /x HTTP/1.1"),
        ("no method", " /x HTTP/1.1"),
        ("a method with a colon", "GE:T /x HTTP/1.1"),
        ("a NUL in the target", "GET /x\0y HTTP/1.1"),
        ("a control in the target", "GET /x\x01y HTTP/1.1"),
        ("DEL in the target", "GET /x\x7fy HTTP/1.1"),
        ("a target that is only a name", "GET site.test HTTP/1.1"),
        ("a target that begins with a query", "GET ?x HTTP/1.1"),
    ];
    lines.map(|(name, line)| Case::refused(name, format!("{line}\r\nHost: site.test\r\n\r\n"))).to_vec()
}

fn versions() -> Vec<Case> {
    let lines = [
        ("HTTP/0.9", "GET /x"),
        ("no version but a space", "GET /x "),
        ("HTTP/1.2", "GET /x HTTP/1.2"),
        ("HTTP/1.10", "GET /x HTTP/1.10"),
        ("HTTP/01.1", "GET /x HTTP/01.1"),
        ("HTTP/2.0", "GET /x HTTP/2.0"),
        ("http in lower case", "GET /x http/1.1"),
        ("another protocol", "GET /x ICY/1.1"),
    ];
    lines.map(|(name, line)| Case::refused(name, format!("{line}\r\nHost: site.test\r\n\r\n"))).to_vec()
}

fn beginnings() -> Vec<Case> {
    vec![
        Case::served("one empty line first", "\r\nGET /x HTTP/1.1\r\nHost: site.test\r\n\r\n", "GET /x"),
        Case::refused("two empty lines first", "\r\n\r\nGET /x HTTP/1.1\r\nHost: site.test\r\n\r\n"),
        Case::refused("an empty line of LF first", "\nGET /x HTTP/1.1\r\nHost: site.test\r\n\r\n"),
        Case::refused("a NUL first", "\0GET /x HTTP/1.1\r\nHost: site.test\r\n\r\n"),
        Case::refused("a TLS ClientHello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n".to_vec()),
        Case::refused("a line of the PROXY protocol", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
        Case::new(
            "HTTP/2's preface behind a request",
            [&get("")[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].concat(),
            &[200, 400],
            Fate::Closed,
            &["GET /x"],
        ),
    ]
}
