//! Whether the edge is a correct HTTP cache: the public test suite for HTTP caches, and cases of our own.
//!
//! | Module | What it does |
//! |---|---|
//! | [`public`] | runs the public suite against an edge process and compares with what is on record |
//! | [`cases`] | reads and checks `tests/cases/AREA/BEHAVIOUR.yaml` |
//! | [`compare`] | what a case expects against what came |
//! | [`pure`] | plays a case on the pure core |
//! | [`edge`] | plays a case on a running edge whose clock the case moves |

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows tables"
)]

use proxima_edge_core::timestamp::Timestamp;

mod cases;
mod compare;
mod edge;
mod public;
mod pure;

/// When every case begins: 1 January 2026, noon.
const START: Timestamp = Timestamp::from_millis(1_767_268_800_000);
