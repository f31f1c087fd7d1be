//! How the platform's operator describes a merchant: what its details show beside its profile.
//!
//! Kept in an item of its own, which no POS and no earlier version ever writes: a profile that is put leaves it as it is. Where
//! the merchant is in degrees is deliberately absent: that is the profile's, because couriers are sent there.

use proto::merchant_connection as wire;

use super::InvalidMerchant;

/// Longest description, in characters.
const DESCRIPTION_CHARACTERS_MAX: usize = 500;
/// Longest part of an address, in characters.
const PART_CHARACTERS_MAX: usize = 200;
/// The highest average ticket, in cents: above it somebody forgot a decimal point.
const AVERAGE_TICKET_MAX_CENTS: u32 = 100_000_000;

/// What is known of how a merchant presents itself; `None` is not known and, where it is written, left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presentation {
    /// In the operator's words.
    pub description: Option<String>,
    /// What an order costs on average, in cents.
    pub average_ticket_cents: Option<u32>,
    /// Whether it sells through this platform alone.
    pub exclusive: Option<bool>,
    /// Its address.
    pub address: Address,
}

/// A postal address, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "an address's parts are named by what they are")]
pub struct Address {
    pub country: Option<String>,
    pub state: Option<String>,
    pub city: Option<String>,
    pub district: Option<String>,
    pub street: Option<String>,
    pub number: Option<String>,
    pub postal_code: Option<String>,
}

impl Presentation {
    /// Every text under the name it is stored by.
    pub fn texts(&self) -> [(&'static str, &Option<String>); 8] {
        let Address { country, state, city, district, street, number, postal_code } = &self.address;
        [
            ("description", &self.description),
            ("country", country),
            ("state", state),
            ("city", city),
            ("district", district),
            ("street", street),
            ("number", number),
            ("postalCode", postal_code),
        ]
    }

    /// Checks every field that is given.
    ///
    /// # Errors
    /// With the first one that does not fit.
    pub fn check(&self) -> Result<(), InvalidMerchant> {
        for (field, text) in self.texts() {
            let (most, expected) = match field {
                "description" => (DESCRIPTION_CHARACTERS_MAX, "expected at most 500 characters"),
                _ => (PART_CHARACTERS_MAX, "expected at most 200 characters"),
            };
            if text.as_ref().is_some_and(|text| text.chars().count() > most) {
                return Err(InvalidMerchant { field, expected });
            }
        }
        if self.average_ticket_cents.is_some_and(|cents| cents > AVERAGE_TICKET_MAX_CENTS) {
            return Err(InvalidMerchant { field: "averageTicket", expected: "expected at most 1000000.00" });
        }
        Ok(())
    }
}

impl From<Presentation> for wire::Presentation {
    fn from(known: Presentation) -> Self {
        let Address { country, state, city, district, street, number, postal_code } = known.address;
        Self {
            description: known.description.unwrap_or_default(),
            average_ticket_cents: known.average_ticket_cents.unwrap_or_default(),
            exclusive: known.exclusive.unwrap_or_default(),
            country: country.unwrap_or_default(),
            state: state.unwrap_or_default(),
            city: city.unwrap_or_default(),
            district: district.unwrap_or_default(),
            street: street.unwrap_or_default(),
            number: number.unwrap_or_default(),
            postal_code: postal_code.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        assert_eq!(Presentation::default().check(), Ok(()));
        let field = |presentation: Presentation| presentation.check().unwrap_err().field;
        let text = |characters| Some("é".repeat(characters));
        assert_eq!(Presentation { description: text(500), ..Presentation::default() }.check(), Ok(()));
        assert_eq!(field(Presentation { description: text(501), ..Presentation::default() }), "description");
        let address = |address| Presentation { address, ..Presentation::default() };
        assert_eq!(address(Address { city: text(200), ..Address::default() }).check(), Ok(()));
        assert_eq!(field(address(Address { postal_code: text(201), ..Address::default() })), "postalCode");
        let dear = Presentation { average_ticket_cents: Some(100_000_001), ..Presentation::default() };
        assert_eq!(field(dear), "averageTicket");
    }
}
