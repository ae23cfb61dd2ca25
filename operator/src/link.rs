//! The operator's side of the control link: one held connection to every edge.
//!
//! **Flow.** [`Edges`] keeps a task per target. The task connects, proves itself with the operator's client key, checks
//! the edge's server key by its pin, and then keeps the edge at the configuration that is wanted: it pushes on every
//! change, pings while nothing changes, and pushes again whenever an answer shows something else.
//!
//! **Guarantees.** Tasks share nothing but the wanted configuration, so a slow edge delays no other. Only the newest
//! wanted configuration waits to be sent; those between are skipped. What an edge answered is reported with the
//! incarnation of the target it came from, so that an answer of a dead process is never taken for its successor's.
//!
//! Must not decide what is wanted, nor judge what the answers mean for a Distribution.

pub mod connection;
pub mod edges;
pub mod keys;

pub use connection::{Answer, LinkError, Report, Target, Timings};
pub use edges::Edges;
pub use keys::Keys;

#[cfg(test)]
pub(crate) mod fake_edge;
#[cfg(test)]
mod tests;
