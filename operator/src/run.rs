//! Cluster mode: the same stages as locally, with the API server in place of files and Deployments in place of
//! processes.

pub mod admin;
pub mod client;
pub mod events;
pub mod hub;
pub mod metrics;
pub mod pods;
pub mod secrets;
pub mod term;

#[cfg(test)]
mod script;
