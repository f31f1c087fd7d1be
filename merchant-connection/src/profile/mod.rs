//! A merchant's profile: who it is and when it is open.
//!
//! Checked once, where it enters; the store keeps what was checked. Whether a merchant is open now is deliberately absent:
//! kitchen-api judges that when it answers.

#[cfg(test)]
mod hostile;
mod interruptions;
mod presentation;
mod shifts;
mod wire;

pub use interruptions::Interruption;
use order_model::{Coordinates, MerchantId, Timestamp};
pub use presentation::{Address, Presentation};
use shifts::DAY_MINUTES;
pub use shifts::Shift;

/// Where a merchant is that does not say so.
pub const DEFAULT_TIME_ZONE: &str = "America/Sao_Paulo";

/// Longest name, in characters.
const NAME_CHARACTERS_MAX: usize = 200;
/// How long an Open Delivery id is, in characters (CONTRACT).
pub(crate) const OPEN_DELIVERY_ID_CHARACTERS: std::ops::RangeInclusive<usize> = 36..=100;
/// Seven days of at most a dozen shifts each.
const SHIFTS_MAX: usize = 84;
/// More than a year of weekly closings.
const INTERRUPTIONS_MAX: usize = 100;

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
    /// An integrator's own, no restaurant: orders may be simulated for it.
    pub is_test: bool,
    /// Where it is; `None` when nobody said so.
    pub coordinates: Option<Coordinates>,
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

/// What must not overlap and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Two shifts.
    Shifts,
    /// Two interruptions.
    Interruptions,
}

impl Merchant {
    /// Open around the clock.
    pub fn around_the_clock() -> Vec<Shift> {
        (1..=7).map(|day_of_week| Shift { day_of_week, start_minute: 0, duration_minutes: DAY_MINUTES }).collect()
    }

    /// Checks every field, and that nothing overlaps.
    ///
    /// # Errors
    /// With the first field that does not fit.
    pub fn check(&self) -> Result<(), InvalidMerchant> {
        self.check_fields()?;
        let field = match self.overlap() {
            None => return Ok(()),
            Some(Overlap::Shifts) => "shifts",
            Some(Overlap::Interruptions) => "interruptions",
        };
        Err(InvalidMerchant { field, expected: "expected no two that overlap" })
    }

    /// What overlaps in a profile whose fields fit.
    pub(crate) fn overlap(&self) -> Option<Overlap> {
        match (shifts::overlap(&self.shifts), interruptions::overlap(&self.interruptions)) {
            (true, _) => Some(Overlap::Shifts),
            (false, true) => Some(Overlap::Interruptions),
            (false, false) => None,
        }
    }

    /// Checks each field by itself.
    fn check_fields(&self) -> Result<(), InvalidMerchant> {
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
        let Ok(zone) = jiff::tz::TimeZone::get(&self.time_zone) else {
            return refuse("timeZone", "expected an IANA time zone such as America/Sao_Paulo");
        };
        if self.shifts.len() > SHIFTS_MAX || !self.shifts.iter().all(Shift::fits) {
            return refuse(
                "shifts",
                "expected at most 84, each on day 1 to 7, starting at minute 0 to 1439, 1 to 1440 minutes long",
            );
        }
        let interruptions = &self.interruptions;
        if interruptions.len() > INTERRUPTIONS_MAX || !interruptions.iter().all(|one| one.fits(&zone)) {
            return refuse(
                "interruptions",
                "expected at most 100, each up to 7 days long, id and description at most 64 and 500 characters",
            );
        }
        if interruptions::share_an_id(interruptions) {
            return refuse("interruptions", "expected ids that differ");
        }
        Ok(())
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
            is_test: true,
            coordinates: Coordinates::from_microdegrees(-23_561_414, -46_655_881),
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
        assert_eq!(field(Merchant { interruptions: vec![backwards.clone()], ..sample() }), "interruptions");
        let forwards = |id: &str| Interruption { id: id.to_owned(), end_ms: 6, ..backwards.clone() };
        assert_eq!(field(Merchant { interruptions: vec![forwards("i"), forwards("i")], ..sample() }), "interruptions");
    }

    /// DynamoDB takes 400 KB an item; JSON writes a control character in six bytes.
    #[test]
    fn the_largest_profile_fits_into_an_item() {
        let of = |count: usize| "\u{1}".repeat(count);
        let interruption = |number: i64| Interruption {
            id: format!("{}{number:02}", of(62)),
            description: of(500),
            start_ms: 253_000_000_000_000 + number,
            end_ms: 253_000_000_000_001 + number,
        };
        let shift =
            |place: u32| Shift { day_of_week: place / 12 + 1, start_minute: place % 12 * 120, duration_minutes: 120 };
        let largest = Merchant {
            name: format!("x{}", of(199)),
            corporate_name: of(200),
            open_delivery_id: Some("é".repeat(100)),
            shifts: (0..84).map(shift).collect(),
            interruptions: (0..100).map(interruption).collect(),
            ..sample()
        };
        assert_eq!(largest.check(), Ok(()));
        let json = [serde_json::to_string(&largest.shifts), serde_json::to_string(&largest.interruptions)];
        let bytes: usize = json.into_iter().map(|json| json.unwrap().len()).sum();
        assert!(bytes < 390_000, "{bytes}");
        let mut longer = largest.clone();
        longer.interruptions[7].id = "i".repeat(65);
        assert_eq!(longer.check().unwrap_err().field, "interruptions");
    }

    #[test]
    fn what_overlaps_is_named() {
        let twice = |day_of_week| Shift { day_of_week, start_minute: 0, duration_minutes: 60 };
        let shifts = Merchant { shifts: vec![twice(1), twice(1)], ..sample() };
        assert_eq!((shifts.overlap(), shifts.check().unwrap_err().field), (Some(Overlap::Shifts), "shifts"));
        let pause = |id: &str| Interruption { id: id.to_owned(), description: String::new(), start_ms: 1, end_ms: 2 };
        let pauses = Merchant { interruptions: vec![pause("a"), pause("b")], ..sample() };
        assert_eq!(pauses.overlap(), Some(Overlap::Interruptions));
        assert_eq!(pauses.check().unwrap_err().field, "interruptions");
    }

    #[test]
    fn a_profile_survives_the_wire() {
        let wire = proto::merchant_connection::Merchant::from(&sample());
        assert_eq!(Merchant::try_from(&wire).unwrap(), sample());
        let nowhere = proto::merchant_connection::Merchant { time_zone: String::new(), ..wire };
        assert_eq!(Merchant::try_from(&nowhere).unwrap().time_zone, DEFAULT_TIME_ZONE);
        let unknown = Merchant { coordinates: None, ..sample() };
        assert_eq!(Merchant::try_from(&proto::merchant_connection::Merchant::from(&unknown)).unwrap(), unknown);
        let north = proto::merchant_connection::Coordinates { latitude_microdegrees: 90_000_001, ..Default::default() };
        let beyond = proto::merchant_connection::Merchant { coordinates: Some(north), ..(&sample()).into() };
        assert!(Merchant::try_from(&beyond).unwrap_err().message().contains("coordinates"));
    }
}
