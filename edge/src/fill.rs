//! Placeholder.

/// Placeholder.
pub struct Fills;

impl Fills {
    /// Placeholder.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self
    }
}
