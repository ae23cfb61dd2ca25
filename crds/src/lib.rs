//! What users of Proxima write: the kinds of the API group `proxima.dev`.
//!
//! ```text
//!   Distribution (v1alpha1)
//!     ├─ spec.origins[]               where content comes from:  http | service
//!     ├─ spec.defaultCacheBehavior    how requests are answered ─┐
//!     ├─ spec.cacheBehaviors[]        … by path pattern ─────────┴─▶ targetOrigin, cachePolicy: managed | inline
//!     ├─ spec.zones[], spec.edge      where edges run and how large they are
//!     └─ status                       conditions, revision, edges and zones
//! ```
//!
//! This crate owns the types, their schema with every rule that concerns one object alone, and the vocabulary of
//! conditions. It judges nothing across objects and knows nothing of edges: that is the operator's work. What
//! [`yaml`] returns is committed in `crds/yaml`, and as templates in `charts/proxima-crds`;
//! `cargo run -p proxima-crds --example generate` writes both anew.

#![deny(missing_docs)]
// kube's `KubeSchema` writes a copy of every type inside a function body, with the type's own visibility.
#![allow(unreachable_pub)]

pub mod conditions;
pub mod scalars;
pub mod v1alpha1;

mod generate;

pub use generate::{all, chart_files, files, yaml};
