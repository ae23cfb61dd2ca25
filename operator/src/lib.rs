//! The Proxima operator.

pub mod distribution;
