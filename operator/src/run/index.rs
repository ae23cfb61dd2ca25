//! What the operator knows of the cluster, kept current by its watches. Holds no lock while anybody waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Resource, ResourceExt};
use proxima_crds::v1alpha1::{Address, AddressType};

use super::facts::Facts;
use super::pods::EdgePod;
use super::secrets::LinkSecret;
use crate::distribution::build::boot_config;
use crate::distribution::gather::ObjectName;
use crate::distribution::references::References;
use crate::distribution::validate;
use crate::zones::NodeFacts;
use crate::{labels, names};

/// Everything that is watched, and what Distributions refer to.
#[derive(Default)]
pub struct Index {
    state: Mutex<State>,
}

/// The content of an [`Index`].
#[derive(Default)]
pub struct State {
    /// Uids of Distributions.
    pub distributions: Facts<String>,
    /// Nodes, with an empty namespace.
    pub nodes: Facts<NodeFacts>,
    /// Pods of edges.
    pub pods: Facts<EdgePod>,
    /// All Services.
    pub services: Facts<ServiceFacts>,
    /// Deployments of edges.
    pub deployments: Facts<Same<Deployment>>,
    /// Disruption budgets of edges.
    pub budgets: Facts<Same<PodDisruptionBudget>>,
    /// Boot copies.
    pub boot_copies: Facts<BootFacts>,
    /// Versions of all ConfigMaps.
    pub config_maps: Facts<String>,
    /// Secrets of the link, one per namespace.
    pub link_secrets: Facts<LinkSecret>,
    /// What each Distribution refers to.
    pub references: BTreeMap<ObjectName, References>,
}

/// A whole object; equal to another of the same version.
#[derive(Debug)]
pub struct Same<K>(pub Arc<K>);

impl<K> Clone for Same<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Resource> PartialEq for Same<K> {
    fn eq(&self, other: &Self) -> bool {
        let version = |object: &Self| (object.0.meta().uid.clone(), object.0.meta().resource_version.clone());
        version(self) == version(other)
    }
}

/// A Service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceFacts {
    /// What judgement looks at.
    pub facts: validate::ServiceFacts,
    /// The whole of it, if the operator made it.
    pub managed: Option<Same<Service>>,
}

/// A boot copy, without the configuration in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFacts {
    /// Uid of the ConfigMap.
    pub uid: String,
    /// Version of the ConfigMap.
    pub resource_version: String,
    /// Uid of the Distribution that owns it.
    pub owner: Option<String>,
    /// The Distribution that its label names.
    pub distribution: String,
    /// The revision in it, also where the rest cannot be used.
    pub revision: Option<u64>,
    /// Whose configuration is in it, and its hash; absent when it cannot be read.
    pub content: Option<BootContent>,
}

/// What a boot copy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootContent {
    /// Uid of the Distribution.
    pub uid: String,
    /// Hash of the configuration that is really in it.
    pub hash: String,
}

impl Index {
    /// Access, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // Facts are replaced whole, so what a panicking thread left is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether every watch has listed its objects once, or may not. One that is refused must not hold up the others: what
    /// it would tell is then looked up where it can be, and nothing is removed for want of it.
    pub fn is_settled(&self) -> bool {
        let Self {
            distributions: _, // Whoever reconciles them waits for them.
            nodes,
            pods,
            services,
            deployments,
            budgets,
            boot_copies,
            config_maps: _, // Only tells of changes; a reference is fetched when it is needed.
            link_secrets,
            references: _,
        } = self;
        [
            nodes.is_settled(),
            pods.is_settled(),
            services.is_settled(),
            deployments.is_settled(),
            budgets.is_settled(),
            boot_copies.is_settled(),
            link_secrets.is_settled(),
        ]
        .iter()
        .all(|settled| *settled)
    }

    /// Pods of a Distribution.
    pub fn pods_of(&self, distribution: &ObjectName) -> Vec<EdgePod> {
        let pods = self.pods.in_namespace(&distribution.namespace).map(|(_, pod)| pod);
        pods.filter(|pod| pod.distribution == *distribution).cloned().collect()
    }

    /// Deployments of a Distribution, by name.
    pub fn deployments_of(&self, distribution: &ObjectName) -> BTreeMap<String, Arc<Deployment>> {
        labelled(self.deployments.in_namespace(&distribution.namespace), distribution)
    }

    /// Disruption budgets of a Distribution, by name.
    pub fn budgets_of(&self, distribution: &ObjectName) -> BTreeMap<String, Arc<PodDisruptionBudget>> {
        labelled(self.budgets.in_namespace(&distribution.namespace), distribution)
    }

    /// Services in front of the edges of a Distribution, by name.
    pub fn services_of(&self, distribution: &ObjectName) -> BTreeMap<String, Arc<Service>> {
        let managed = self.services.in_namespace(&distribution.namespace);
        labelled(managed.filter_map(|(name, facts)| Some((name, facts.managed.as_ref()?))), distribution)
    }

    /// Distributions that refer to a Service.
    pub fn users_of_service(&self, service: &ObjectName) -> Vec<ObjectName> {
        self.users(service, |references| references.services.iter().any(|used| used.name == service.name))
    }

    /// Distributions that refer to a ConfigMap.
    pub fn users_of_config_map(&self, config_map: &ObjectName) -> Vec<ObjectName> {
        self.users(config_map, |references| references.config_maps.contains(&config_map.name))
    }

    fn users(&self, used: &ObjectName, uses: impl Fn(&References) -> bool) -> Vec<ObjectName> {
        let first = ObjectName { namespace: used.namespace.clone(), name: String::new() };
        let inside = self.references.range(first..).take_while(|(name, _)| name.namespace == used.namespace);
        inside.filter(|(_, references)| uses(references)).map(|(name, _)| name.clone()).collect()
    }

    /// Pin of the edges' key in a namespace, if its link Secret is ours and has the operator's pin.
    pub fn edge_pin(&self, namespace: &str, operator_pin: &str) -> Option<String> {
        let key = ObjectName { namespace: namespace.to_owned(), name: names::LINK_SECRET.to_owned() };
        let secret = self.link_secrets.get(&key).filter(|secret| secret.is_ours && secret.is_current(operator_pin))?;
        Some(secret.server_pin.clone())
    }

    /// Namespaces with a link Secret of ours that no Distribution needs any more.
    pub fn unused_link_secrets(&self) -> Vec<String> {
        // Before all Distributions are known, one that is not known may be there.
        if !self.distributions.is_synced() {
            return Vec::new();
        }
        let in_use: BTreeSet<_> = self.distributions.all().map(|(name, _)| &name.namespace).collect();
        let unused =
            self.link_secrets.all().filter(|(name, secret)| secret.is_ours && !in_use.contains(&name.namespace));
        unused.map(|(name, _)| name.namespace.clone()).collect()
    }
}

fn labelled<'a, K: Resource + 'a>(
    objects: impl Iterator<Item = (&'a ObjectName, &'a Same<K>)>,
    distribution: &ObjectName,
) -> BTreeMap<String, Arc<K>> {
    objects
        .filter(|(_, Same(object))| object.labels().get(labels::DISTRIBUTION) == Some(&distribution.name))
        .map(|(name, Same(object))| (name.name.clone(), Arc::clone(object)))
        .collect()
}

impl ServiceFacts {
    /// What matters of a Service.
    pub fn read(service: Service) -> Self {
        let spec = service.spec.as_ref();
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let tcp = ports.iter().filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
        let is_managed = service.labels().get(labels::MANAGED_BY).is_some_and(|manager| manager == labels::MANAGER);
        Self {
            facts: validate::ServiceFacts {
                ports: tcp.filter_map(|port| u16::try_from(port.port).ok()).collect(),
                external_name: spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName"),
            },
            managed: is_managed.then(|| Same(Arc::new(service))),
        }
    }
}

impl BootFacts {
    /// What matters of a ConfigMap, if it is a boot copy.
    pub fn read(config_map: &ConfigMap) -> Option<Self> {
        let envelope = boot_config::read(config_map);
        Some(Self {
            uid: config_map.uid()?,
            resource_version: config_map.resource_version()?,
            owner: owner(config_map),
            revision: match &envelope {
                Some(envelope) => Some(envelope.revision),
                None => boot_config::revision(config_map),
            },
            distribution: config_map.labels().get(labels::DISTRIBUTION)?.clone(),
            content: envelope.map(|envelope| BootContent {
                // Whatever the copy claims: edges compare with what is in it.
                hash: proxima_edge_core::link::content_hash(&envelope.config),
                uid: envelope.uid,
            }),
        })
    }
}

/// Uid of the Distribution that owns an object.
pub fn owner<K: Resource>(object: &K) -> Option<String> {
    let owners = object.meta().owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.kind == "Distribution").map(|owner| owner.uid.clone())
}

/// What the platform gave to a Service.
pub fn load_balancer_addresses(service: &Service) -> Vec<Address> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let addresses = ingress.iter().filter_map(|ingress| match (&ingress.hostname, &ingress.ip) {
        (Some(name), _) => Some(Address { kind: AddressType::Hostname, value: name.clone() }),
        (None, Some(ip)) => Some(Address { kind: AddressType::IPAddress, value: ip.clone() }),
        (None, None) => None,
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;

    use super::*;

    fn name(namespace: &str, name: &str) -> ObjectName {
        ObjectName { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn no_link_secret_is_unused_before_all_distributions_are_known() {
        let mut state = State::default();
        let ours = LinkSecret { uid: "u".to_owned(), server_pin: String::new(), operator_pins: vec![], is_ours: true };
        for namespace in ["empty", "web"] {
            state.link_secrets.note(name(namespace, names::LINK_SECRET), ours.clone());
        }
        let theirs = LinkSecret { is_ours: false, ..ours };
        state.link_secrets.note(name("foreign", names::LINK_SECRET), theirs);
        assert_eq!(state.unused_link_secrets(), Vec::<String>::new());
        state.distributions.observe(Event::Init);
        state.distributions.observe(Event::InitApply((name("web", "shop"), Some("u".to_owned()))));
        state.distributions.observe(Event::InitDone);
        assert_eq!(state.unused_link_secrets(), ["empty"]);
    }
}
