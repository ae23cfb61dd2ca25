//! The Services of a Distribution: one in front of all edges, and one in front of those of each zone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{ClusterSettings, Site};
use crate::distribution::validate::{ServiceFields, ServiceKind};
use crate::{labels, names};

/// Where viewers come in.
const HTTP_PORT: i32 = 80;
/// Name of that port, here and in Pods.
pub(super) const HTTP_PORT_NAME: &str = "http";

/// The Service in front of all edges: of the kind that the user asks for, with the user's annotations.
pub(super) fn all_zones(site: &Site<'_>, fields: &ServiceFields, settings: &ClusterSettings) -> Service {
    let mut metadata =
        site.metadata(names::edge_service(&site.object.name), labels::of_distribution(&site.object.name));
    metadata.annotations = (!fields.annotations.is_empty()).then(|| fields.annotations.clone());
    let spec = ServiceSpec {
        traffic_distribution: settings.traffic_distribution.map(str::to_owned),
        ..spec(fields.kind, labels::selector(&site.object.name))
    };
    Service { metadata, spec: Some(spec), status: None }
}

/// The Service in front of one zone, for those inside the cluster who want that zone and no other. Kind and annotations
/// do not apply to it: a load balancer with a price for every zone is not what they ask for.
pub(super) fn one_zone(site: &Site<'_>, zone: &str) -> Service {
    let name = &site.object.name;
    let metadata = site.metadata(names::zone_object(name, zone), labels::of_zone(name, zone));
    let spec = spec(ServiceKind::ClusterIp, labels::zone_selector(name, zone));
    Service { metadata, spec: Some(spec), status: None }
}

fn spec(kind: ServiceKind, selector: BTreeMap<String, String>) -> ServiceSpec {
    // No application protocol: some platforms probe a load balancer's targets over HTTP because of it.
    let port = ServicePort {
        name: Some(HTTP_PORT_NAME.to_owned()),
        port: HTTP_PORT,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(HTTP_PORT_NAME.to_owned())),
        ..Default::default()
    };
    ServiceSpec {
        type_: Some(kind.as_str().to_owned()),
        ports: Some(vec![port]),
        selector: Some(selector),
        ..Default::default()
    }
}

/// What `trafficDistribution` a server of this version (`1`, `35+`) knows for "the viewer's own zone, if it has a ready
/// edge". `PreferClose` is in every server from 1.31, `PreferSameZone`, which took its place, from 1.34 (KEP-3015).
pub fn traffic_distribution(major: &str, minor: &str) -> Option<&'static str> {
    let number = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..digits].parse::<u32>().ok()
    };
    match (number(major)?, number(minor)?) {
        (0, _) | (1, 0..=30) => None,
        (1, 31..=33) => Some("PreferClose"),
        _ => Some("PreferSameZone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_stays_in_its_zone_in_the_words_of_the_server() {
        for (major, minor, expected) in [
            ("1", "30", None),
            ("1", "31", Some("PreferClose")),
            ("1", "33+", Some("PreferClose")),
            ("1", "34", Some("PreferSameZone")),
            ("1", "37+", Some("PreferSameZone")),
            ("2", "0", Some("PreferSameZone")),
            ("", "", None),
            ("1", "x", None),
        ] {
            assert_eq!(traffic_distribution(major, minor), expected, "{major}.{minor}");
        }
    }
}
