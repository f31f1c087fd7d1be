//! A merchant's profile: who it is and when it is open.
//!
//! Checked once, where it enters; the store keeps what was checked. Whether a merchant is open now is deliberately absent:
//! kitchen-api judges that when it answers.

mod wire;

use order_model::{MerchantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 200;
/// How long an Open Delivery id is, in characters (CONTRACT).
pub(crate) const OPEN_DELIVERY_ID_CHARACTERS: std::ops::RangeInclusive<usize> = 36..=100;
/// Seven days of at most a dozen shifts each.
const SHIFTS_MAX: usize = 84;
/// More than a year of weekly closings.
const INTERRUPTIONS_MAX: usize = 100;
/// The longest id and description of an interruption, in characters: 100 of them stay below DynamoDB's 400 KB an item.
const INTERRUPTION_CHARACTERS_MAX: (usize, usize) = (200, 500);
/// A day.
const DAY_MINUTES: u32 = 24 * 60;

/// A merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// Its Open Delivery id, 36 to 100 characters, unique.
    pub open_delivery_id: Option<String>,
    /// Shown to partners.
    pub name: String,
    /// Legal name; empty when unknown.
    pub corporate_name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// Opening hours, store-local.
    pub shifts: Vec<Shift>,
    /// Planned closings.
    pub interruptions: Vec<Interruption>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// One weekly opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// 1 Monday to 7 Sunday.
    pub day_of_week: u32,
    /// Minutes after midnight, 0 to 1439.
    pub start_minute: u32,
    /// 1 to 1440; may cross midnight.
    pub duration_minutes: u32,
}

/// One planned closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// Its id.
    pub id: String,
    /// For people.
    pub description: String,
    /// ms since 1970.
    pub start_ms: i64,
    /// ms since 1970, after the start.
    pub end_ms: i64,
}

/// A profile cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct InvalidMerchant {
    /// The field.
    pub field: &'static str,
    /// What was expected.
    pub expected: &'static str,
}

impl Merchant {
    /// Open around the clock.
    pub fn around_the_clock() -> Vec<Shift> {
        (1..=7).map(|day_of_week| Shift { day_of_week, start_minute: 0, duration_minutes: DAY_MINUTES }).collect()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// With the first field that does not fit.
    pub fn check(&self) -> Result<(), InvalidMerchant> {
        let refuse = |field, expected| Err(InvalidMerchant { field, expected });
        let fits = |text: &str| text.chars().count() <= NAME_CHARACTERS_MAX;
        if self.name.trim().is_empty() || !fits(&self.name) {
            return refuse("name", "expected 1 to 200 characters");
        }
        if !fits(&self.corporate_name) {
            return refuse("corporateName", "expected at most 200 characters");
        }
        if self.open_delivery_id.as_ref().is_some_and(|id| !OPEN_DELIVERY_ID_CHARACTERS.contains(&id.chars().count())) {
            return refuse("openDeliveryId", "expected 36 to 100 characters");
        }
        if jiff::tz::TimeZone::get(&self.time_zone).is_err() {
            return refuse("timeZone", "expected an IANA time zone such as America/Sao_Paulo");
        }
        if self.shifts.len() > SHIFTS_MAX || !self.shifts.iter().all(Shift::fits) {
            return refuse(
                "shifts",
                "expected at most 84, each on day 1 to 7, starting at minute 0 to 1439, 1 to 1440 minutes long",
            );
        }
        if self.interruptions.len() > INTERRUPTIONS_MAX || !self.interruptions.iter().all(Interruption::fits) {
            return refuse(
                "interruptions",
                "expected at most 100, each ending after it starts, id and description at most 200 and 500 characters",
            );
        }
        Ok(())
    }
}

impl Shift {
    fn fits(&self) -> bool {
        (1..=7).contains(&self.day_of_week)
            && self.start_minute < DAY_MINUTES
            && (1..=DAY_MINUTES).contains(&self.duration_minutes)
    }
}

impl Interruption {
    fn fits(&self) -> bool {
        let (id_max, description_max) = INTERRUPTION_CHARACTERS_MAX;
        self.start_ms < self.end_ms
            && self.id.chars().count() <= id_max
            && self.description.chars().count() <= description_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Merchant {
        Merchant {
            id: MerchantId::from_bytes([1; 16]),
            open_delivery_id: None,
            name: "Cantina".to_owned(),
            corporate_name: String::new(),
            time_zone: "America/Sao_Paulo".to_owned(),
            shifts: Merchant::around_the_clock(),
            interruptions: Vec::new(),
            created_at: Timestamp::from_unix_ms(1000),
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        assert_eq!(sample().check(), Ok(()));
        let field = |merchant: Merchant| merchant.check().unwrap_err().field;
        assert_eq!(field(Merchant { name: " ".to_owned(), ..sample() }), "name");
        assert_eq!(field(Merchant { time_zone: "Sao Paulo".to_owned(), ..sample() }), "timeZone");
        assert_eq!(field(Merchant { open_delivery_id: Some("short".to_owned()), ..sample() }), "openDeliveryId");
        let shifts = vec![Shift { day_of_week: 8, start_minute: 0, duration_minutes: 1 }];
        assert_eq!(field(Merchant { shifts, ..sample() }), "shifts");
        let backwards = Interruption { id: "i".to_owned(), description: String::new(), start_ms: 5, end_ms: 5 };
        assert_eq!(field(Merchant { interruptions: vec![backwards], ..sample() }), "interruptions");
    }

    #[test]
    fn a_profile_survives_the_wire() {
        let wire = proto::merchant_connection::Merchant::from(&sample());
        assert_eq!(Merchant::try_from(&wire).unwrap(), sample());
    }
}
