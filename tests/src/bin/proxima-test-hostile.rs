//! Sends the table of hostile requests to a server and prints what came of each, beside what Proxima's edge makes of it.
//!
//! `nginx BINARY` starts that nginx as a plain reverse proxy in front of a recording origin, in a folder of its own.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a program for tests: it prints a table, and fails by panicking"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use proxima_tests::hostile::{Case, Fate, Outcome, Recording, cases, observe};
use proxima_tests::{get, wait_until};
use tokio::net::TcpStream;

/// How long nginx may take to answer or to end a connection.
const PATIENCE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["nginx", binary] => compare(binary).await,
        _ => panic!("nginx BINARY; not {arguments:?}"),
    }
}

async fn compare(binary: &str) {
    let origin = Recording::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut nginx, address) = start(binary, folder.path(), origin.origin.address).await;
    assert_eq!(get(address, "/canary").await.status(), 200);
    origin.take();
    let mut different = 0;
    println!("| input | Proxima | nginx |\n|---|---|---|");
    let cases = cases();
    for case in &cases {
        let seen = observe(address, &origin, &case.bytes, PATIENCE).await;
        different += usize::from(seen != case.expected);
        print_row(case, &seen);
    }
    println!("\n{} inputs, {different} with another outcome", cases.len());
    nginx.kill().unwrap();
    nginx.wait().unwrap();
}

fn print_row(case: &Case, seen: &Outcome) {
    let same = if *seen == case.expected { "the same".to_owned() } else { describe(seen) };
    println!("| {} | {} | {same} |", case.name, describe(&case.expected));
}

/// Statuses, the connection's fate, and what the origin saw.
fn describe(outcome: &Outcome) -> String {
    let statuses: Vec<_> = outcome.statuses.iter().map(u16::to_string).collect();
    let fate = match outcome.fate {
        Fate::Open => "goes on",
        Fate::Closed => "ends",
        Fate::Hangs => "waits",
    };
    let origin: Vec<_> = outcome.origin.iter().map(|request| shown(request)).collect();
    let origin = if origin.is_empty() { "nothing".to_owned() } else { origin.join(", ") };
    let statuses = if statuses.is_empty() { "no answer".to_owned() } else { statuses.join(" ") };
    format!("{statuses}, {fate}; origin: {origin}")
}

fn shown(request: &str) -> String {
    let text: String = request.chars().take(60).collect::<String>().escape_default().collect();
    format!("`{}`", text.replace('|', "\\|"))
}

async fn start(binary: &str, folder: &Path, origin: SocketAddr) -> (Child, SocketAddr) {
    // Asked for and let go: nginx cannot tell which port it was given.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log error.log;
events {{ }}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen {address};
        location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
    }}
}}
"
    );
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let child = Command::new(binary)
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .spawn()
        .unwrap_or_else(|error| panic!("starting {binary}: {error}"));
    wait_until("nginx listens", async || {
        TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    (child, address)
}
