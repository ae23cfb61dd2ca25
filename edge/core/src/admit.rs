//! Step 4, admit: may this viewer ask this at all?

use crate::request::{Refusal, ViewerRequest};
use crate::route::Route;

impl Route {
    /// Viewer protocol policy and allowed methods (CloudFront: "Viewer protocol policy", "Allowed HTTP methods").
    pub fn admit(&self, request: &ViewerRequest) -> Result<(), Refusal> {
        let _ = request;
        todo!()
    }
}
