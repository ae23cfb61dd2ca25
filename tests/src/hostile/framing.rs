//! Two statements about a body, or none that all readers understand.

use super::{Case, Fate, get, post};

pub(super) fn cases() -> Vec<Case> {
    [lengths(), codings(), odd_codings(), connection_options(), versions()].concat()
}

fn lengths() -> Vec<Case> {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";
    let mut cases = vec![
        Case::refused(
            "Content-Length, then Transfer-Encoding",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{smuggled}")),
        ),
        Case::refused(
            "Transfer-Encoding, then Content-Length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ),
        Case::refused(
            "Content-Length of 0 beside Transfer-Encoding",
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        Case::refused("Content-Length twice, equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
        Case::refused(
            "Content-Length twice, first smaller (CVE-2022-28129)",
            post("Content-Length: 0\r\nContent-Length: 44\r\n", smuggled),
        ),
        Case::refused(
            "Content-Length twice in another case",
            post("content-length: 5\r\nCONTENT-LENGTH: 6\r\n", "hello"),
        ),
    ];
    let values = [
        ("Content-Length as a list", "5, 5"),
        ("Content-Length with a plus sign (CVE-2021-32715)", "+5"),
        ("Content-Length below zero", "-5"),
        ("Content-Length in hexadecimal", "0x5"),
        ("Content-Length with a space inside", "5 5"),
        ("Content-Length with a fraction", "5.0"),
        ("Content-Length in quotes", "\"5\""),
        ("Content-Length without a value", ""),
        ("Content-Length beyond signed numbers", "9223372036854775808"),
        ("Content-Length that wraps around 64 bits", "18446744073709551621"),
        ("Content-Length with letters", "5a"),
        ("Content-Length in other digits", "\u{665}"),
    ];
    cases.extend(
        values.map(|(name, value)| Case::refused(name, post(&format!("Content-Length: {value}\r\n"), "hello"))),
    );
    cases.push(Case::served(
        "Content-Length with leading zeros",
        post("Content-Length: 0005\r\n", "hello"),
        "POST /x hello",
    ));
    cases
}

fn codings() -> Vec<Case> {
    let values = [
        ("gzip before chunked", "gzip, chunked"),
        ("identity", "identity"),
        ("chunked, then identity", "chunked, identity"),
        ("chunked twice in one field", "chunked, chunked"),
        ("something like chunked", "xchunked"),
        ("chunked and more letters", "chunkedx"),
        ("chunked in quotes", "\"chunked\""),
        ("chunked with a parameter", "chunked;q=1"),
        ("chunked and a comma", "chunked,"),
        ("a comma and chunked", ",chunked"),
        ("no coding", ""),
        ("gzip alone", "gzip"),
    ];
    values
        .map(|(name, value)| Case::refused(name, post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n")))
        .to_vec()
}

fn odd_codings() -> Vec<Case> {
    vec![
        Case::refused(
            "Transfer-Encoding twice, equal",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        Case::refused(
            "Transfer-Encoding twice, identity last (CVE-2021-21299)",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        ),
        Case::refused("a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")),
        Case::refused("a form feed before chunked", post("Transfer-Encoding: \x0cchunked\r\n", "0\r\n\r\n")),
        Case::refused(
            "a space before the colon of Transfer-Encoding",
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ),
        Case::refused(
            "a tab before the colon of Transfer-Encoding",
            post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
        ),
        Case::refused("a space before Transfer-Encoding", post(" Transfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        Case::refused("Transfer-Encoding folded", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")),
        Case::refused(
            "Transfer-Encoding with an underscored twin and a length",
            post("Transfer_Encoding: chunked\r\nContent-Length : 5\r\n", "hello"),
        ),
        Case::refused("Transfer-Encoding behind a bare CR", post("X: a\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        Case::refused("Transfer-Encoding behind a bare LF", post("X: a\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        Case::refused("Content-Length behind a bare LF", get("X: a\nContent-Length: 42\r\n")),
        Case::refused("a NUL in Content-Length's name", post("Content-Length\0: 5\r\n", "hello")),
        Case::served(
            "chunked in capitals, spaces around it",
            post("TRANSFER-ENCODING: \t CHUNKED \r\n", "5\r\nhello\r\n0\r\n\r\n"),
            "POST /x hello",
        ),
    ]
}

/// Connection may not remove what frames the message (Varnish VSV10, CVE-2022-45059).
fn connection_options() -> Vec<Case> {
    vec![
        Case::served(
            "Connection names Content-Length (CVE-2022-45059)",
            post("Connection: content-length\r\nContent-Length: 5\r\n", "hello"),
            "POST /x hello",
        ),
        Case::served(
            "Connection names Transfer-Encoding",
            post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            "POST /x hello",
        ),
        Case::served("Connection names Host", get("Connection: host\r\n"), "GET /x"),
        Case::served(
            "Upgrade to h2c",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            "GET /x",
        ),
        Case::served(
            "Upgrade, and bytes before it is accepted (CVE-2026-2833)",
            get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
            "GET /x",
        ),
        Case::served(
            "Expect, and the body at once",
            post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
            "POST /x hello",
        ),
    ]
}

fn versions() -> Vec<Case> {
    let old = |fields: &str, body: &str| format!("POST /x HTTP/1.0\r\nHost: site.test\r\n{fields}\r\n{body}");
    vec![
        Case::refused(
            "HTTP/1.0 with Transfer-Encoding (CVE-2026-2835)",
            old("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        Case::new(
            "HTTP/1.0 without a length: no body until the end (CVE-2026-2835)",
            old("", "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n"),
            &[200],
            Fate::Closed,
            &["POST /x"],
        ),
        Case::served(
            "HTTP/1.0 that stays",
            old("Connection: keep-alive\r\nContent-Length: 5\r\n", "hello"),
            "POST /x hello",
        ),
    ]
}
