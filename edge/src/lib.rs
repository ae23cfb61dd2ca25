//! The Proxima edge: sockets, store, origins and control port around `proxima-edge-core`, which decides.
//!
//! Modules in the order in which a request meets them: [`server`] accepts and reads, [`handle`] is the straight line,
//! [`plan_source`] says what is configured, [`store`] looks up, [`invalidations`] says what counts no more, [`fill`] and [`origin`] fetch, [`body`] streams, [`held`] bounds what is held for those who are slow,
//! [`log`] and [`metrics`] record. Beside the line: [`control`] takes configurations from the operator, [`admin`]
//! answers probes and scrapes.
//!
//! One thread for each core, each with a runtime, a listener and origin connections of its own; store and fills are
//! shared. Control and admin run on the main thread, so that no viewer waits for them.

pub mod args;
pub mod edge;

pub mod server;

pub mod handle;

pub mod plan_source;

pub mod invalidations;
pub mod store;

pub mod fill;

pub mod origin;

pub mod body;
pub mod held;

pub mod log;
pub mod metrics;

pub mod admin;
pub mod clock;
pub mod control;

#[cfg(test)]
mod fixture;
mod process;

pub use process::{run, start_with_clock};
