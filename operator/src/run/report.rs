//! Stage five in a cluster: what is true of a Distribution is computed, and written when it is news.
//!
//! Runs apart from the other stages, since most news come from edges and change nothing that has to be applied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use proxima_crds::conditions::ConditionType;
use proxima_crds::v1alpha1::{API_VERSION, Address, AddressType, DistributionStatus};
use serde_json::json;

use super::Operator;
use super::events::transitions;
use super::gather::status as status_of;
use super::index::load_balancer_addresses;
use super::outcome::Outcome;
use super::pods::EdgePod;
use super::reconcile::Error;
use super::request::request;
use crate::distribution::gather::ObjectName;
use crate::distribution::status::{Observed, ZoneTrouble, status};
use crate::distribution::validate::ServiceKind;
use crate::zones::no_node_text;
use crate::{clock, labels, limits, names};

/// What this process wrote, so that it need not wait for the watch to tell of it.
#[derive(Default)]
pub struct Written(Mutex<BTreeMap<ObjectName, Record>>);

struct Record {
    uid: String,
    status: DistributionStatus,
    at: Instant,
    /// The watch has told of it.
    is_seen: bool,
}

impl Written {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Record>> {
        // Records are replaced whole, so what a panicking thread left is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest status there is, where the watch shows `live`, and when this process wrote last. What it wrote counts
    /// only until the watch has told of it: whatever else is shown from then on was written over it.
    fn newest(
        &self,
        name: &ObjectName,
        uid: &str,
        live: Option<DistributionStatus>,
    ) -> (Option<DistributionStatus>, Option<Instant>) {
        let mut all = self.all();
        let Some(record) = all.get_mut(name).filter(|record| record.uid == uid) else { return (live, None) };
        record.is_seen |= live.as_ref().is_some_and(|live| plain(live) == plain(&record.status));
        let newest = if record.is_seen { live } else { Some(record.status.clone()) };
        (newest, Some(record.at))
    }

    /// The Distribution is gone.
    pub fn forget(&self, name: &ObjectName) {
        self.all().remove(name);
    }
}

/// Writes the status of one Distribution, if it is not what was written last.
pub async fn report(object: Arc<DynamicObject>, operator: Arc<Operator>) -> Result<Action, Error> {
    let name = ObjectName::of(&*object);
    let uid = object.uid().unwrap_or_default();
    let Some((outcome, since)) = operator.outcomes.get(&name).filter(|(outcome, _)| outcome.uid == uid) else {
        return Ok(Action::await_change());
    };
    let (previous, written_at) = operator.written.newest(&name, &uid, status_of(&object));
    if written_at.is_none() && previous.is_some() && !operator.hub.is_settled(&name, clock::instant()) {
        // What an earlier process wrote may well be true still: nothing is taken back before the edges were asked.
        return Ok(Action::requeue(limits::SETTLE_POLL));
    }
    let current = observe(&outcome, &name, &operator, previous.as_ref());
    if previous.as_ref() == Some(&current) {
        return Ok(Action::await_change());
    }
    let spacing = written_at.map_or(Duration::ZERO, |at| limits::STATUS_SPACING.saturating_sub(at.elapsed()));
    // Edges that were told a moment ago are about to answer: that they have not yet is no news.
    let is_asking =
        !has_condition(&current, ConditionType::Deployed) && has_condition(&current, ConditionType::Accepted);
    let answer = if is_asking { limits::ANSWER_GRACE.saturating_sub(since.elapsed()) } else { Duration::ZERO };
    let rest = spacing.max(answer);
    if rest > Duration::ZERO {
        return Ok(Action::requeue(rest));
    }
    if !write(&name, &uid, &current, &operator).await? {
        return Ok(Action::await_change());
    }
    operator.report_backoffs.forget(&name);
    for note in transitions(previous.as_ref(), &current) {
        operator.events.publish(&object.object_ref(&operator.resource), note);
    }
    operator.written.all().insert(name.clone(), Record { uid, status: current, at: clock::instant(), is_seen: false });
    operator.forget_if_gone(&name);
    Ok(Action::await_change())
}

/// As it is written: times have no fractions there.
fn plain(status: &DistributionStatus) -> serde_json::Value {
    serde_json::to_value(status).expect("a status is plain data")
}

fn has_condition(status: &DistributionStatus, kind: ConditionType) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
}

/// Whether there was still something to write it to.
async fn write(name: &ObjectName, uid: &str, status: &DistributionStatus, operator: &Operator) -> Result<bool, Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(operator.client.clone(), &name.namespace, &operator.resource);
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": "Distribution",
        "metadata": {"name": name.name, "uid": uid},
        "status": status,
    });
    operator.metrics.mutating(super::metrics::Verb::Patch, "Distribution/status");
    let params = PatchParams::apply(labels::MANAGER).force();
    let patch = Patch::Apply(patch);
    let written = api.patch_status(&name.name, &params, &patch);
    match request(format!("patch the status of Distribution {name}"), written).await {
        Ok(_) => Ok(true),
        // It was deleted meanwhile; another of its name has another uid, which the request refuses as a conflict.
        Err(error) if error.cause().is_not_found() || error.cause().is_conflict() => Ok(false),
        Err(error) => Err(Error::Status(error)),
    }
}

/// All that is known, judged.
fn observe(
    outcome: &Outcome,
    name: &ObjectName,
    operator: &Operator,
    previous: Option<&DistributionStatus>,
) -> DistributionStatus {
    let (pods, deployments, service, pods_are_known) = {
        let state = operator.index.state();
        let service = state.services_of(name).remove(&names::edge_service(&name.name));
        (state.pods_of(name), state.deployments_of(name), service, state.pods.is_synced())
    };
    // Else it would look as if there were none.
    let blind = (!pods_are_known).then(|| "the operator may not watch pods, so it knows of no edge".to_owned());
    let failures: Vec<_> = outcome.failures.iter().cloned().chain(blind).collect();
    let edges = operator.hub.observations(name);
    let host = format!("{}.{}.svc", names::edge_service(&name.name), name.namespace);
    let load_balancer = service.as_deref().map(load_balancer_addresses).unwrap_or_default();
    let addresses = match outcome.service {
        ServiceKind::LoadBalancer => load_balancer,
        // Without the Service its name leads nowhere.
        ServiceKind::ClusterIp | ServiceKind::NodePort => {
            service.iter().map(|_| Address { kind: AddressType::Hostname, value: host.clone() }).collect()
        }
    };
    let observed = Observed {
        generation: outcome.generation,
        wanted: outcome.wanted.as_deref(),
        zones: &outcome.zones,
        edges: edges.iter().collect(),
        problems: outcome.problems.clone(),
        addresses,
        domain_name: Some(host),
        troubles: troubles(outcome, &pods, &deployments),
        service: outcome.service,
        none_eligible: outcome.none_eligible,
        conflicts: outcome.conflicts.clone(),
        failure: (!failures.is_empty()).then(|| failures.join("; ")),
    };
    status(&observed, previous, clock::now())
}

/// Each attempt is for a Pod of another name; what is wrong stays the same, and shall be told once.
fn without_pod_name(message: &str) -> String {
    match message.strip_prefix("pods \"").and_then(|rest| rest.split_once("\" is forbidden: ")) {
        Some((_, why)) => format!("pods are forbidden: {why}"),
        None => message.to_owned(),
    }
}

/// What keeps edges from running, zone by zone, in the words of those who know.
fn troubles(outcome: &Outcome, pods: &[EdgePod], deployments: &BTreeMap<String, Arc<Deployment>>) -> Vec<ZoneTrouble> {
    let empty = outcome.empty_zones.iter();
    let empty = empty.map(|zone| ZoneTrouble { zone: zone.clone(), text: no_node_text(zone) });
    let failures = deployments.values().filter_map(|deployment| {
        let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
        let failure = conditions.iter().find(|found| found.type_ == "ReplicaFailure" && found.status == "True")?;
        Some(ZoneTrouble {
            zone: deployment.labels().get(labels::ZONE)?.clone(),
            text: without_pod_name(failure.message.as_deref().unwrap_or_default()),
        })
    });
    let pods = pods.iter().filter(|pod| !pod.is_ready && !pod.is_deleting).filter_map(|pod| {
        let text = format!("pod {}: {}", pod.name, pod.trouble.as_ref()?);
        Some(ZoneTrouble { zone: pod.zone.clone(), text })
    });
    let mut seen = Vec::new();
    for trouble in empty.chain(failures).chain(pods) {
        if !seen.contains(&trouble) {
            seen.push(trouble);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_counts_until_the_watch_has_told_of_it() {
        let status =
            |edges: &str| Some(DistributionStatus { edges: Some(edges.to_owned()), ..DistributionStatus::default() });
        let (written, at) = (Written::default(), clock::instant());
        let shop = ObjectName { namespace: "web".to_owned(), name: "shop".to_owned() };
        assert_eq!(written.newest(&shop, "u", status("0/2")), (status("0/2"), None));
        let record = Record { uid: "u".to_owned(), status: status("1/2").unwrap(), at, is_seen: false };
        written.all().insert(shop.clone(), record);
        assert_eq!(written.newest(&shop, "u", status("0/2")), (status("1/2"), Some(at)), "the watch lags");
        assert_eq!(written.newest(&shop, "v", status("0/2")), (status("0/2"), None), "it is another one");
        assert_eq!(written.newest(&shop, "u", status("1/2")), (status("1/2"), Some(at)));
        assert_eq!(written.newest(&shop, "u", status("9/9")), (status("9/9"), Some(at)), "somebody wrote over it");
        assert_eq!(written.newest(&shop, "u", None), (None, Some(at)), "somebody removed it");
    }

    #[test]
    fn a_refusal_of_pods_reads_the_same_for_each_of_them() {
        let refused =
            |pod| without_pod_name(&format!("pods \"shop-edge-a-{pod}\" is forbidden: exceeded quota: tight"));
        assert_eq!(refused("x1"), "pods are forbidden: exceeded quota: tight");
        assert_eq!(refused("x1"), refused("x2"));
        assert_eq!(without_pod_name("no quota"), "no quota");
    }
}
