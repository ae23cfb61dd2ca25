//! A cluster of three zones with real nodes: what only kubelets, containers, Services and DNS can show.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
