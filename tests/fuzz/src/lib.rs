//! What must hold for any bytes that reach the pure core of the edge.
//!
//! A target takes any bytes and panics when something does not hold. Two programs feed them: `replay.rs` plays what is in
//! `corpus/` and mutations of it, the same ones in every run; `explore.rs` looks for inputs that reach new code, for as
//! long as it is told to.
//!
//! An input begins with a few bytes that choose among configurations, printable ones in the corpus; the rest is what
//! arrives. A target must not read a clock, the environment or anything else that is not in its input.

#![allow(clippy::unwrap_used, reason = "a target fails by panicking")]

mod head;
mod http2;
mod input;
mod key;
mod path;
mod range;
mod response;
mod site;

/// Panics when something does not hold for these bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 7] = [
    ("head", head::target),
    ("response", response::target),
    ("range", range::target),
    ("key", key::target),
    ("path", path::target),
    ("http2", http2::target),
    ("frames", http2::frames),
];
