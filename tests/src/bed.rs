//! A real Kubernetes for the suites: its control plane alone, or with nodes.
//!
//! The programs come from `tests/kube/build`, and scripts in `tests/kube` run them, so that a person gets by hand what a
//! test gets. This module starts such a script, ends it, and talks to the API server. It must not leave anything behind:
//! a script ends with its standard input, hence with the test process, however that ends.

pub mod access;
pub mod audit;
pub mod cluster;
pub mod control_plane;
pub mod node;
pub mod operator;
pub mod played_kubelet;
mod supervisor;
mod turn;

pub use access::{Access, Ran};
pub use audit::{AuditEvent, AuditMark};
pub use cluster::{Cluster, image_archives};
pub use control_plane::ControlPlane;
pub use operator::Operator;
pub use played_kubelet::{Play, PlayedKubelet, PlayedPod};
pub use supervisor::Holder;
pub use turn::Turn;
