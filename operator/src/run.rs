//! Cluster mode: the same stages as locally, with the API server in place of files and Deployments in place of
//! processes.

pub mod pods;
