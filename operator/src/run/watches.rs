//! The table of watches: which objects are watched, what is kept of them, and who is concerned by a change.
//!
//! Each watch is a task of its own with a back-off of its own, and its errors end here: in one joint stream a watch that
//! fails for ever, for want of a permission perhaps, would hold up all others.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::task::JoinSet;

use super::Operator;
use super::facts::{Change, Facts};
use super::index::{BootFacts, Same, ServiceFacts, State};
use super::pods::EdgePod;
use super::secrets::LinkSecret;
use crate::distribution::gather::ObjectName;
use crate::zones::NodeFacts;
use crate::{labels, limits, names};

/// What the watch of all ConfigMaps is called: it is one that readiness does not wait for.
const CONFIG_MAP_VERSIONS: &str = "configmap versions";

/// Who has to be looked at again after a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concerned {
    /// Every Distribution.
    Everyone,
    /// One Distribution's objects changed.
    Objects(ObjectName),
    /// One Distribution's Pods changed.
    Pods(ObjectName),
    /// The link Secret of a namespace changed.
    LinkSecret(String),
}

/// Starts every watch. They end when the set is dropped.
pub fn start(operator: &Arc<Operator>) -> JoinSet<()> {
    let all = || Config::default().timeout(limits::WATCH_TIMEOUT_SECONDS);
    let ours = || all().labels(&labels::managed());
    // Reading a Secret is allowed by this name only.
    let link_secrets = || all().fields(&format!("metadata.name={}", names::LINK_SECRET));
    let mut watches = Watches { operator, tasks: JoinSet::new() };
    watches.add::<Node>("nodes", all(), (nodes, |state| state.nodes.refuse()));
    watches.add::<Pod>("pods", ours(), (pods, |state| state.pods.refuse()));
    watches.add::<Service>("services", all(), (services, |state| state.services.refuse()));
    watches.add::<Deployment>("deployments", ours(), (deployments, |state| state.deployments.refuse()));
    watches.add::<PodDisruptionBudget>("poddisruptionbudgets", ours(), (budgets, |state| state.budgets.refuse()));
    watches.add::<ConfigMap>("configmaps", ours(), (boot_copies, |state| state.boot_copies.refuse()));
    let versions = (config_map_versions as Take<_>, (|state| state.config_maps.refuse()) as Refuse);
    watches.add::<PartialObjectMeta<ConfigMap>>(CONFIG_MAP_VERSIONS, all(), versions);
    watches.add::<Secret>("secrets", link_secrets(), (secrets, |state| state.link_secrets.refuse()));
    watches.tasks
}

/// Takes an event into the index, and says who is concerned.
type Take<K> = fn(&mut State, Event<K>) -> Vec<Concerned>;
/// Notes in the index that there will be no events for now.
type Refuse = fn(&mut State);

fn nodes(state: &mut State, event: Event<Node>) -> Vec<Concerned> {
    let changes = state.nodes.observe(map(event, |node| Some(NodeFacts::read(&node))));
    if changes.is_empty() { Vec::new() } else { vec![Concerned::Everyone] }
}

fn pods(state: &mut State, event: Event<Pod>) -> Vec<Concerned> {
    let changes = state.pods.observe(map(event, |pod| EdgePod::read(&pod)));
    let pods = changes.into_iter().flat_map(|change| [change.before, change.after]).flatten();
    pods.map(|pod| Concerned::Pods(pod.distribution)).collect()
}

fn services(state: &mut State, event: Event<Service>) -> Vec<Concerned> {
    let changes = state.services.observe(map(event, |service| Some(ServiceFacts::read(service))));
    let users = changes.iter().flat_map(|change| state.users_of_service(&change.name));
    let users: Vec<_> = users.map(Concerned::Objects).collect();
    let of = |facts: ServiceFacts| facts.managed.as_ref().and_then(|Same(service)| distribution(service.as_ref()));
    users.into_iter().chain(concerned(changes, of)).collect()
}

fn deployments(state: &mut State, event: Event<Deployment>) -> Vec<Concerned> {
    concerned(keep(&mut state.deployments, event), |Same(object)| distribution(object.as_ref()))
}

fn budgets(state: &mut State, event: Event<PodDisruptionBudget>) -> Vec<Concerned> {
    concerned(keep(&mut state.budgets, event), |Same(object)| distribution(object.as_ref()))
}

fn boot_copies(state: &mut State, event: Event<ConfigMap>) -> Vec<Concerned> {
    let changes = state.boot_copies.observe(map(event, |object| BootFacts::read(&object)));
    let namespaced = changes.into_iter().flat_map(|change| {
        let namespace = change.name.namespace;
        let facts = [change.before, change.after].into_iter().flatten();
        facts.map(move |facts| ObjectName { namespace: namespace.clone(), name: facts.distribution })
    });
    namespaced.map(Concerned::Objects).collect()
}

/// Of ConfigMaps that nobody refers to not even a version is kept.
fn config_map_versions(state: &mut State, event: Event<PartialObjectMeta<ConfigMap>>) -> Vec<Concerned> {
    // One that was listed before anybody referred to it was not kept. Those who do by now shall hear of its end.
    let gone = if let Event::Delete(object) = &event { Some(ObjectName::of(object)) } else { None };
    let event = map(event, |object| object.resource_version());
    let event = keep_if(event, |name| !state.users_of_config_map(name).is_empty());
    let changes = state.config_maps.observe(event);
    let names = changes.into_iter().map(|change| change.name).chain(gone);
    names.flat_map(|name| state.users_of_config_map(&name)).map(Concerned::Objects).collect()
}

fn secrets(state: &mut State, event: Event<Secret>) -> Vec<Concerned> {
    let changes = state.link_secrets.observe(map(event, |secret| LinkSecret::read(&secret)));
    changes.into_iter().map(|change| Concerned::LinkSecret(change.name.namespace)).collect()
}

/// The watches that are started.
struct Watches<'a> {
    operator: &'a Arc<Operator>,
    tasks: JoinSet<()>,
}

impl Watches<'_> {
    /// Follows one kind in all namespaces.
    fn add<K>(&mut self, what: &'static str, config: Config, (take, refuse): (Take<K>, Refuse))
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let operator = Arc::clone(self.operator);
        if what != CONFIG_MAP_VERSIONS {
            operator.health.register(what);
        }
        self.tasks.spawn(async move {
            let mut events = watcher(Api::<K>::all(operator.client.clone()), config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        let is_complete = matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
                        let concerned: BTreeSet<_> = take(&mut operator.index.state(), event).into_iter().collect();
                        if is_complete {
                            operator.watch_works(what);
                        }
                        for concerned in concerned {
                            operator.look_again(concerned).await;
                        }
                    }
                    Err(error) => {
                        operator.watch_failed(what, &error);
                        if is_refusal(&error) {
                            refuse(&mut operator.index.state());
                            operator.synced.notify_waiters();
                        }
                    }
                }
            }
        });
    }
}

/// A permission is missing, or there is no such kind: it may stay so for ever, unlike an API server that is away.
fn is_refusal(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status,
        watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    [http::StatusCode::FORBIDDEN, http::StatusCode::NOT_FOUND].iter().any(|code| status.code == code.as_u16())
}

fn map<K: Resource, F>(event: Event<K>, facts: impl Fn(K) -> Option<F>) -> Event<(ObjectName, Option<F>)> {
    let named = |object: K| (ObjectName::of(&object), facts(object));
    match event {
        Event::Apply(object) => Event::Apply(named(object)),
        Event::Delete(object) => Event::Delete(named(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(named(object)),
        Event::InitDone => Event::InitDone,
    }
}

fn keep_if<F>(
    event: Event<(ObjectName, Option<F>)>,
    keep: impl Fn(&ObjectName) -> bool,
) -> Event<(ObjectName, Option<F>)> {
    let only = |(name, facts): (ObjectName, Option<F>)| {
        let facts = facts.filter(|_| keep(&name));
        (name, facts)
    };
    match event {
        Event::Apply(object) => Event::Apply(only(object)),
        Event::InitApply(object) => Event::InitApply(only(object)),
        other @ (Event::Delete(_) | Event::Init | Event::InitDone) => other,
    }
}

fn keep<K: Resource>(facts: &mut Facts<Same<K>>, event: Event<K>) -> Vec<Change<Same<K>>> {
    facts.observe(map(event, |object| Some(Same(Arc::new(object)))))
}

fn concerned<F>(changes: Vec<Change<F>>, of: impl Fn(F) -> Option<ObjectName>) -> Vec<Concerned> {
    let facts = changes.into_iter().flat_map(|change| [change.before, change.after]).flatten();
    facts.filter_map(of).map(Concerned::Objects).collect()
}

/// The Distribution that an object of ours belongs to.
fn distribution<K: Resource>(object: &K) -> Option<ObjectName> {
    let name = object.labels().get(labels::DISTRIBUTION)?.clone();
    Some(ObjectName { namespace: object.namespace()?, name })
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;

    use super::*;
    use crate::distribution::references::References;

    fn config_map(name: &str, version: &str) -> PartialObjectMeta<ConfigMap> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("web".to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        PartialObjectMeta { metadata, ..PartialObjectMeta::default() }
    }

    #[test]
    fn a_config_map_that_was_listed_before_it_was_referred_to_is_missed_when_it_goes() {
        let mut state = State::default();
        for event in [Event::Init, Event::InitApply(config_map("ca", "1")), Event::InitDone] {
            assert_eq!(config_map_versions(&mut state, event), []);
        }
        let shop = ObjectName { namespace: "web".to_owned(), name: "shop".to_owned() };
        let references = References { config_maps: ["ca".to_owned()].into(), ..References::default() };
        state.references.insert(shop.clone(), references);
        let concerned = config_map_versions(&mut state, Event::Delete(config_map("ca", "2")));
        assert_eq!(concerned, [Concerned::Objects(shop)]);
        assert_eq!(config_map_versions(&mut state, Event::Delete(config_map("other", "3"))), []);
    }
}
