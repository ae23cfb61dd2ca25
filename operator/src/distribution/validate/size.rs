//! Whether the configuration fits where it has to go.

use proxima_crds::conditions::Reason;
use proxima_edge_core::edge_config::EdgeConfig;
use serde::Serialize;

use crate::distribution::schema::Fault;
use crate::limits;

/// What is wrong with the size of a configuration: how large it is, and what makes it so.
pub(super) fn check(config: &EdgeConfig) -> Option<Fault> {
    let size = json_bytes(config);
    if size <= limits::CONFIG_BYTES {
        return None;
    }
    let distributions = || config.distributions.iter();
    let behaviors: usize = distributions().map(|distribution| distribution.behaviors.len()).sum();
    let behavior_bytes: usize = distributions().map(|distribution| json_bytes(&distribution.behaviors)).sum();
    let origins = || distributions().flat_map(|distribution| &distribution.origins);
    let bundles: usize = origins().filter_map(|origin| origin.ca_bundle.as_ref()).map(String::len).sum();
    let origin_bytes: usize = origins().map(json_bytes).sum::<usize>().saturating_sub(bundles);
    let mut parts = [
        (behavior_bytes, format!("{behavior_bytes} of {behaviors} cacheBehaviors")),
        (bundles, format!("{bundles} of certificate authorities")),
        (origin_bytes, format!("{origin_bytes} of {} origins without those", origins().count())),
    ];
    parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let message = format!(
        "the configuration for edges has {size} bytes as JSON, and at most {} fit: {}; shorten what is largest, or \
         divide the Distribution",
        limits::CONFIG_BYTES,
        parts.map(|(_, part)| part).join(", "),
    );
    Some(Fault::new(Reason::ConfigTooLarge, "spec", message))
}

fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
