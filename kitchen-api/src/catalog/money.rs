//! Prices: whole cents, read off a decimal's text and written as one, never through binary floating point.
//!
//! Pure; also of `crate::shipping`. Currency is deliberately absent: the wire has none.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::limits::PRICE_MAX_CENTS;

/// An amount of at least nothing. Stored as its cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Money(u64);

/// What a price must look like.
pub(crate) const EXPECTED: &str = "a number from 0 to 1000000 with at most two decimals";

impl Money {
    /// Reads a JSON number, an exponent included: some serialisers write ten as `1E+1`. `None` when it is negative, too large
    /// or finer than a cent: to round a price is not for us.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?),
            None => (text, 0i32),
        };
        let (is_negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self(0));
        }
        if is_negative {
            return None;
        }
        let bare = significant.trim_end_matches('0');
        let zeros = i64::try_from(significant.len() - bare.len()).ok()?;
        // How many decimal places the bare digits have to be moved to become cents.
        let shift = i64::from(exponent) - i64::try_from(fraction.len()).ok()? + zeros + 2;
        let shift = u32::try_from(shift).ok()?;
        let cents = bare.parse::<u64>().ok()?.checked_mul(10u64.checked_pow(shift)?)?;
        (cents <= PRICE_MAX_CENTS).then_some(Self(cents))
    }

    /// So many cents, at most the highest price.
    pub(crate) fn of_cents(cents: u64) -> Self {
        Self(cents.min(PRICE_MAX_CENTS))
    }

    /// Its cents.
    pub(crate) fn cents(self) -> u64 {
        self.0
    }

    /// The JSON number.
    pub(crate) fn text(self) -> String {
        format!("{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// An amount as it is answered: `10.50`, a JSON number of exactly these digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount(pub(crate) Money);

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.text()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_read_by_their_text() {
        for (text, cents) in [
            ("0", 0),
            ("-0.0", 0),
            ("10", 1_000),
            ("10.5", 1_050),
            ("10.50", 1_050),
            ("0.07", 7),
            ("19.990000", 1_999),
            ("1E+1", 1_000),
            ("1.5e2", 15_000),
            ("1500e-2", 1_500),
            ("1000000", 100_000_000),
            ("0e999999999", 0),
        ] {
            assert_eq!(Money::read(text), Some(Money(cents)), "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "-1",
            "-0.01",
            "0.001",
            "19.999",
            "1000000.01",
            "1e30",
            "1e-3",
            "1e99999999999",
            "",
            ".5",
            "x",
            "1.2.3",
            "99999999999999999999999",
            "\"1\"",
            "1e",
            "NaN",
        ] {
            assert_eq!(Money::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(cents in 0..=PRICE_MAX_CENTS) {
            prop_assert_eq!(Money::read(&Money(cents).text()), Some(Money(cents)));
            prop_assert_eq!(serde_json::to_string(&Amount(Money(cents))).unwrap(), Money(cents).text());
        }
    }
}
