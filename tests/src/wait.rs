//! Waiting for conditions.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a test gives up. Generous, since machines that run tests are busy; it is only ever
/// waited out by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `probe` answers `Ok`, and returns what it answered. When it never does, panics with its last `Err`, which
/// tells the state that was seen instead.
pub async fn wait_until<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(state) if started.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} until {what}; last seen: {state}")
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// Bounds a future that cannot tell its state.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
