//! The Deployment of one zone.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{Edge, template};
use super::{DesiredZone, Site};
use crate::{labels, limits, names};

/// The edges of this zone.
pub(super) fn deployment(site: &Site<'_>, zone: &DesiredZone, edge: &Edge<'_>) -> Deployment {
    let name = &site.object.name;
    let rolling_update = RollingUpdateDeployment {
        // A new edge is ready before an old one goes: a zone never has fewer than it should.
        max_surge: Some(IntOrString::Int(1)),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    let spec = DeploymentSpec {
        replicas: Some(i32::try_from(zone.replicas).unwrap_or(i32::MAX)),
        // The operator would undo a rollback, so there is little to keep.
        revision_history_limit: Some(limits::EDGE_HISTORY),
        selector: LabelSelector {
            match_labels: Some(labels::zone_selector(name, &zone.name)),
            match_expressions: None,
        },
        strategy: Some(DeploymentStrategy {
            rolling_update: Some(rolling_update),
            type_: Some("RollingUpdate".to_owned()),
        }),
        template: template(name, &zone.name, edge),
        ..Default::default()
    };
    let metadata = site.metadata(names::zone_object(name, &zone.name), labels::of_zone(name, &zone.name));
    Deployment { metadata, spec: Some(spec), status: None }
}
