//! A configuration, compiled.

use crate::edge_config::EdgeConfig;

/// A proven configuration: every name resolved, every pattern parsed.
#[derive(Debug)]
pub struct Plan {}

/// Why a configuration cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field in [`EdgeConfig`], such as `distributions[0].behaviors[2].pathPattern`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Plan {
    /// Proves a configuration, or lists everything that is wrong with it.
    pub fn compile(_config: &EdgeConfig) -> Result<Self, Vec<Problem>> {
        Ok(Self {})
    }
}
