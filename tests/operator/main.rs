//! The operator against a real API server, with nodes and kubelets played by the harness.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod bed;
mod cluster;
mod manifests;
mod quiet;
mod reconcile;
mod rights;
