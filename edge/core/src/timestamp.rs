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

    /// Reads an HTTP date in any of its three forms (RFC 9110 § 5.6.7). Case does not matter (RFC 9111 § 4.2). Years of two
    /// digits are those from 1970 to 2069.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(&usual_case(text)).ok()?;
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
    }

    /// As an HTTP date, in the preferred form. Beyond the year 9999, which the form cannot say, its last second.
    pub fn to_http_date(self) -> String {
        let seconds = (self.0 / 1_000).min(HTTP_DATE_MAX_SECONDS);
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

/// Names of days and months with a capital, the zone in capitals.
fn usual_case(text: &str) -> String {
    let mut previous = ' ';
    let usual = |(index, character): (usize, char)| {
        let inside_word = previous.is_ascii_alphabetic();
        previous = character;
        let zone = index + 3 >= text.len();
        if inside_word && !zone { character.to_ascii_lowercase() } else { character.to_ascii_uppercase() }
    };
    text.char_indices().map(usual).collect()
}

/// 9999-12-31T23:59:59Z.
const HTTP_DATE_MAX_SECONDS: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read_in_every_form() {
        let expected = Some(Timestamp::from_millis(784_111_777_000));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(Timestamp::from_http_date(text), expected, "{text}");
        }
        for text in ["", "0", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37", "06 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(Timestamp::from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_read_in_any_case() {
        let expected = Some(Timestamp::from_millis(784_111_777_000));
        for text in ["SUN, 06 NOV 1994 08:49:37 GMT", "sunday, 06-nov-94 08:49:37 gmt", "sun NOV  6 08:49:37 1994"] {
            assert_eq!(Timestamp::from_http_date(text), expected, "{text}");
        }
        assert_eq!(Timestamp::from_http_date("Sün, 06 Nov 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn http_dates_are_written_in_the_preferred_form() {
        for (millis, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_http_date(), text);
        }
    }

    #[test]
    fn sums_and_differences_saturate() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(7));
        assert_eq!((late.since(early), early.since(late)), (Duration::from_millis(2), Duration::ZERO));
        assert_eq!(late.plus(Duration::MAX), Timestamp::from_millis(u64::MAX));
    }
}
