//! Stage one in a cluster: an object and what its judgement needs. Reads, never judges.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::DynamicObject;
use kube::{Api, ResourceExt};
use proxima_crds::v1alpha1::{API_VERSION, Address, AddressType, DistributionStatus};
use serde_json::{Value, json};

use super::Operator;
use super::index::{self, load_balancer_addresses};
use super::request::{RequestError, request};
use crate::distribution::gather::ObjectName;
use crate::distribution::references::{References, references};
use crate::distribution::validate::{Gathered, ServiceFacts, ServiceName, Services, Settings, Source};
use crate::names;

/// A Distribution of the cluster, to be judged.
pub struct GatheredObject {
    /// Its name.
    pub name: ObjectName,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Revision in its status, for the case that the boot copy is lost.
    pub revision: u64,
    /// What judgement looks at.
    pub document: Arc<Gathered>,
}

/// Gathers what the judgement of `object` needs.
pub async fn gather(object: &DynamicObject, operator: &Operator) -> Result<GatheredObject, RequestError> {
    let name = ObjectName::of(object);
    let value = document(object);
    let references = references(&value);
    let (mut services, all_are_known) = {
        let mut state = operator.index.state();
        let known = references.services.iter().filter_map(|service| {
            let facts =
                state.services.get(&ObjectName { namespace: service.namespace.clone(), name: service.name.clone() });
            Some((service.clone(), facts?.facts.clone()))
        });
        let known: BTreeMap<_, _> = known.collect();
        state.references.insert(name.clone(), references.clone());
        (known, state.services.is_synced())
    };
    if !all_are_known {
        look_up(&references, &mut services, operator).await?;
    }
    let mut ca_bundles = BTreeMap::new();
    let config_maps = Api::<ConfigMap>::namespaced(operator.client.clone(), &name.namespace);
    for config_map in &references.config_maps {
        let found = request(format!("get ConfigMap {config_map}"), config_maps.get_opt(config_map)).await?;
        if let Some(data) = found.map(|found| found.data.unwrap_or_default()) {
            ca_bundles.insert(config_map.clone(), data);
        }
    }
    let cluster_domain = operator.cluster_domain.clone();
    let addresses = host_texts(operator, &name);
    let settings = Settings { cluster_domain, services: Services::Cluster(services), ca_bundles, addresses };
    Ok(GatheredObject {
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        revision: status(object).and_then(|status| status.revision?.parse().ok()).unwrap_or_default(),
        document: Arc::new(Gathered { source: Source::default(), value, text: String::new(), settings }),
        name,
    })
}

/// Gets Services one by one, where all of them may not be watched: one that is not known is not one that is missing.
async fn look_up(
    references: &References,
    services: &mut BTreeMap<ServiceName, ServiceFacts>,
    operator: &Operator,
) -> Result<(), RequestError> {
    for service in &references.services {
        let api = Api::<Service>::namespaced(operator.client.clone(), &service.namespace);
        let found = request(format!("get Service {}", service.name), api.get_opt(&service.name)).await?;
        match found {
            Some(found) => services.insert(service.clone(), index::ServiceFacts::read(found).facts),
            None => services.remove(service),
        };
    }
    Ok(())
}

/// Addresses of the load balancer, as viewers write them into Host.
fn host_texts(operator: &Operator, name: &ObjectName) -> Vec<String> {
    let service = operator.index.state().services_of(name).remove(&names::edge_service(&name.name));
    let addresses = service.as_deref().map(load_balancer_addresses).unwrap_or_default();
    let texts = addresses.into_iter().filter_map(|Address { kind, value }| match (kind, value.parse::<IpAddr>()) {
        (AddressType::IPAddress, Ok(IpAddr::V6(address))) => Some(format!("[{address}]")),
        (AddressType::IPAddress, Ok(IpAddr::V4(address))) => Some(address.to_string()),
        (AddressType::IPAddress, Err(_)) => None,
        (AddressType::Hostname, _) => Some(value.trim_end_matches('.').to_ascii_lowercase()),
    });
    texts.collect()
}

/// The object as a manifest. Objects of a list do not say what they are.
fn document(object: &DynamicObject) -> Value {
    let mut value = object.data.clone();
    value["apiVersion"] = json!(API_VERSION);
    value["kind"] = json!("Distribution");
    value["metadata"] = serde_json::to_value(&object.metadata).expect("metadata are plain data");
    value
}

/// The status that was written last, as far as it can be read.
pub fn status(object: &DynamicObject) -> Option<DistributionStatus> {
    serde_json::from_value(object.data.get("status")?.clone()).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A Distribution of namespace `web`.
    pub(in crate::run) fn gathered(name: &str, generation: i64) -> GatheredObject {
        let value = json!({
            "apiVersion": API_VERSION,
            "kind": "Distribution",
            "metadata": {"name": name, "namespace": "web", "uid": "u", "generation": generation},
            "spec": {
                "origins": [{"name": "site", "service": {"name": "site", "port": 80}}],
                "defaultCacheBehavior": {"targetOrigin": "site"},
            },
        });
        let service = ServiceName { namespace: "web".to_owned(), name: "site".to_owned() };
        let facts = ServiceFacts { ports: vec![80], external_name: false };
        let settings = Settings {
            cluster_domain: "cluster.local".to_owned(),
            services: Services::Cluster([(service, facts)].into()),
            ca_bundles: BTreeMap::new(),
            addresses: Vec::new(),
        };
        GatheredObject {
            name: ObjectName { namespace: "web".to_owned(), name: name.to_owned() },
            uid: "u".to_owned(),
            generation,
            revision: 0,
            document: Arc::new(Gathered { source: Source::default(), value, text: String::new(), settings }),
        }
    }
}
