//! Which distribution answers to a Host: one hash lookup for an exact name.

use std::collections::HashMap;
use std::sync::Arc;

use super::Distribution;

/// Names of all distributions, compiled.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Exact names: aliases and names of Services.
    pub(super) exact: HashMap<String, Arc<Distribution>>,
    /// `*.example.com` under `example.com`.
    pub(super) wildcards: HashMap<String, Arc<Distribution>>,
    /// `shop-edge-*.web.svc` as what stands before and after the rest of the first label: names of Services, a family each.
    pub(super) families: Vec<(String, String, Arc<Distribution>)>,
    /// The one distribution without aliases, which answers to every other Host.
    pub(super) any: Option<Arc<Distribution>>,
}

impl Hosts {
    /// The distribution for a host in the form of [`host_name`](crate::request::host_name). The most specific wins: an
    /// exact name, then the longest wildcard, then a family of Services, then the distribution without aliases.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Distribution>> {
        if let Some(distribution) = self.exact.get(host) {
            return Some(distribution);
        }
        if !self.wildcards.is_empty() {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(distribution) = self.wildcards.get(suffix) {
                    return Some(distribution);
                }
                rest = suffix;
            }
        }
        let is_of = |(before, after, _): &&(String, String, Arc<Distribution>)| {
            let inside = host.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
            inside.is_some_and(|inside| !inside.is_empty() && !inside.contains('.'))
        };
        let family = self.families.iter().find(is_of).map(|(_, _, distribution)| distribution);
        family.or(self.any.as_ref())
    }
}
