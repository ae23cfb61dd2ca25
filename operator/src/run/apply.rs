//! Stage four in a cluster: what is desired comes to be. Writes only what differs from what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::PostParams;
use kube::{Api, Resource, ResourceExt};
use proxima_crds::conditions::Reason;
use proxima_edge_core::link::Envelope;

use super::Operator;
use super::gather::GatheredObject;
use super::index::{BootFacts, Same, ServiceFacts, State, owner};
use super::metrics::Verb;
use super::request::{RequestError, request};
use super::secrets::SecretError;
use super::ssa::{self, Child};
use crate::distribution::build::drift::is_current;
use crate::distribution::build::{ClusterDesired, ZoneObjects, boot_config};
use crate::distribution::gather::ObjectName;
use crate::distribution::status::Refused;
use crate::{labels, names};

/// Attempts to raise a revision against others who write the same ConfigMap.
const SWAPS: usize = 3;

/// What came of it.
pub struct Applied {
    /// What edges are told to serve.
    pub wanted: Arc<Envelope>,
    /// Objects that could not be made since their names are taken.
    pub conflicts: Vec<Refused>,
    /// Requests that failed. The others were made all the same: one kind that may not be written holds up no other.
    pub failures: Vec<RequestError>,
}

/// Why it could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A request failed.
    #[error(transparent)]
    Api(#[from] RequestError),
    /// The keys of the link.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The name of the boot copy is taken: without it no edge can start.
    #[error("{}", .0.text)]
    Taken(Refused),
    /// The boot copy changed each time between reading and writing.
    #[error("ConfigMap {0} is written by somebody else at the same time")]
    Contended(String),
}

/// A kind of child, and how a write is noted before its watch tells of it.
trait Kept: Child {
    fn keep(self, state: &mut State, name: ObjectName);

    /// Whether one that is not known is not there.
    fn all_are_known(state: &State) -> bool;
}

impl Kept for Deployment {
    fn keep(self, state: &mut State, name: ObjectName) {
        state.deployments.note(name, Same(Arc::new(self)));
    }

    fn all_are_known(state: &State) -> bool {
        state.deployments.is_synced()
    }
}

impl Kept for PodDisruptionBudget {
    fn keep(self, state: &mut State, name: ObjectName) {
        state.budgets.note(name, Same(Arc::new(self)));
    }

    fn all_are_known(state: &State) -> bool {
        state.budgets.is_synced()
    }
}

impl Kept for Service {
    fn keep(self, state: &mut State, name: ObjectName) {
        state.services.note(name, ServiceFacts::read(self));
    }

    fn all_are_known(state: &State) -> bool {
        state.services.is_synced()
    }
}

/// Makes everything that is desired, then removes what is ours and not desired any more.
pub async fn apply(
    desired: ClusterDesired,
    gathered: &GatheredObject,
    operator: &Operator,
) -> Result<Applied, ApplyError> {
    let name = &gathered.name;
    let mut applying = Applying { operator, name, uid: &gathered.uid, conflicts: Vec::new(), failures: Vec::new() };
    // Pods cannot start without these two, and are of no use without them.
    let pin = applying.edge_pin().await?;
    let wanted = Arc::new(applying.boot_copy(&desired, gathered).await?);
    let (mut services, mut deployments, mut budgets) = {
        let state = operator.index.state();
        (state.services_of(name), state.deployments_of(name), state.budgets_of(name))
    };
    // Viewers may look the names up before an edge is ready; they must not learn that a name does not exist.
    let ClusterDesired { service, zones, distribution: _, uid: _, owner: _, config: _, hash: _ } = desired;
    applying.child(service, &mut services).await;
    for ZoneObjects { zone: _, deployment, service, disruption_budget } in zones {
        applying.child(service, &mut services).await;
        applying.child(deployment, &mut deployments).await;
        if let Some(budget) = disruption_budget {
            applying.child(budget, &mut budgets).await;
        }
    }
    // What is left in these was not desired.
    applying.prune(budgets).await;
    applying.prune(deployments).await;
    applying.prune(services).await;
    operator.hub.publish(name, Arc::clone(&wanted));
    operator.hub.set_pods(name, operator.index.state().pods_of(name), Some(&pin));
    let Applying { conflicts, failures, .. } = applying;
    Ok(Applied { wanted, conflicts, failures })
}

/// What came of making an object.
enum Made<K> {
    Created(K),
    WasThere(K),
}

/// Applies the children of one Distribution.
struct Applying<'a> {
    operator: &'a Operator,
    name: &'a ObjectName,
    uid: &'a str,
    conflicts: Vec<Refused>,
    failures: Vec<RequestError>,
}

impl Applying<'_> {
    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.operator.client.clone(), &self.name.namespace)
    }

    /// Pin of the key that edges of this namespace prove themselves with. Made when there is none yet.
    async fn edge_pin(&self) -> Result<String, ApplyError> {
        let namespace = &self.name.namespace;
        let known = self.operator.index.state().edge_pin(namespace, &self.operator.operator_pin);
        match known {
            Some(pin) => Ok(pin),
            None => self.operator.secrets.ensure(namespace).await.map_err(|error| match error {
                SecretError::Foreign(_) => ApplyError::Taken(conflict("Secret", names::LINK_SECRET, false)),
                error => ApplyError::Secret(error),
            }),
        }
    }

    /// Makes an object, or brings the one that is there up to date. Takes it out of `live`.
    async fn child<K>(&mut self, desired: K, live: &mut BTreeMap<String, Arc<K>>)
    where
        K: Kept + Resource<Scope = NamespaceResourceScope>,
    {
        let live = live.remove(&desired.name_any());
        if let Err(error) = self.bring_up_to_date(&desired, live).await {
            self.failures.push(error);
        }
    }

    async fn bring_up_to_date<K>(&mut self, desired: &K, live: Option<Arc<K>>) -> Result<(), RequestError>
    where
        K: Kept + Resource<Scope = NamespaceResourceScope>,
    {
        let (api, name) = (self.api::<K>(), desired.name_any());
        let is_unknown = live.is_none() && !K::all_are_known(&self.operator.index.state());
        let live = match live {
            None if is_unknown => request(format!("get {} {name}", K::KIND), api.get_opt(&name)).await?.map(Arc::new),
            live => live,
        };
        let found = match live {
            Some(live) => live,
            None => match self.make(&api, desired).await? {
                Made::Created(created) => {
                    self.keep(created);
                    return Ok(());
                }
                // The watch has not told of it yet, or never will since it is not ours.
                Made::WasThere(found) => Arc::new(found),
            },
        };
        if owner(found.as_ref()).as_deref() != Some(self.uid) {
            self.conflicts.push(taken(found.as_ref()));
            return Ok(());
        }
        if is_current(&plain(desired), &plain(found.as_ref())) {
            return Ok(());
        }
        tracing::info!(object = %self.name, "{} {name}: brought up to date", K::KIND);
        self.operator.metrics.mutating(Verb::Patch, K::KIND);
        let update = ssa::update(&api, desired, found.as_ref());
        self.keep(request(format!("patch {} {name}", K::KIND), update).await?);
        Ok(())
    }

    /// Makes an object, or gets the one that has its name.
    async fn make<K: Kept>(&self, api: &Api<K>, desired: &K) -> Result<Made<K>, RequestError> {
        let name = desired.name_any();
        self.operator.metrics.mutating(Verb::Create, K::KIND);
        match request(format!("create {} {name}", K::KIND), ssa::create(api, desired)).await {
            Ok(created) => Ok(Made::Created(created)),
            Err(error) if error.cause().is_conflict() => {
                let found = request(format!("get {} {name}", K::KIND), api.get_opt(&name)).await?;
                // If it went in between, the attempt has failed: nobody tells of the end of what was not ours.
                found.map(Made::WasThere).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a write before its watch tells of it.
    fn keep<K: Kept>(&self, written: K) {
        let key = ObjectName { namespace: self.name.namespace.clone(), name: written.name_any() };
        written.keep(&mut self.operator.index.state(), key);
    }

    /// Removes objects of this Distribution.
    async fn prune<K>(&mut self, unwanted: BTreeMap<String, Arc<K>>)
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        for (name, live) in unwanted {
            let is_going = live.meta().deletion_timestamp.is_some();
            if is_going || owner(live.as_ref()).as_deref() != Some(self.uid) {
                continue;
            }
            tracing::info!(object = %self.name, "{} {name}: no longer wanted, removed", K::KIND);
            self.operator.metrics.mutating(Verb::Delete, K::KIND);
            let delete = request(format!("delete {} {name}", K::KIND), async {
                ssa::delete(&self.api::<K>(), live.as_ref()).await
            });
            if let Err(error) = delete.await {
                self.failures.push(error);
            }
        }
    }

    /// Writes the configuration to where edges find it when they start, under a revision of its own if it is a new one.
    async fn boot_copy(&self, desired: &ClusterDesired, gathered: &GatheredObject) -> Result<Envelope, ApplyError> {
        let key = ObjectName { namespace: self.name.namespace.clone(), name: names::boot_copy(&self.name.name) };
        let mut found = self.known_boot_copy(&key).await?;
        let hub = &self.operator.hub;
        let published = hub.published(self.name).filter(|published| published.uid == self.uid);
        let known = [published.map(|published| published.revision), hub.highest_revision(self.name, self.uid)];
        let elsewhere = known.into_iter().flatten().fold(gathered.revision, u64::max);
        for _ in 0..SWAPS {
            if let Some(facts) = found.as_ref().filter(|facts| facts.owner.as_deref() != Some(self.uid)) {
                return Err(ApplyError::Taken(conflict("ConfigMap", &key.name, facts.owner.is_some())));
            }
            let revision = match turn(found.as_ref(), self.uid, &desired.hash, elsewhere) {
                Turn::Stands(revision) => return Ok(self.envelope(desired, gathered.generation, revision)),
                Turn::Next(revision) => revision,
            };
            let envelope = self.envelope(desired, gathered.generation, revision);
            let config_map = boot_config::config_map(self.name, &desired.owner, &envelope);
            if self.swap(&key, found.as_ref(), config_map).await? {
                return Ok(envelope);
            }
            found = self.current_boot_copy(&key).await?;
        }
        Err(ApplyError::Contended(key.name))
    }

    /// What the watch told of the boot copy. Where ConfigMaps may not be watched it is looked up.
    async fn known_boot_copy(&self, key: &ObjectName) -> Result<Option<BootFacts>, ApplyError> {
        let (known, all_are_known) = {
            let state = self.operator.index.state();
            (state.boot_copies.get(key).cloned(), state.boot_copies.is_synced())
        };
        if all_are_known { Ok(known) } else { self.current_boot_copy(key).await }
    }

    async fn current_boot_copy(&self, key: &ObjectName) -> Result<Option<BootFacts>, ApplyError> {
        let api = self.api::<ConfigMap>();
        let Some(current) = request(format!("get ConfigMap {}", key.name), api.get_opt(&key.name)).await? else {
            return Ok(None);
        };
        // What is not even labelled as one is somebody else's.
        let facts =
            BootFacts::read(&current).ok_or_else(|| ApplyError::Taken(conflict("ConfigMap", &key.name, false)))?;
        Ok(Some(facts))
    }

    /// Writes a boot copy in the place of the one that was found. False when another one is there by now.
    async fn swap(
        &self,
        key: &ObjectName,
        found: Option<&BootFacts>,
        mut config_map: ConfigMap,
    ) -> Result<bool, RequestError> {
        let (api, name) = (self.api::<ConfigMap>(), &key.name);
        let written = match found {
            Some(facts) => {
                config_map.metadata.resource_version = Some(facts.resource_version.clone());
                config_map.metadata.uid = Some(facts.uid.clone());
                self.operator.metrics.mutating(Verb::Update, "ConfigMap");
                let params = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
                request(format!("update ConfigMap {name}"), api.replace(name, &params, &config_map)).await
            }
            None => {
                self.operator.metrics.mutating(Verb::Create, "ConfigMap");
                request(format!("create ConfigMap {name}"), ssa::create(&api, &config_map)).await
            }
        };
        match written {
            Ok(written) => {
                if let Some(facts) = BootFacts::read(&written) {
                    self.operator.index.state().boot_copies.note(key.clone(), facts);
                }
                Ok(true)
            }
            Err(error) if error.cause().is_conflict() || error.cause().is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn envelope(&self, desired: &ClusterDesired, generation: i64, revision: u64) -> Envelope {
        Envelope {
            uid: self.uid.to_owned(),
            term: self.operator.term,
            revision,
            epoch: 0,
            generation,
            hash: desired.hash.clone(),
            config: desired.config.clone(),
        }
    }
}

/// The place of a configuration in history.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// The boot copy has it, under this revision.
    Stands(u64),
    /// It is a new one, and gets this revision.
    Next(u64),
}

/// `elsewhere` is the highest revision that anybody but the boot copy knows of. The copy may be lost, older than what
/// was written last, or put back by hand: a revision never goes back, since edges refuse that.
fn turn(found: Option<&BootFacts>, uid: &str, hash: &str, elsewhere: u64) -> Turn {
    let of_copy = found.and_then(|facts| facts.revision).unwrap_or_default();
    let content = found.and_then(|facts| facts.content.as_ref());
    let has_it = content.is_some_and(|content| content.uid == uid && content.hash == hash);
    if has_it && of_copy >= elsewhere {
        return Turn::Stands(of_copy);
    }
    // Only a copy that was edited by hand has the highest number there is.
    Turn::Next(of_copy.max(elsewhere).saturating_add(1))
}

fn plain<K: Child>(object: &K) -> serde_json::Value {
    serde_json::to_value(object).expect("objects of Kubernetes are plain data")
}

/// Why an object cannot be made: somebody else has its name.
fn taken<K: Child>(found: &K) -> Refused {
    conflict(K::KIND, &found.name_any(), owner(found).is_some())
}

fn conflict(kind: &str, name: &str, is_predecessors: bool) -> Refused {
    if is_predecessors {
        let text =
            format!("{kind} {name} belongs to a deleted Distribution of the same name; waiting until it is gone");
        return Refused { reason: Reason::PredecessorTerminating, text };
    }
    let text = format!(
        "there is a {kind} {name} that Proxima did not make; it is left alone. Rename or remove it, or give the \
         Distribution another name"
    );
    Refused { reason: Reason::ChildConflict, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::index::BootContent;

    fn copy(revision: Option<u64>, content: Option<(&str, &str)>) -> BootFacts {
        BootFacts {
            uid: "c".to_owned(),
            resource_version: "1".to_owned(),
            owner: Some("u".to_owned()),
            distribution: "shop".to_owned(),
            revision,
            content: content.map(|(uid, hash)| BootContent { uid: uid.to_owned(), hash: hash.to_owned() }),
        }
    }

    #[test]
    fn a_revision_is_raised_for_new_content_and_never_goes_back() {
        use Turn::{Next, Stands};
        let ours = |revision| Some(copy(Some(revision), Some(("u", "h"))));
        for (found, elsewhere, expected) in [
            (None, 0, Next(1)),
            (ours(3), 3, Stands(3)),
            (ours(3), 0, Stands(3)),
            (Some(copy(Some(3), Some(("u", "old")))), 3, Next(4)),
            // The copy is lost, spoiled, or another Distribution's.
            (None, 7, Next(8)),
            (Some(copy(Some(3), None)), 0, Next(4)),
            (Some(copy(None, None)), 7, Next(8)),
            (Some(copy(Some(3), Some(("v", "h")))), 0, Next(4)),
            // What is known of the copy is older than what was published since, or somebody put an old one back.
            (ours(1), 2, Next(3)),
            // Somebody wrote the highest number into it.
            (Some(copy(Some(u64::MAX), Some(("u", "old")))), 7, Next(u64::MAX)),
        ] {
            assert_eq!(turn(found.as_ref(), "u", "h", elsewhere), expected, "{found:?} {elsewhere}");
        }
    }
}
