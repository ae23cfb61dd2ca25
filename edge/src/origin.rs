//! Placeholder.
use std::sync::Arc;

use crate::edge::Edge;

/// Placeholder.
pub struct Origins;

impl Origins {
    /// Placeholder.
    pub fn new(_edge: &Arc<Edge>) -> Self {
        Self
    }
}
