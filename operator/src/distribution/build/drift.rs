//! Whether a live object is what would be applied, so that nothing is written when nothing changed.

use serde_json::Value;

/// Whether applying `desired` would change nothing that matters about `live`.
pub fn is_current(desired: &Value, live: &Value) -> bool {
    desired == live
}
