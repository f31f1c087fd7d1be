//! Instants as whole milliseconds since 1970 in UTC, with the one text form the partner API shows.
//!
//! Used wherever time is a value: events, deadlines, expiry. Reading a clock is deliberately absent.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 9999-12-30T22:00:00.000Z, the last instant that has an RFC 3339 text with a four-digit year at every offset. Beyond it
    /// there is none to write or to read.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since 1970, clamped to `0..=Timestamp::MAX`.
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        if unix_ms < 0 {
            Self(0)
        } else if unix_ms > Self::MAX.0 {
            Self::MAX
        } else {
            Self(unix_ms)
        }
    }

    /// Milliseconds since 1970, `0..=253_402_207_200_000`.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded up, as DynamoDB's TTL wants them.
    pub const fn unix_s_ceil(self) -> i64 {
        (self.0 + 999) / 1000
    }

    /// This instant plus `duration`, clamped to [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_ms(self.0.saturating_add(duration_ms))
    }

    /// This instant minus `duration`, clamped to 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_ms(self.0.saturating_sub(duration_ms))
    }

    /// How long `earlier` lies before this instant; zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with three decimals, e.g. `2026-11-20T12:00:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "1970-01-01T00:00:00.000Z"),
        }
    }
}

/// A text was not an RFC 3339 instant with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 instant with an offset, such as 2026-11-20T12:00:00.123Z")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339 with any offset and any number of decimals; fractions of a millisecond are cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| ParseTimestampError)?;
        let unix_ms = instant.as_millisecond();
        if (0..=Self::MAX.0).contains(&unix_ms) { Ok(Self(unix_ms)) } else { Err(ParseTimestampError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_agree() {
        let at: Timestamp = "2026-11-20T09:00:00.123456789-03:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-20T12:00:00.123Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert_eq!(Timestamp::from_unix_ms(1).to_string(), "1970-01-01T00:00:00.001Z");
        assert!("2026-11-20T09:00:00".parse::<Timestamp>().is_err(), "no offset");
    }

    /// What is clamped has to be shown as what it is: an expiry far away that reads 1970 is one that has passed.
    #[test]
    fn the_ends_survive_their_text() {
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
        for end in [Timestamp::default(), Timestamp::MAX, Timestamp::from_unix_ms(i64::MAX)] {
            assert_eq!(end.to_string().parse::<Timestamp>(), Ok(end));
        }
        assert!("9999-12-31T00:00:00Z".parse::<Timestamp>().is_err());
    }

    #[test]
    fn arithmetic_clamps() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_ms(5).minus(Duration::from_secs(1)).unix_ms(), 0);
        assert_eq!(Timestamp::from_unix_ms(5).since(Timestamp::from_unix_ms(9)), Duration::ZERO);
    }
}
