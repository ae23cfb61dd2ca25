//! A point in time, as data. Who reads the clock is not this crate's business.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time that has passed since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This much later.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Reads an HTTP date in any of its three forms (RFC 9110 § 5.6.7). One before 1970 counts as the epoch.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(text).ok()?;
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
    }

    /// As an HTTP date, in the preferred form. Beyond the year 9999, which the form cannot say, its last second.
    pub fn to_http_date(self) -> String {
        let seconds = (self.0 / 1_000).min(HTTP_DATE_MAX_SECONDS);
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// 9999-12-31T23:59:59Z.
const HTTP_DATE_MAX_SECONDS: u64 = 253_402_300_799;
