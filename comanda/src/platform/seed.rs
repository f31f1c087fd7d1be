//! What `dev` seeds: merchants by number and two applications (CONTRACT).

use order_model::{Coordinates, MerchantId};

/// The application that may see every seeded merchant, and its secret.
pub const DEV_POS: (&str, &str) = ("dev-pos", "dev-pos-secret");
/// The application that may see only the second seeded merchant, and its secret.
pub const DEV_OTHER: (&str, &str) = ("dev-other", "dev-other-secret");

/// Seeded merchant `number`, from 1: `00000000-0000-4000-8000-` and the number in twelve decimal digits.
pub fn merchant_id(number: u32) -> MerchantId {
    // Decimal digits are read as hexadecimal ones: the text is the contract, not the value.
    let mut digits = u64::from(number);
    let mut low = 0;
    for place in 0..12 {
        low |= (digits % 10) << (4 * place);
        digits /= 10;
    }
    MerchantId::from_bytes((0x0000_0000_0000_4000_8000_0000_0000_0000_u128 | u128::from(low)).to_be_bytes())
}

/// Where the merchant at `position` from 0 is: along a street of São Paulo, 100 m apart for the first hundred, then again.
pub fn coordinates(position: usize) -> Coordinates {
    let steps = i32::try_from(position % 100).unwrap_or(0);
    let first = (-23_561_414, -46_655_881);
    Coordinates::from_microdegrees(first.0 + 900 * steps, first.1).unwrap_or(Coordinates::ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_in_decimal_digits() {
        assert_eq!(merchant_id(1).to_string(), "00000000-0000-4000-8000-000000000001");
        assert_eq!(coordinates(0).distance_m(coordinates(1)), 100);
        assert_eq!(coordinates(60_012), coordinates(12));
        assert_eq!(merchant_id(60_012).to_string(), "00000000-0000-4000-8000-000000060012");
    }
}
