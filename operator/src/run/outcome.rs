//! What the last reconcile made of each Distribution. The status is computed from it whenever an edge says something new.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::ResourceExt;
use kube::api::DynamicObject;
use proxima_crds::conditions::Reason;
use proxima_edge_core::link::Envelope;

use super::apply::ApplyError;
use super::gather::GatheredObject;
use super::reconcile;
use crate::distribution::build::DesiredZone;
use crate::distribution::gather::ObjectName;
use crate::distribution::status::Refused;
use crate::distribution::validate::ServiceKind;

/// What a reconcile made of a Distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Uid of the object.
    pub uid: String,
    /// Generation of the object.
    pub generation: i64,
    /// What edges are told to serve; absent while nothing was ever accepted.
    pub wanted: Option<Arc<Envelope>>,
    /// Zones that shall have edges.
    pub zones: Vec<DesiredZone>,
    /// Zones of the specification in which no node can run an edge.
    pub empty_zones: Vec<String>,
    /// There is no node for an edge anywhere.
    pub none_eligible: bool,
    /// What is wrong with the specification.
    pub problems: Vec<Refused>,
    /// Objects that could not be made since their names are taken.
    pub conflicts: Vec<Refused>,
    /// What went wrong while applying.
    pub failures: Vec<String>,
    /// The kind of Service in front of the edges.
    pub service: ServiceKind,
}

impl Outcome {
    /// Nothing yet.
    pub fn of(gathered: &GatheredObject) -> Self {
        Self::new(gathered.uid.clone(), gathered.generation)
    }

    fn new(uid: String, generation: i64) -> Self {
        Self {
            uid,
            generation,
            wanted: None,
            zones: Vec::new(),
            empty_zones: Vec::new(),
            none_eligible: false,
            problems: Vec::new(),
            conflicts: Vec::new(),
            failures: Vec::new(),
            service: ServiceKind::ClusterIp,
        }
    }
}

/// The outcome of every Distribution, and since when its edges are told what they are told now.
#[derive(Default)]
pub struct Outcomes(Mutex<BTreeMap<ObjectName, (Outcome, Instant)>>);

impl Outcomes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectName, (Outcome, Instant)>> {
        // Outcomes are replaced whole, so what a panicking thread left is consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest one of a Distribution, and since when edges are told what it wants.
    pub fn get(&self, name: &ObjectName) -> Option<(Outcome, Instant)> {
        self.all().get(name).cloned()
    }

    /// A reconcile came to its end.
    pub fn set(&self, name: ObjectName, outcome: Outcome, now: Instant) {
        let revision = |outcome: &Outcome| outcome.wanted.as_ref().map(|wanted| wanted.revision);
        let mut all = self.all();
        let since =
            all.get(&name).filter(|(before, _)| revision(before) == revision(&outcome)).map(|(_, since)| *since);
        all.insert(name, (outcome, since.unwrap_or(now)));
    }

    /// After applying failed: what was made before stands, and why no more was made. The generation was judged, and is
    /// a valid one.
    pub fn standing(&self, gathered: &GatheredObject, error: &ApplyError) -> Outcome {
        let before = self.get(&gathered.name).map(|(outcome, _)| outcome).filter(|before| before.uid == gathered.uid);
        let before = before.unwrap_or_else(|| Outcome::of(gathered));
        let before = Outcome { generation: gathered.generation, problems: Vec::new(), ..before };
        match error {
            ApplyError::Taken(conflict) => {
                Outcome { conflicts: vec![conflict.clone()], failures: Vec::new(), ..before }
            }
            _ => Outcome { failures: vec![error.to_string()], ..before },
        }
    }

    /// It could not be judged: what was made before stands, and why no more was made.
    pub fn not_judged(&self, object: &Arc<DynamicObject>, error: &reconcile::Error, now: Instant) {
        let mut all = self.all();
        let uid = object.uid().unwrap_or_default();
        match all.get_mut(&ObjectName::of(&**object)).filter(|(outcome, _)| outcome.uid == uid) {
            Some((outcome, _)) => outcome.failures = vec![error.to_string()],
            None => {
                let problem = Refused { reason: Reason::NotJudged, text: error.to_string() };
                let generation = object.metadata.generation.unwrap_or_default();
                let outcome = Outcome { problems: vec![problem], ..Outcome::new(uid, generation) };
                all.insert(ObjectName::of(&**object), (outcome, now));
            }
        }
    }

    /// The Distribution is gone.
    pub fn forget(&self, name: &ObjectName) {
        self.all().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::gather::tests::gathered;

    #[test]
    fn what_could_not_even_be_gathered_is_told_of_a_new_object() {
        let outcomes = Outcomes::default();
        let object = serde_json::from_value(serde_json::json!({
            "apiVersion": "proxima.dev/v1alpha1",
            "kind": "Distribution",
            "metadata": {"name": "shop", "namespace": "web", "uid": "u", "generation": 3},
        }));
        let object = Arc::new(object.unwrap());
        let error = reconcile::Error::Apply(ApplyError::Contended("x".to_owned()));
        outcomes.not_judged(&object, &error, crate::clock::instant());
        let (outcome, _) = outcomes.get(&ObjectName::of(&*object)).unwrap();
        assert_eq!((outcome.uid.as_str(), outcome.generation, outcome.problems.len()), ("u", 3, 1));
        assert_eq!(outcome.problems[0].reason, Reason::NotJudged);
    }

    #[test]
    fn a_valid_generation_that_cannot_be_applied_is_not_called_invalid() {
        let outcomes = Outcomes::default();
        let (second, third) = (gathered("shop", 2), gathered("shop", 3));
        let problem = Refused { reason: Reason::OriginNotFound, text: "no such origin".to_owned() };
        let before = Outcome { problems: vec![problem], ..Outcome::of(&second) };
        outcomes.set(second.name.clone(), before, crate::clock::instant());
        let standing = outcomes.standing(&third, &ApplyError::Contended("shop-edge-boot".to_owned()));
        assert_eq!((standing.generation, standing.problems), (3, vec![]));
        assert_eq!(standing.failures, ["ConfigMap shop-edge-boot is written by somebody else at the same time"]);
    }
}
