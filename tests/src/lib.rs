//! Harness of the cross-crate suites: real processes on loopback, and peers whose every step a test decides.
//!
//! | Piece | What it is |
//! |---|---|
//! | [`Origin`] | an HTTP/1.1 server in plain bytes: a test answers each request as it likes, also wrongly |
//! | [`Gate`] | a barrier that a test opens; it also counts who waits |
//! | [`Viewer`] | one viewer connection in plain bytes, for odd requests and half-read answers |
//! | [`Edge`] | a `proxima-edge` process, `serve` or `run`, with its metrics, log lines and memory |
//! | [`Link`], [`Keys`] | the operator's side of the control port |
//! | [`Local`] | a `proxima-operator local` process and the edges that it reports |
//! | [`ControlPlane`], [`Operator`], [`PlayedKubelet`] | a real Kubernetes API, a `proxima-operator run`, and a stand-in for kubelets |
//! | [`Cluster`] | a real Kubernetes with a node in each of three zones |
//! | [`wait_until`] | waits for a condition and says what it last saw |
//!
//! Every port comes from the operating system. Every process dies with the test that started it, also when that test
//! panics or is killed. No wait is unbounded, and none has a length that a test relies on.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a harness has nobody to return an error to: the test that uses it fails by panicking"
)]

pub mod bed;
pub mod config;
pub mod edge;
pub mod gate;
pub mod h2c;
pub mod h2raw;
pub mod hostile;
pub mod http1;
pub mod link;
pub mod local;
pub mod metrics;
pub mod origin;
pub mod process;
pub mod tls;
pub mod viewer;
pub mod wait;

pub use bed::{Access, Cluster, ControlPlane, Operator, PlayedKubelet};
pub use edge::Edge;
pub use gate::Gate;
pub use http1::{Body, Head};
pub use link::{Keys, Link};
pub use local::Local;
pub use metrics::Metrics;
pub use origin::{Exchange, Origin, Reply};
pub use tls::{Authority, TlsOrigin};
pub use viewer::{Response, Viewer, get};
pub use wait::{PATIENCE, wait_until};
