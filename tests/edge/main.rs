//! A real edge process against scripted origins and viewers.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod behaviors;
mod coalescing;
mod control;
mod hostile;
mod interim;
mod invalidation;
mod lifecycle;
mod limits;
mod memory;
mod origin_faults;
mod origins;
mod pass_through;
mod ranges;
mod refusals;
mod regressions;
mod requests;
mod revalidation;
mod selection;
mod stale;
mod store;
mod streaming;
