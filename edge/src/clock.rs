//! The only reader of the machine's clocks. Everything else is told what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proxima_edge_core::timestamp::Timestamp;

/// Where the time comes from. Cheap to clone, cheap to read: no lock, no allocation.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { started: Instant },
    Manual { started: Timestamp, passed_micros: Arc<AtomicU64> },
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
        let started = Instant::now();
        Self(Source::System { started })
    }

    /// A clock that stands still until it is advanced. For tests.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual { started: start, passed_micros: Arc::default() })
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { .. } => {
                #[expect(clippy::disallowed_methods, reason = "this module is where the clock is read")]
                let now = SystemTime::now();
                let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual { started, .. } => started.plus(self.uptime()),
        }
    }

    /// Time since this clock was made. Never goes back, unlike the time of day, and counts below the millisecond: use
    /// it to measure.
    pub fn uptime(&self) -> Duration {
        match &self.0 {
            Source::System { started } => started.elapsed(),
            Source::Manual { passed_micros, .. } => Duration::from_micros(passed_micros.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward; the system's cannot be moved and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { passed_micros, .. } = &self.0 {
            passed_micros.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_advanced() {
        let clock = Clock::manual(Timestamp::from_millis(1_000));
        assert_eq!(clock.now(), Timestamp::from_millis(1_000));
        clock.clone().advance(Duration::from_millis(250));
        assert_eq!(clock.now(), Timestamp::from_millis(1_250));
        assert_eq!(clock.uptime(), Duration::from_millis(250));
    }

    #[test]
    fn system_clock_knows_the_century() {
        assert!(Clock::system().now() > Timestamp::from_millis(1_700_000_000_000));
    }
}
