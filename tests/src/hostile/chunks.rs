//! Chunked bodies: where a chunk ends, and where the body does.

use super::{Case, post};

pub(super) fn cases() -> Vec<Case> {
    [sizes(), ends(), extensions(), trailers()].concat()
}

fn chunked(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn sizes() -> Vec<Case> {
    let sizes = [
        ("a chunk size with a space behind it", "5 "),
        ("a chunk size with a space before it", " 5"),
        ("a chunk size with a tab behind it", "5\t"),
        ("a chunk size with 0x", "0x5"),
        ("a chunk size with a plus sign", "+5"),
        ("a chunk size below zero", "-5"),
        ("a chunk size with an underscore", "0_5"),
        ("a chunk size of no digit", ""),
        ("a chunk size that is no digit", "g"),
        ("a chunk size beyond signed numbers", "8000000000000000"),
        ("a chunk size that wraps around 64 bits (CVE-2021-32714)", "10000000000000005"),
        ("a chunk size of many zeros", "00000000000000005"),
    ];
    sizes.map(|(name, size)| Case::body_refused(name, chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")))).to_vec()
}

fn ends() -> Vec<Case> {
    vec![
        Case::body_refused("LF ends a chunk's size", chunked("5\nhello\r\n0\r\n\r\n")),
        Case::body_refused("CR ends a chunk's size", chunked("5\rhello\r\n0\r\n\r\n")),
        Case::body_refused(
            "nothing between a chunk and the next size (CVE-2025-47905)",
            chunked("5\r\nhello0\r\n\r\n"),
        ),
        Case::body_refused("two other bytes behind a chunk (CVE-2025-47905)", chunked("5\r\nhelloXX0\r\n\r\n")),
        Case::body_refused("LF behind a chunk (CVE-2024-53868)", chunked("5\r\nhello\n0\r\n\r\n")),
        Case::body_refused("CR behind a chunk", chunked("5\r\nhello\r0\r\n\r\n")),
        Case::body_refused("a chunk longer than its size", chunked("5\r\nhello, world\r\n0\r\n\r\n")),
        Case::body_refused("LF ends the last chunk's size", chunked("5\r\nhello\r\n0\n\r\n")),
        Case::body_refused("LF ends the body", chunked("5\r\nhello\r\n0\r\n\n")),
        Case::body_refused("CR ends the body", chunked("5\r\nhello\r\n0\r\n\rX")),
        Case::served("a body that looks like its end", chunked("5\r\n0\r\n\r\n\r\n00\r\n\r\n"), "POST /x 0"),
        Case::served("capital digits", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "POST /x 0123456789"),
    ]
}

fn extensions() -> Vec<Case> {
    let long = "x".repeat(300);
    vec![
        Case::served("a chunk extension", chunked("5;name=\"a b\"\r\nhello\r\n0;last\r\n\r\n"), "POST /x hello"),
        Case::body_refused("a chunk extension with LF (CVE-2024-35161)", chunked("5;x\nhello\r\n0\r\n\r\n")),
        Case::body_refused("a chunk extension with CR", chunked("5;x\ry\r\nhello\r\n0\r\n\r\n")),
        Case::body_refused("a chunk extension with NUL", chunked("5;\0\r\nhello\r\n0\r\n\r\n")),
        Case::body_refused("a chunk extension that is not ASCII", chunked("5;\u{e9}\r\nhello\r\n0\r\n\r\n")),
        Case::body_refused("a space before a chunk extension", chunked("5 ;x\r\nhello\r\n0\r\n\r\n")),
        Case::body_refused("chunk extensions that are too long", chunked(&format!("5;{long}\r\nhello\r\n0\r\n\r\n"))),
    ]
}

fn trailers() -> Vec<Case> {
    vec![
        Case::served(
            "a trailer that states a length (CVE-2024-53868)",
            chunked("5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "POST /x hello",
        ),
        Case::body_refused("a trailer with LF", chunked("5\r\nhello\r\n0\r\nX: y\n\r\n")),
        Case::body_refused("a folded trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n")),
        Case::body_refused("a trailer with a space before the colon", chunked("5\r\nhello\r\n0\r\nX : y\r\n\r\n")),
        Case::body_refused("a trailer with NUL", chunked("5\r\nhello\r\n0\r\nX: \0\r\n\r\n")),
        Case::body_refused("a trailer without a colon", chunked("5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n")),
    ]
}
