//! A real edge process against scripted origins and viewers.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod coalescing;
mod control;
mod origin_faults;
mod origins;
mod protocol;
mod store;
mod streaming;
