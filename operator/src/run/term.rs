//! The term: which operator process speaks. Edges refuse a lower one, so a process that was replaced can do no harm.
//!
//! It is kept in the operator's Lease, and taken once at the start, without an election.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use super::client::{CallError, call};
use super::metrics::{Metrics, Verb};
use crate::names::LEASE;
use crate::{labels, limits};

/// Where the Lease carries the highest term so far.
pub const TERM_ANNOTATION: &str = "proxima.dev/term";

/// Why there is no term.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// The API server.
    #[error("cannot take a term from the Lease {namespace}/{LEASE}: {error}")]
    Call {
        /// The operator's namespace.
        namespace: String,
        /// Why.
        error: CallError,
    },
    /// Others wrote in between, each time.
    #[error("cannot take a term from the Lease {0}/{LEASE}: others keep writing it; is a second operator running?")]
    Contended(String),
}

/// Takes the next term for the process that calls itself `identity`, at `now`.
pub async fn take_term(
    client: &Client,
    namespace: &str,
    identity: &str,
    now: Timestamp,
    metrics: &Metrics,
) -> Result<u64, TermError> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let failed = |error| TermError::Call { namespace: namespace.to_owned(), error };
    for _ in 0..limits::TERM_ATTEMPTS {
        let held = call(leases.get_opt(LEASE)).await.map_err(failed)?;
        let (term, lease) = next(held.as_ref(), identity, now);
        let written = if held.is_some() {
            metrics.mutating(Verb::Update, "Lease");
            call(leases.replace(LEASE, &PostParams::default(), &lease)).await
        } else {
            metrics.mutating(Verb::Create, "Lease");
            call(leases.create(&PostParams::default(), &lease)).await
        };
        match written {
            Ok(_) => return Ok(term),
            // Somebody was faster, or it was deleted: read again.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(TermError::Contended(namespace.to_owned()))
}

/// The next term, and the Lease that carries it.
fn next(held: Option<&Lease>, identity: &str, now: Timestamp) -> (u64, Lease) {
    let mut lease = held.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.to_owned()),
            labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: None,
    });
    let annotations = lease.metadata.annotations.get_or_insert_default();
    let previous = annotations.get(TERM_ANNOTATION).and_then(|term| term.parse::<u64>().ok());
    // The time makes up for a Lease that was deleted, and the counter for a clock that was put back.
    let time = u64::try_from(now.as_second()).unwrap_or_default();
    let term = previous.map_or(time, |previous| previous.saturating_add(1).max(time));
    annotations.insert(TERM_ANNOTATION.to_owned(), term.to_string());
    let spec = lease.spec.get_or_insert_default();
    *spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1))),
        ..spec.clone()
    };
    (term, lease)
}

#[cfg(test)]
mod tests;
