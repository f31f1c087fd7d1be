//! A place on the earth: where a merchant is, where an order goes, and how far that is.
//!
//! Whole microdegrees (11 cm at most), so that a place compares and is stored exactly. Pure. Roads are deliberately absent: a
//! distance is that of a bird.

use std::fmt;
use std::str::FromStr;

/// The mean radius of the earth, in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// Microdegrees of a degree.
const MICRO: f64 = 1_000_000.0;
/// No notation of an angle that anybody sends is longer, in bytes.
const ANGLE_MAX_BYTES: usize = 64;

/// A place, by latitude and longitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coordinates {
    latitude_microdegrees: i32,
    longitude_microdegrees: i32,
}

/// A text or a pair of numbers is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a latitude from -90 to 90 and a longitude from -180 to 180 in degrees, such as -23.5505,-46.6333")]
pub struct InvalidCoordinates;

impl Coordinates {
    /// Where the equator meets the meridian of Greenwich.
    pub const ORIGIN: Self = Self { latitude_microdegrees: 0, longitude_microdegrees: 0 };

    /// The place of these angles; `None` when there is none.
    pub const fn from_microdegrees(latitude: i32, longitude: i32) -> Option<Self> {
        if latitude.unsigned_abs() > 90_000_000 || longitude.unsigned_abs() > 180_000_000 {
            return None;
        }
        Some(Self { latitude_microdegrees: latitude, longitude_microdegrees: longitude })
    }

    /// Reads two numbers in degrees, as JSON or a query writes them; `None` when they are no place.
    pub fn read(latitude: &str, longitude: &str) -> Option<Self> {
        Self::from_microdegrees(microdegrees(latitude)?, microdegrees(longitude)?)
    }

    /// North of the equator, in microdegrees.
    pub const fn latitude_microdegrees(self) -> i32 {
        self.latitude_microdegrees
    }

    /// East of Greenwich, in microdegrees.
    pub const fn longitude_microdegrees(self) -> i32 {
        self.longitude_microdegrees
    }

    /// Latitude and longitude in degrees.
    pub fn degrees(self) -> (f64, f64) {
        (f64::from(self.latitude_microdegrees) / MICRO, f64::from(self.longitude_microdegrees) / MICRO)
    }

    /// The great-circle distance (haversine), in whole metres.
    pub fn distance_m(self, other: Self) -> u32 {
        let (from_latitude, from_longitude) = self.radians();
        let (to_latitude, to_longitude) = other.radians();
        let half_sine = |angle: f64| (angle / 2.0).sin().powi(2);
        let across = from_latitude.cos() * to_latitude.cos() * half_sine(to_longitude - from_longitude);
        // Rounding may lead beyond 1 at the far side of the earth.
        let haversine = (half_sine(to_latitude - from_latitude) + across).clamp(0.0, 1.0);
        let metres = 2.0 * EARTH_RADIUS_M * haversine.sqrt().asin();
        // From 0 to half the way round the earth: it fits.
        metres.round() as u32
    }

    fn radians(self) -> (f64, f64) {
        let (latitude, longitude) = self.degrees();
        (latitude.to_radians(), longitude.to_radians())
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (latitude, longitude) = self.degrees();
        write!(f, "{latitude},{longitude}")
    }
}

impl FromStr for Coordinates {
    type Err = InvalidCoordinates;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (latitude, longitude) = text.split_once(',').ok_or(InvalidCoordinates)?;
        Self::read(latitude.trim(), longitude.trim()).ok_or(InvalidCoordinates)
    }
}

fn microdegrees(degrees: &str) -> Option<i32> {
    // `f64` also reads words: `nan`, `infinity`.
    let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if degrees.len() > ANGLE_MAX_BYTES || !degrees.bytes().all(is_number) {
        return None;
    }
    let micro = (degrees.parse::<f64>().ok()? * MICRO).round();
    // Beyond the ends of `i32` it stays there, which is no place.
    micro.is_finite().then_some(micro as i32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Coordinates {
        text.parse().unwrap()
    }

    #[test]
    fn degrees_are_read_as_they_are_written() {
        let paulista = at("-23.561414,-46.655881");
        assert_eq!(paulista, Coordinates::from_microdegrees(-23_561_414, -46_655_881).unwrap());
        assert_eq!(paulista.to_string(), "-23.561414,-46.655881");
        for (text, latitude, longitude) in [
            ("0,0", 0, 0),
            ("90, 180", 90_000_000, 180_000_000),
            ("-90,-180.0", -90_000_000, -180_000_000),
            ("1e1,-4.6655881E1", 10_000_000, -46_655_881),
            ("-23.56141449,+1", -23_561_414, 1_000_000),
        ] {
            assert_eq!(Some(at(text)), Coordinates::from_microdegrees(latitude, longitude), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for wrong in [
            "",
            ",",
            "1",
            "1,",
            "x,1",
            "90.000001,0",
            "0,-180.000001",
            "NaN,0",
            "inf,0",
            "1e400,0",
            "0,1e9",
            "--1,0",
            "1,2,3",
            "0x1,0",
        ] {
            assert_eq!(wrong.parse::<Coordinates>(), Err(InvalidCoordinates), "{wrong}");
        }
        let long = format!("1.{},1", "0".repeat(99));
        assert_eq!(long.parse::<Coordinates>(), Err(InvalidCoordinates));
    }

    /// Figures that were not made with this code: a degree of a meridian of that sphere is 111,195 m.
    #[test]
    fn distances_are_those_of_a_sphere() {
        for (from, to, metres) in [
            ("0,0", "0,0", 0),
            ("0,0", "1,0", 111_195),
            ("0,0", "0,1", 111_195),
            ("60,0", "60,1", 55_597),
            ("0,179.5", "0,-179.5", 111_195),
            ("0,0", "0,180", 20_015_114),
            ("90,0", "-90,77", 20_015_114),
        ] {
            assert_eq!(at(from).distance_m(at(to)), metres, "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn a_distance_is_the_same_both_ways_and_never_beyond_half_the_way_round(
            a in (-90_000_000i32..=90_000_000, -180_000_000i32..=180_000_000),
            b in (-90_000_000i32..=90_000_000, -180_000_000i32..=180_000_000),
        ) {
            let (a, b) = (Coordinates::from_microdegrees(a.0, a.1).unwrap(), Coordinates::from_microdegrees(b.0, b.1).unwrap());
            prop_assert_eq!(a.distance_m(b), b.distance_m(a));
            prop_assert!(a.distance_m(b) <= 20_015_114);
            prop_assert_eq!(a.distance_m(a), 0);
            prop_assert_eq!(at(&a.to_string()), a);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            let _ = text.parse::<Coordinates>();
        }
    }
}
