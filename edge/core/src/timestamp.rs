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

    /// Reads an HTTP date in any of its three forms (RFC 9110 § 5.6.7). Case does not matter (RFC 9111 § 4.2). `now`, or any
    /// time near it, tells the century of a year of two digits.
    pub fn from_http_date(text: &str, now: Self) -> Option<Self> {
        let text = usual_case(text);
        if text.contains('-') { Self::from_short_year(&text, now) } else { Self::from_long_year(&text) }
    }

    /// The obsolete form of RFC 850, `Sunday, 06-Nov-94 08:49:37 GMT`: the latest such day, but none that is more than 50
    /// years ahead.
    fn from_short_year(text: &str, now: Self) -> Option<Self> {
        let (day_name, rest) = text.split_once(", ")?;
        let (date, time) = rest.split_once(' ')?;
        let (day_and_month, year) = date.rsplit_once('-')?;
        let (day, month) = day_and_month.split_once('-')?;
        if !DAY_NAMES.contains(&day_name) || year.len() != 2 {
            return None;
        }
        let century = (1_970 + now.0 / YEAR_MILLIS) / 100;
        let dates = (19..=century + 1).rev().filter_map(|century| {
            Self::from_long_year(&format!("{}, {day} {month} {century}{year} {time}", &day_name[..3]))
        });
        let latest = Self(now.0.saturating_add(50 * YEAR_MILLIS));
        dates.into_iter().find(|&date| date <= latest)
    }

    fn from_long_year(text: &str) -> Option<Self> {
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

/// As RFC 850 writes them.
const DAY_NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A year of the calendar on average, milliseconds.
const YEAR_MILLIS: u64 = 31_556_952_000;

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
        let now = Timestamp::from_millis(1_795_348_800_000);
        let expected = Some(Timestamp::from_millis(784_111_777_000));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(Timestamp::from_http_date(text, now), expected, "{text}");
        }
        for text in ["", "0", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37", "06 Nov 1994 08:49:37 GMT"]
        {
            assert_eq!(Timestamp::from_http_date(text, now), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_read_in_any_case() {
        let now = Timestamp::from_millis(1_795_348_800_000);
        let expected = Some(Timestamp::from_millis(784_111_777_000));
        for text in ["SUN, 06 NOV 1994 08:49:37 GMT", "sunday, 06-nov-94 08:49:37 gmt", "sun NOV  6 08:49:37 1994"] {
            assert_eq!(Timestamp::from_http_date(text, now), expected, "{text}");
        }
        assert_eq!(Timestamp::from_http_date("Sün, 06 Nov 1994 08:49:37 GMT", now), None);
    }

    #[test]
    fn years_of_two_digits_are_at_most_fifty_years_ahead() {
        let read = |text: &str, now: &str| {
            let now = Timestamp::from_http_date(now, Timestamp::from_millis(0)).unwrap();
            Timestamp::from_http_date(text, now).map(Timestamp::to_http_date)
        };
        let noon = "Sun, 22 Nov 2026 12:00:00 GMT";
        for (text, expected) in [
            ("Wednesday, 01-Jan-70 00:00:00 GMT", Some("Wed, 01 Jan 2070 00:00:00 GMT")),
            ("Saturday, 21-Nov-76 00:00:00 GMT", Some("Sat, 21 Nov 2076 00:00:00 GMT")),
            ("Wednesday, 24-Nov-76 00:00:00 GMT", Some("Wed, 24 Nov 1976 00:00:00 GMT")),
            ("Friday, 25-Nov-77 00:00:00 GMT", Some("Fri, 25 Nov 1977 00:00:00 GMT")),
            ("Saturday, 01-Jan-00 00:00:00 GMT", Some("Sat, 01 Jan 2000 00:00:00 GMT")),
            // The day of the week tells, where it can.
            ("Thursday, 01-Jan-70 00:00:00 GMT", Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            ("Monday, 01-Jan-70 00:00:00 GMT", None),
            ("Thu, 01-Jan-70 00:00:00 GMT", None),
            ("Thursday, 01-Jan-1970 00:00:00 GMT", None),
            ("Thursday, 1-Jan-70 00:00:00 GMT", None),
            ("Thursday, 01-Jan--7 00:00:00 GMT", None),
            ("Thursday, 01-Jan-70 00:00:00 CET", None),
        ] {
            assert_eq!(read(text, noon).as_deref(), expected, "{text}");
        }
        let turn = "Thu, 31 Dec 2099 23:59:59 GMT";
        assert_eq!(read("Friday, 01-Jan-00 00:00:00 GMT", turn).as_deref(), Some("Fri, 01 Jan 2100 00:00:00 GMT"));
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
