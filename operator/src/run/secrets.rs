//! Secrets of the link: the operator's client key, and per namespace the edges' server key with the operator's pin.
//!
//! The operator may touch Secrets of these two names only, and creates them by server-side apply, since that is the one
//! way of creating whose permission can name the object.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use tokio::sync::{Mutex, MutexGuard};

use super::client::{CallError, call};
use super::metrics::{Metrics, Verb};
use crate::link::Keys;
use crate::link::keys::KeysError;
use crate::names::{CLIENT_SECRET, LINK_SECRET};
use crate::{labels, limits};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const OPERATOR_PIN: &str = "operator.pin";
/// Its content is checked by the API server, and it cannot be changed: applying onto another's Secret of the usual type
/// is refused.
const TYPE: &str = "kubernetes.io/tls";

/// Why a Secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server.
    #[error("cannot {action} the Secret {namespace}/{name}: {error}")]
    Call {
        /// What was attempted.
        action: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: &'static str,
        /// Why.
        error: CallError,
    },
    /// The stored key cannot be used.
    #[error(
        "the Secret {namespace}/{CLIENT_SECRET} has no usable key pair ({detail}); delete it and restart the operator, \
         which makes a new one and tells all edges"
    )]
    Malformed {
        /// Its namespace.
        namespace: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A Secret of that name exists and the operator did not make it.
    #[error(
        "the Secret {0}/{LINK_SECRET} is not the operator's, so edges get no key; rename or delete it, the operator then \
         makes its own"
    )]
    Foreign(String),
    /// It could not be made, though nobody refused.
    #[error("the Secret {namespace}/{name} keeps changing while it is made; is a second operator running?")]
    Unsettled {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: &'static str,
    },
    /// No key pair could be made.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl SecretError {
    /// Whether a person has to move an object of the same name out of the way.
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_))
    }
}

/// What a Secret of edges says, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSecret {
    /// Its uid.
    pub uid: String,
    /// Pin of the edges' server key.
    pub server_pin: String,
    /// Pins of the operators that edges obey.
    pub operator_pins: Vec<String>,
    /// Whether the operator made it.
    pub is_ours: bool,
}

impl LinkSecret {
    /// None for a Secret of another name, and for one without a usable key pair.
    pub fn read(secret: &Secret) -> Option<Self> {
        if secret.metadata.name.as_deref() != Some(LINK_SECRET) {
            return None;
        }
        let keys = Keys::from_pem(text(secret, CERTIFICATE).ok()?, text(secret, KEY).ok()?).ok()?;
        let pins = text(secret, OPERATOR_PIN).unwrap_or_default();
        Some(Self {
            uid: secret.metadata.uid.clone()?,
            server_pin: keys.pin(),
            operator_pins: pins.split_whitespace().map(str::to_ascii_lowercase).collect(),
            is_ours: is_ours(secret),
        })
    }

    /// Whether edges that mount it obey the operator with this pin, and no other.
    pub fn is_current(&self, operator_pin: &str) -> bool {
        self.is_ours && self.operator_pins == [operator_pin]
    }
}

/// Reads the operator's client keys, and makes them when there are none yet.
pub async fn client_keys(client: &Client, namespace: &str, metrics: &Metrics) -> Result<Keys, SecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |action| move |error| SecretError::call(action, namespace, CLIENT_SECRET, error);
    for _ in 0..limits::SECRET_ATTEMPTS {
        // What is stored counts, also right after writing: of two that raced, one has to take the other's.
        if let Some(secret) = call(secrets.get_opt(CLIENT_SECRET)).await.map_err(failed("read"))? {
            let malformed = |detail| SecretError::Malformed { namespace: namespace.to_owned(), detail };
            let certificate = text(&secret, CERTIFICATE).map_err(malformed)?;
            let key = text(&secret, KEY).map_err(malformed)?;
            return Keys::from_pem(certificate, key).map_err(|error| malformed(error.to_string()));
        }
        let keys = Keys::generate(labels::MANAGER)?;
        let secret = secret(CLIENT_SECRET, labels::MANAGER, &keys, None);
        // A field manager for each key: of the same manager the second apply would overwrite the first key, which
        // another process may already use; of another one it is refused.
        let manager = format!("{}-{}", labels::MANAGER, keys.pin());
        metrics.mutating(Verb::Patch, "Secret");
        match call(secrets.patch(CLIENT_SECRET, &PatchParams::apply(&manager), &Patch::Apply(&secret))).await {
            Ok(_) => tracing::info!("made a client key for the link: Secret {namespace}/{CLIENT_SECRET}"),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(failed("make")(error)),
        }
    }
    Err(SecretError::Unsettled { namespace: namespace.to_owned(), name: CLIENT_SECRET })
}

/// Keeps the Secrets that edges mount.
pub struct LinkSecrets {
    client: Client,
    operator_pin: String,
    metrics: Metrics,
    /// One change at a time in a namespace, so that two Distributions do not make two keys. Namespaces share them.
    locks: [Mutex<()>; limits::SECRET_LOCKS],
}

impl LinkSecrets {
    /// `operator_pin` is what edges shall obey.
    pub fn new(client: Client, operator_pin: String, metrics: Metrics) -> Self {
        Self { client, operator_pin, metrics, locks: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Sees to it that the namespace has its Secret, with the operator's pin; returns the pin of the edges' server key.
    pub async fn ensure(&self, namespace: &str) -> Result<String, SecretError> {
        let _one_at_a_time = self.lock(namespace).await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        for _ in 0..limits::SECRET_ATTEMPTS {
            let found = call(secrets.get_opt(LINK_SECRET)).await.map_err(Self::failed("read", namespace))?;
            if found.as_ref().is_some_and(|found| !is_ours(found)) {
                return Err(SecretError::Foreign(namespace.to_owned()));
            }
            let wanted = match &found {
                Some(found) => match LinkSecret::read(found) {
                    Some(link) if link.is_current(&self.operator_pin) => return Ok(link.server_pin),
                    _ => self.mended(found)?,
                },
                None => secret(LINK_SECRET, labels::EDGE, &Keys::generate(labels::EDGE)?, Some(&self.operator_pin)),
            };
            let mut params = PatchParams::apply(labels::MANAGER);
            // Only what is known to be ours is overwritten, whoever wrote a field of it last.
            params.force = found.is_some();
            self.metrics.mutating(Verb::Patch, "Secret");
            match call(secrets.patch(LINK_SECRET, &params, &Patch::Apply(&wanted))).await {
                Ok(written) => {
                    if let Some(link) = LinkSecret::read(&written).filter(|link| link.is_current(&self.operator_pin)) {
                        return Ok(link.server_pin);
                    }
                }
                // Somebody else's appeared, or ours was replaced: look again.
                Err(error) if error.is_conflict() || (error.is_invalid() && found.is_none()) => {}
                Err(error) => return Err(Self::failed("write", namespace)(error)),
            }
        }
        Err(SecretError::Unsettled { namespace: namespace.to_owned(), name: LINK_SECRET })
    }

    /// Removes the Secret from a namespace without Distributions, if it is ours.
    pub async fn remove(&self, namespace: &str) -> Result<(), SecretError> {
        let _one_at_a_time = self.lock(namespace).await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = call(secrets.get_opt(LINK_SECRET)).await.map_err(Self::failed("read", namespace))?;
        let Some(found) = found.filter(is_ours) else { return Ok(()) };
        let preconditions = Preconditions { uid: found.metadata.uid, resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        self.metrics.mutating(Verb::Delete, "Secret");
        match call(secrets.delete(LINK_SECRET, &params)).await {
            Ok(_) => Ok(()),
            // It is gone, or what bears its name now is another one.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(Self::failed("delete", namespace)(error)),
        }
    }

    /// Ours, with the operator's pin: the same server key, or a new one where it has none.
    fn mended(&self, found: &Secret) -> Result<Secret, SecretError> {
        let stored = text(found, CERTIFICATE).ok().zip(text(found, KEY).ok());
        let keys = match stored.and_then(|(certificate, key)| Keys::from_pem(certificate, key).ok()) {
            Some(keys) => keys,
            None => Keys::generate(labels::EDGE)?,
        };
        let mut mended = secret(LINK_SECRET, labels::EDGE, &keys, Some(&self.operator_pin));
        mended.metadata.uid.clone_from(&found.metadata.uid);
        Ok(mended)
    }

    fn failed(action: &'static str, namespace: &str) -> impl Fn(CallError) -> SecretError {
        move |error| SecretError::call(action, namespace, LINK_SECRET, error)
    }

    async fn lock(&self, namespace: &str) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(namespace);
        let index = usize::try_from(hash % self.locks.len() as u64).expect("it is less than the number of locks");
        self.locks[index].lock().await
    }
}

impl SecretError {
    fn call(action: &'static str, namespace: &str, name: &'static str, error: CallError) -> Self {
        Self::Call { action, namespace: namespace.to_owned(), name, error }
    }
}

/// As it is applied.
fn secret(name: &str, software: &str, keys: &Keys, operator_pin: Option<&str>) -> Secret {
    let entry = |key: &str, text: String| (key.to_owned(), ByteString(text.into_bytes()));
    let mut data =
        BTreeMap::from([entry(CERTIFICATE, keys.certificate_pem().to_owned()), entry(KEY, keys.key_pem().to_owned())]);
    data.extend(operator_pin.map(|pin| entry(OPERATOR_PIN, format!("{pin}\n"))));
    let labels = [(labels::NAME, software), (labels::MANAGED_BY, labels::MANAGER)];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

fn is_ours(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(labels::MANAGED_BY)).is_some_and(|manager| manager == labels::MANAGER)
}

fn text<'a>(secret: &'a Secret, key: &str) -> Result<&'a str, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("it has no key {key}"))?;
    str::from_utf8(&bytes.0).map_err(|_| format!("{key} is not text"))
}

#[cfg(test)]
mod tests;
