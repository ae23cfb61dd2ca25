//! The way to the API server: where it is, how long a call may take, and what must be there before work can begin.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::{HeaderValue, Request, header};
use kube::api::ListParams;
use kube::client::{Body, ClientBuilder};
use kube::core::Status;
use kube::{Api, Client, Config, Resource};
use proxima_crds::v1alpha1::Distribution;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use tower::util::MapRequestLayer;

use super::admin::Health;
use crate::backoff::Backoff;
use crate::{clock, limits};

/// Why a call of the API server gave no result.
#[derive(Debug)]
pub enum CallError {
    /// It took longer than [`limits::API_CALL`].
    Late,
    /// The API server refused it, or cannot be reached.
    Kube(Box<kube::Error>),
}

impl CallError {
    fn status(&self) -> Option<&Status> {
        match self {
            Self::Kube(error) => match &**error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Late => None,
        }
    }

    /// By the code, not by the reason: what is no answer of the API server itself, such as that of a group which does not
    /// exist, has no reason.
    fn has_code(&self, code: http::StatusCode) -> bool {
        self.status().is_some_and(|status| status.code == code.as_u16())
    }

    /// There is no such object, or no such kind.
    pub fn is_not_found(&self) -> bool {
        self.has_code(http::StatusCode::NOT_FOUND)
    }

    /// Somebody else was there first: a changed object, a taken name, or fields that another manager owns.
    pub fn is_conflict(&self) -> bool {
        self.has_code(http::StatusCode::CONFLICT)
    }

    /// A permission is missing.
    pub fn is_forbidden(&self) -> bool {
        self.has_code(http::StatusCode::FORBIDDEN)
    }

    /// The API server finds the object invalid, such as one whose fixed fields would change.
    pub fn is_invalid(&self) -> bool {
        self.has_code(http::StatusCode::UNPROCESSABLE_ENTITY)
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.status()) {
            (Self::Late, _) => {
                write!(formatter, "the API server did not answer within {} s", limits::API_CALL.as_secs())
            }
            // The API server's own sentence, without what the library puts around it.
            (Self::Kube(_), Some(status)) if !status.message.is_empty() => formatter.write_str(&status.message),
            (Self::Kube(error), _) => match &**error {
                kube::Error::Service(error) => formatter.write_str(&chain(&**error)),
                error => formatter.write_str(&chain(error)),
            },
        }
    }
}

impl std::error::Error for CallError {}

/// The whole chain of causes, each once: the first links say no more than that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let link = error.to_string();
        if !text.contains(&link) {
            text = format!("{text}: {link}");
        }
        cause = error.source();
    }
    text
}

/// Waits for one call of the API server, for no longer than [`limits::API_CALL`].
pub async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match timeout(limits::API_CALL, request).await {
        Ok(result) => result.map_err(CallError::from),
        Err(_) => Err(CallError::Late),
    }
}

/// Why it is not even known where the API server is: the user's to mend, and not by waiting.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account.
    #[error("cannot find the API server; set KUBECONFIG, or run in a Pod with a service account: {0}")]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// It is there, and cannot be used.
    #[error("cannot use the kubeconfig: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// Finds out where the API server is. Connects to nobody.
pub async fn config() -> Result<Config, ClientError> {
    let mut config = Config::infer().await.map_err(|error| ClientError::Config(Box::new(error)))?;
    config.connect_timeout = Some(limits::API_CONNECT);
    config.write_timeout = Some(limits::API_CALL);
    // Watches are silent for minutes; calls have a bound of their own.
    config.read_timeout = None;
    let agent = concat!("proxima-operator/", env!("CARGO_PKG_VERSION"));
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(agent)));
    Ok(config)
}

/// A client. Every request of a list or watch is told to `health`: it shows that the watch is alive, be it quiet or
/// refused.
pub fn client(config: Config, health: Arc<Health>) -> Result<Client, ClientError> {
    // Fails only when another part of the process chose a provider, which then serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tracing::info!(address = %config.cluster_url, "the API server");
    let builder = ClientBuilder::try_from(config).map_err(|error| ClientError::Client(Box::new(error)))?;
    Ok(builder.with_layer(&noting(health)).build())
}

fn noting(health: Arc<Health>) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone> {
    MapRequestLayer::new(move |request: Request<Body>| {
        // Lists and watches have these, gets of one object do not.
        let is_of_many = |query: &str| query.contains("watch=") || query.contains("limit=");
        if request.uri().query().is_some_and(is_of_many)
            && let Some(resource) = request.uri().path().rsplit('/').next()
        {
            health.progress(resource);
        }
        request
    })
}

/// The API server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerVersion {
    /// 1, so far.
    pub major: u32,
    /// Raised three times a year.
    pub minor: u32,
}

impl ServerVersion {
    /// Providers decorate the minor version, such as `33+`.
    fn parse(major: &str, minor: &str) -> Option<Self> {
        let number = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..end].parse().ok()
        };
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Why work cannot begin yet. Each is a sentence with the way out.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// No answer, or none that makes sense.
    #[error("cannot reach the API server: {0}")]
    Unreachable(CallError),
    /// It answers, and does not know who asks.
    #[error(
        "the API server does not accept the operator's credentials ({0}); mend the kubeconfig or the ServiceAccount's \
         token"
    )]
    Unknown(CallError),
    /// The kind is unknown.
    #[error(
        "the API server knows no Distributions; install the CRDs, with \
         `helm install proxima-crds` or `proxima-operator crds | kubectl apply --server-side -f -`"
    )]
    NoCrd,
    /// A permission is missing.
    #[error(
        "the operator may not list {resource}; bind the ClusterRole of the chart to its ServiceAccount (the API server \
         says: {error})"
    )]
    Forbidden {
        /// Plural name of the kind.
        resource: String,
        /// In the API server's words.
        error: CallError,
    },
    /// Listing fails for another reason.
    #[error("cannot list {resource}: {error}")]
    Refused {
        /// Plural name of the kind.
        resource: String,
        /// In the API server's words.
        error: CallError,
    },
    /// What answers is no Kubernetes that we know.
    #[error("the API server names a version that is none: {0:?}")]
    NoVersion(String),
}

impl Obstacle {
    fn of_any_call(error: CallError) -> Self {
        if error.has_code(http::StatusCode::UNAUTHORIZED) { Self::Unknown(error) } else { Self::Unreachable(error) }
    }
}

/// Waits until work can begin, for as long as it takes. Each obstacle is logged once and shown by `health`.
pub async fn wait_until_usable(client: &Client, health: &Health) -> ServerVersion {
    let mut backoff = Backoff::new(limits::STARTUP_RETRY_MIN, limits::STARTUP_RETRY_MAX);
    let mut told = None;
    loop {
        let obstacle = match examine(client).await {
            Ok(version) => {
                health.unblocked();
                return version;
            }
            Err(obstacle) => obstacle.to_string(),
        };
        health.blocked(&obstacle);
        if told.as_ref() != Some(&obstacle) {
            tracing::error!("{obstacle}; it is tried again until it works");
            told = Some(obstacle);
        }
        sleep(backoff.pause(clock::fraction())).await;
    }
}

/// Looks for what stands in the way. Of permissions only the one without which there is nothing to do: for want of any
/// other, something works still, and its watch tells what it lacks.
async fn examine(client: &Client) -> Result<ServerVersion, Obstacle> {
    let info = call(client.apiserver_version()).await.map_err(Obstacle::of_any_call)?;
    let version = ServerVersion::parse(&info.major, &info.minor)
        .ok_or_else(|| Obstacle::NoVersion(format!("{}.{}", info.major, info.minor)))?;
    may_list::<Distribution>(client).await?;
    Ok(version)
}

async fn may_list<K>(client: &Client) -> Result<(), Obstacle>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    // Metadata only: an object that cannot be read is no obstacle for the others.
    let Err(error) = call(api.list_metadata(&ListParams::default().limit(1))).await else { return Ok(()) };
    let resource = K::plural(&()).into_owned();
    Err(match error {
        error if error.is_not_found() && resource == Distribution::plural(&()) => Obstacle::NoCrd,
        error if error.is_forbidden() => Obstacle::Forbidden { resource, error },
        error if error.status().is_some() => Obstacle::Refused { resource, error },
        error => Obstacle::of_any_call(error),
    })
}

#[cfg(test)]
mod tests;
