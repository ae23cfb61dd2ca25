//! Step 3, match: which distribution and which behaviour answer a request.

use std::sync::Arc;

use crate::plan::{Behavior, Distribution, Plan};
use crate::request::{Refusal, ViewerRequest};

/// The distribution and behaviour that answer a request. Cheap to clone; keeps the plan it came from alive.
#[derive(Clone, Debug)]
pub struct Route {
    /// Whose configuration applies.
    pub distribution: Arc<Distribution>,
    /// The behaviour whose pattern matched first, or the default one.
    pub behavior: Arc<Behavior>,
}

impl Plan {
    /// Finds the distribution by Host and the behaviour by path.
    pub fn route(&self, request: &ViewerRequest) -> Result<Route, Refusal> {
        let _ = request;
        todo!()
    }
}
