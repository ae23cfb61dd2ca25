//! The line of a Distribution in a cluster: every stage once, in order.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use proxima_edge_core::link::Envelope;

use super::Operator;
use super::apply::{Applied, ApplyError, apply};
use super::gather::{GatheredObject, gather};
use super::index::owner;
use super::judgements::{NotJudged, Verdict};
use super::metrics::Stage;
use super::outcome::Outcome;
use super::request::{RequestError, request};
use crate::backoff::jittered;
use crate::distribution::build::{DesiredZone, boot_config, build_cluster};
use crate::distribution::gather::ObjectName;
use crate::distribution::status::Refused;
use crate::distribution::validate::{Problem, ServiceKind, Validated};
use crate::{clock, labels, limits, names};

/// The stage that failed, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the Distribution refers to could not be read.
    #[error("cannot gather what it refers to: {0}")]
    Gather(#[source] RequestError),
    /// It could not be judged.
    #[error("cannot judge it: {0}")]
    Validate(#[from] NotJudged),
    /// Objects could not be written.
    #[error("cannot apply: {0}")]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("cannot write its status: {0}")]
    Status(#[source] RequestError),
}

impl Error {
    /// The stage, as the metric names it.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Gather(_) => Stage::Gather,
            Self::Validate(_) => Stage::Validate,
            Self::Apply(_) => Stage::Apply,
            Self::Status(_) => Stage::Status,
        }
    }
}

/// Reconciles one Distribution, and says when to look at it again if nothing happens.
pub async fn reconcile(object: Arc<DynamicObject>, operator: Arc<Operator>) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        // Its children are removed with it, by the garbage collector.
        return Ok(Action::await_change());
    }
    let (gathered, verdict) = match gather_and_judge(&object, &operator).await {
        Ok(judged) => judged,
        Err(error) => {
            let name = ObjectName::of(&*object);
            operator.outcomes.not_judged(&object, &error, clock::instant());
            operator.report_soon(&name).await;
            return Err(error);
        }
    };
    let (outcome, result) = match &*verdict {
        Ok(validated) => accepted(validated, &gathered, &operator).await,
        Err(problems) => refused(problems, &gathered, &operator).await,
    };
    operator.outcomes.set(gathered.name.clone(), outcome, clock::instant());
    operator.report_soon(&gathered.name).await; // pure, then client: see `report`
    result
}

/// Stages one and two.
async fn gather_and_judge(object: &DynamicObject, operator: &Operator) -> Result<(GatheredObject, Verdict), Error> {
    let gathered = gather(object, operator).await.map_err(Error::Gather)?; // client
    let verdict = operator.judgements.judge(&gathered).await?; // pure
    Ok((gathered, verdict))
}

/// Stages three and four.
async fn accepted(
    validated: &Validated,
    gathered: &GatheredObject,
    operator: &Operator,
) -> (Outcome, Result<Action, Error>) {
    let placement = operator.placements.place(&gathered.name, validated, &operator.index);
    let desired = build_cluster(validated, &placement.zones, &operator.cluster); // pure
    let hash = desired.hash.clone();
    let Applied { wanted, conflicts, failures } = match apply(desired, gathered, operator).await {
        // client
        Ok(applied) => applied,
        Err(error) => {
            let standing = operator.outcomes.standing(gathered, &error);
            let wanted = match standing.wanted {
                Some(wanted) => Some(wanted),
                // This process has applied nothing yet: edges go on with what an earlier one did. If that cannot be
                // read either, the error that led here says enough.
                None => last_accepted(gathered, operator).await.unwrap_or_default(),
            };
            // A generation that tells edges nothing new is deployed where the one before is.
            let wanted = wanted.map(|wanted| match wanted.hash == hash {
                true => Arc::new(Envelope { generation: gathered.generation, ..Envelope::clone(&wanted) }),
                false => wanted,
            });
            let outcome = Outcome {
                wanted,
                zones: placement.zones,
                none_eligible: placement.none_eligible,
                empty_zones: placement.empty_zones,
                service: validated.service.kind,
                ..standing
            };
            // A taken name is told in the status; nobody tells when it becomes free, however long that takes.
            let result = match error {
                ApplyError::Taken(_) => Ok(Action::requeue(limits::CONFLICT_RETRY)),
                error => Err(Error::Apply(error)),
            };
            return (outcome, result);
        }
    };
    // A name that is taken may be free later, and nobody tells of objects that are not ours.
    let look_again = placement.look_again.unwrap_or_else(|| jittered(limits::RESYNC, clock::fraction()));
    let look_again = if conflicts.is_empty() { look_again } else { look_again.min(limits::CONFLICT_RETRY) };
    let outcome = Outcome {
        wanted: Some(wanted),
        conflicts,
        failures: failures.iter().map(ToString::to_string).collect(),
        zones: placement.zones,
        none_eligible: placement.none_eligible,
        empty_zones: placement.empty_zones,
        service: validated.service.kind,
        ..Outcome::of(gathered)
    };
    let result = match failures.into_iter().next() {
        Some(error) => Err(Error::Apply(error.into())),
        None => Ok(Action::requeue(look_again)),
    };
    (outcome, result)
}

/// What is refused changes nothing: the last accepted configuration stays where it is, and what serves is still told.
async fn refused(
    problems: &[Problem],
    gathered: &GatheredObject,
    operator: &Operator,
) -> (Outcome, Result<Action, Error>) {
    let wanted = last_accepted(gathered, operator).await;
    let (deployments, services) = {
        let state = operator.index.state();
        (state.deployments_of(&gathered.name), state.services_of(&gathered.name))
    };
    let service = services.get(&names::edge_service(&gathered.name.name));
    let service = service.and_then(|service| ServiceKind::named(service.spec.as_ref()?.type_.as_deref()?));
    let zones = deployments.into_values().filter_map(|deployment| {
        let name = deployment.metadata.labels.as_ref()?.get(labels::ZONE)?.clone();
        let replicas = deployment.spec.as_ref()?.replicas.unwrap_or(1);
        Some(DesiredZone { name, replicas: u32::try_from(replicas).unwrap_or_default() })
    });
    let problems = problems.iter().map(|problem| Refused { reason: problem.reason, text: problem.to_string() });
    let outcome = Outcome {
        zones: zones.collect(),
        problems: problems.collect(),
        // Viewers come to the Service that is there, whatever the refused specification would make of it.
        service: service.unwrap_or_default(),
        ..Outcome::of(gathered)
    };
    match wanted {
        Ok(wanted) => (Outcome { wanted, ..outcome }, Ok(Action::requeue(jittered(limits::RESYNC, clock::fraction())))),
        Err(error) => (outcome, Err(Error::Gather(error))),
    }
}

/// The configuration that was accepted last: its edges shall have it, whatever became of the object since.
async fn last_accepted(gathered: &GatheredObject, operator: &Operator) -> Result<Option<Arc<Envelope>>, RequestError> {
    let GatheredObject { name, uid, .. } = gathered;
    if let Some(published) = operator.hub.published(name).filter(|published| published.uid == *uid) {
        return Ok(Some(published));
    }
    let key = ObjectName { namespace: name.namespace.clone(), name: names::boot_copy(&name.name) };
    let may_be_ours = {
        let state = operator.index.state();
        let is_ours = state.boot_copies.get(&key).is_some_and(|facts| facts.owner.as_ref() == Some(uid));
        is_ours || !state.boot_copies.is_synced()
    };
    if !may_be_ours {
        return Ok(None);
    }
    let api = Api::<ConfigMap>::namespaced(operator.client.clone(), &name.namespace);
    let found = request(format!("get ConfigMap {}", key.name), api.get_opt(&key.name)).await?;
    let found = found.filter(|found| owner(found).as_ref() == Some(uid));
    let envelope = found.as_ref().and_then(boot_config::read).filter(|envelope| envelope.uid == *uid);
    let envelope = envelope.map(|envelope| Arc::new(Envelope { term: operator.term, ..envelope }));
    if let Some(envelope) = &envelope {
        operator.hub.publish(name, Arc::clone(envelope));
        operator.pods_changed(name);
    }
    Ok(envelope)
}

/// What to do after a failure: try again, later each time.
pub fn retry(object: Arc<DynamicObject>, error: &Error, operator: Arc<Operator>) -> Action {
    let name = ObjectName::of(&*object);
    operator.metrics.reconcile_failed(error.stage());
    let backoffs = match error {
        Error::Status(_) => &operator.report_backoffs,
        _ => &operator.backoffs,
    };
    let pause = backoffs.pause(&name);
    tracing::warn!(object = %name, %error, "trying again in {:.1} s", pause.as_secs_f64());
    Action::requeue(pause.max(Duration::from_millis(1)))
}
