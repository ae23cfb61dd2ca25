//! The Proxima operator.
pub mod args;
pub mod backoff;
pub mod clock;
pub mod distribution;
pub mod limits;
pub mod link;
pub mod local;
