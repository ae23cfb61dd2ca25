//! A cluster of three zones with real nodes: what only kubelets, containers, Services and DNS can show.
//!
//! Each scenario prints how long its steps take; none asserts it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and these print times"
)]

mod bed;
mod examples;
mod live_changes;
mod mistakes;
mod operator_down;
mod release;
mod serving;
mod site;
mod upgrade;
