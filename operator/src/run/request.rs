//! A request to the API server that says what it was for when it fails.

use std::future::Future;

use super::client::{self, CallError};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {error}")]
pub struct RequestError {
    /// What was attempted, such as `patch Deployment shop-edge-a`.
    what: String,
    /// Why it failed.
    #[source]
    error: CallError,
}

impl RequestError {
    /// Why it failed.
    pub fn cause(&self) -> &CallError {
        &self.error
    }
}

/// Waits for the answer to a request, not for ever.
pub async fn request<T>(what: String, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
    client::call(request).await.map_err(|error| RequestError { what, error })
}
