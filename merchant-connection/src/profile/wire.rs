//! Profiles to and from the internal wire.

use order_model::{Coordinates, Timestamp};
use proto::conversions::{merchant_id, to_bytes};
use proto::merchant_connection as wire;
use tonic::Status;

use super::{DEFAULT_TIME_ZONE, Interruption, InvalidMerchant, Merchant, Shift};

impl From<&Merchant> for wire::Merchant {
    fn from(merchant: &Merchant) -> Self {
        Self {
            id: to_bytes(merchant.id.as_bytes()),
            open_delivery_id: merchant.open_delivery_id.clone().unwrap_or_default(),
            name: merchant.name.clone(),
            corporate_name: merchant.corporate_name.clone(),
            time_zone: merchant.time_zone.clone(),
            shifts: merchant.shifts.iter().map(shift_to_wire).collect(),
            interruptions: merchant.interruptions.iter().map(interruption_to_wire).collect(),
            created_at_ms: merchant.created_at.unix_ms(),
            // The store's, which knows it.
            version: 0,
            is_test: merchant.is_test,
            coordinates: merchant.coordinates.map(coordinates_to_wire),
            // Of an item of its own.
            presentation: None,
        }
    }
}

impl TryFrom<&wire::Merchant> for Merchant {
    type Error = Status;

    /// Reads a profile and checks its fields; whether something overlaps is not looked at.
    fn try_from(merchant: &wire::Merchant) -> Result<Self, Status> {
        let time_zone = if merchant.time_zone.is_empty() { DEFAULT_TIME_ZONE } else { &merchant.time_zone };
        let read = Self {
            id: merchant_id(&merchant.id)?,
            open_delivery_id: (!merchant.open_delivery_id.is_empty()).then(|| merchant.open_delivery_id.clone()),
            name: merchant.name.clone(),
            corporate_name: merchant.corporate_name.clone(),
            time_zone: time_zone.to_owned(),
            shifts: merchant.shifts.iter().map(shift_from_wire).collect(),
            interruptions: merchant.interruptions.iter().map(interruption_from_wire).collect(),
            created_at: Timestamp::from_unix_ms(merchant.created_at_ms),
            is_test: merchant.is_test,
            coordinates: merchant.coordinates.as_ref().map(coordinates_from_wire).transpose()?,
        };
        read.check_fields().map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(read)
    }
}

fn coordinates_to_wire(coordinates: Coordinates) -> wire::Coordinates {
    wire::Coordinates {
        latitude_microdegrees: coordinates.latitude_microdegrees(),
        longitude_microdegrees: coordinates.longitude_microdegrees(),
    }
}

fn coordinates_from_wire(sent: &wire::Coordinates) -> Result<Coordinates, Status> {
    let read = Coordinates::from_microdegrees(sent.latitude_microdegrees, sent.longitude_microdegrees);
    read.ok_or_else(|| {
        let expected = "expected a latitude from -90 to 90 and a longitude from -180 to 180 degrees";
        Status::invalid_argument(InvalidMerchant { field: "coordinates", expected }.to_string())
    })
}

fn shift_to_wire(shift: &Shift) -> wire::Shift {
    let Shift { day_of_week, start_minute, duration_minutes } = *shift;
    wire::Shift { day_of_week, start_minute, duration_minutes }
}

fn shift_from_wire(shift: &wire::Shift) -> Shift {
    let wire::Shift { day_of_week, start_minute, duration_minutes } = *shift;
    Shift { day_of_week, start_minute, duration_minutes }
}

fn interruption_to_wire(one: &Interruption) -> wire::Interruption {
    let Interruption { id, description, start_ms, end_ms } = one.clone();
    wire::Interruption { id, description, start_ms, end_ms }
}

fn interruption_from_wire(one: &wire::Interruption) -> Interruption {
    let wire::Interruption { id, description, start_ms, end_ms } = one.clone();
    Interruption { id, description, start_ms, end_ms }
}
