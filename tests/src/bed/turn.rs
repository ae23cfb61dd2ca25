//! Who else uses the same bed meanwhile: the tests of one process share what takes long to start.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Held for as long as a test uses a bed.
#[expect(dead_code, reason = "released when dropped")]
pub(super) enum Turn {
    /// The bed is the test's own.
    Own,
    /// Together with others who chose so too.
    Others(OwnedRwLockReadGuard<()>),
    /// Nobody else until it is dropped.
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Turn {
    pub(super) async fn with_others(turns: &Arc<RwLock<()>>) -> Self {
        Self::Others(Arc::clone(turns).read_owned().await)
    }

    pub(super) async fn alone(turns: &Arc<RwLock<()>>) -> Self {
        Self::Alone(Arc::clone(turns).write_owned().await)
    }
}
