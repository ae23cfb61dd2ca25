//! A program for pods: a server that counts what it is asked, and a client that asks others.
//!
//! `serve ADDRESS` answers every GET with 200, storable for an hour, and its path as the body. `/stats` is not counted and
//! not storable: `{"requests": N, "paths": {PATH: N}}`. `get URL [TIMES]` prints an answer a line, as JSON.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    reason = "a program for tests: it prints answers, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proxima_tests::http1::Wire;
use proxima_tests::viewer::Viewer;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address] => serve(address).await,
        ["get", url] => get(url, 1).await,
        ["get", url, times] => get(url, times.parse().expect("a number of times")).await,
        _ => panic!("serve ADDRESS, or get URL [TIMES]; not {arguments:?}"),
    }
}

/// Serves until it is told to stop: as the first process of a container it would otherwise not hear of it.
async fn serve(address: &str) {
    let listener = TcpListener::bind(address).await.expect("the address is free");
    let mut stop = signal(SignalKind::terminate()).expect("signals can be awaited");
    let counts = Counts::default();
    loop {
        tokio::select! {
            _ = stop.recv() => return,
            accepted = listener.accept() => {
                if let Ok((tcp, _)) = accepted {
                    tokio::spawn(answer_all(Wire::new(tcp), Arc::clone(&counts)));
                }
            }
        }
    }
}

async fn answer_all(mut wire: Wire, counts: Counts) {
    while let Some(head) = wire.head().await {
        wire.body(head.request_framing()).await;
        let (storable, body) = answer(head.target(), &counts);
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: {storable}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if !wire.write(text).await {
            return;
        }
    }
}

fn answer(target: &str, counts: &Counts) -> (&'static str, String) {
    let mut counts = counts.lock().expect("nobody panics while counting");
    if target == "/stats" {
        return ("no-store", json!({"requests": counts.values().sum::<u64>(), "paths": *counts}).to_string());
    }
    *counts.entry(target.to_owned()).or_default() += 1;
    ("max-age=3600", target.to_owned())
}

async fn get(url: &str, times: usize) {
    let rest = url.strip_prefix("http://").expect("a URL with http://");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    for _ in 0..times {
        let address = tokio::net::lookup_host(&named).await.expect("the name is known").next();
        let mut viewer = Viewer::connect(address.expect("the name has an address")).await;
        viewer.send(format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")).await;
        let answer = viewer.response("GET").await;
        println!("{}", json!({"status": answer.status(), "fields": answer.head.fields, "body": answer.text()}));
    }
}
