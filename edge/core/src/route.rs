//! Step 3, match: which distribution and which behaviour answer a request.

use std::sync::Arc;

use http::Method;

use crate::outcome::Reason;
use crate::path_pattern;
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
        let Some(distribution) = self.hosts.find(&request.host) else {
            return Err(Refusal::new(Reason::HostUnknown, "nothing is served here under this Host"));
        };
        if !distribution.enabled {
            return Err(Refusal::new(Reason::DistributionDisabled, "this distribution is disabled"));
        }
        let path = path_pattern::normalise(request.path());
        let matches = |behavior: &&Arc<Behavior>| {
            behavior.path_pattern.as_ref().is_some_and(|pattern| pattern.matches_normalised(&path))
        };
        let behavior = distribution.behaviors.iter().find(matches).unwrap_or(&distribution.default_behavior);
        Ok(Route { distribution: Arc::clone(distribution), behavior: Arc::clone(behavior) })
    }
}

impl Route {
    /// The raw path that key and origin see: the default root object in place of exactly `/`, for GET and HEAD
    /// (CloudFront: "Specify a default root object"; it does not apply to subfolders).
    pub(crate) fn effective_path<'a>(&'a self, request: &'a ViewerRequest) -> &'a str {
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        match &self.distribution.default_root_object {
            Some(object) if reads && request.path() == "/" => object,
            _ => request.path(),
        }
    }
}

#[cfg(test)]
mod tests;
