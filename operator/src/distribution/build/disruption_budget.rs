//! The PodDisruptionBudget of one zone: nodes are drained one edge at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{DesiredZone, Site};
use crate::{labels, names};

/// The budget of this zone. None for a single edge: it could only forbid every drain, or none.
pub(super) fn disruption_budget(site: &Site<'_>, zone: &DesiredZone) -> Option<PodDisruptionBudget> {
    if zone.replicas < 2 {
        return None;
    }
    let name = &site.object.name;
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(LabelSelector {
            match_labels: Some(labels::zone_selector(name, &zone.name)),
            match_expressions: None,
        }),
        // An edge that does not run serves nobody: it must not keep a node from being drained.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..Default::default()
    };
    let metadata = site.metadata(names::zone_object(name, &zone.name), labels::of_zone(name, &zone.name));
    Some(PodDisruptionBudget { metadata, spec: Some(spec), status: None })
}
