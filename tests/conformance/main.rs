//! Whether the edge is a correct HTTP cache: the public test suite for HTTP caches, and cases of our own.
//!
//! | Module | What it does |
//! |---|---|
//! | [`public`] | runs the public suite against an edge process and compares with what is on record |
//! | [`cases`] | reads and checks `tests/cases/AREA/BEHAVIOUR.yaml` |
//! | [`edge`] | plays a case on a running edge whose clock the case moves |

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows tables"
)]

mod cases;
mod edge;
mod public;
