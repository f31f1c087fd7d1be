//! Typed identifiers, so that an order id can never stand where a merchant id is expected.
//!
//! Used by every crate. Orders and merchants are UUIDs on the wire (PARTNER_API, sections 1.3 and 3); the Open
//! Delivery id of a merchant, a free string, is deliberately absent: merchant-connection resolves it to a [`MerchantId`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// A text was not an identifier of the named kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be a UUID of 36 characters")]
pub struct ParseIdError {
    /// What was being read, e.g. `merchant id`. The offending text is left out on purpose: it may be personal data.
    pub kind: &'static str,
}

macro_rules! uuid_identifier {
    ($(#[$docs:meta])* $name:ident, $kind:literal) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The 16 bytes in network order.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes in network order.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID itself.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// Reads 16 bytes as they come off a wire or out of a store.
            ///
            /// # Errors
            /// When `bytes` is not 16 bytes long.
            pub fn try_from_slice(bytes: &[u8]) -> Result<Self, ParseIdError> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| ParseIdError { kind: $kind })
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Reads the hyphenated form of 36 characters in either case; braces, URNs and the bare form are refused,
            /// because two spellings of one id would be two keys in a store.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if text.len() != 36 {
                    return Err(ParseIdError { kind: $kind });
                }
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError { kind: $kind })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.hyphenated())
            }
        }
    };
}

uuid_identifier!(
    /// The id of an order, chosen by the internal app that placed it.
    OrderId,
    "order id"
);
uuid_identifier!(
    /// The id of a merchant (a restaurant).
    MerchantId,
    "merchant id"
);
uuid_identifier!(
    /// The id of a file that came with a dispute as evidence, made by gateway-core.
    EvidenceId,
    "evidence id"
);

/// The id of a partner application: the OAuth client id, 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId(Arc<str>);

impl ApplicationId {
    /// The longest accepted id, in bytes; it is part of store keys.
    pub const LENGTH_MAX: usize = 128;

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApplicationId {
    type Err = ParseApplicationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty() && text.len() <= Self::LENGTH_MAX;
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(ParseApplicationIdError)
        }
    }
}

impl fmt::Display for ApplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text was not an application id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an application id is 1 to 128 visible ASCII characters")]
pub struct ParseApplicationIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        let id: MerchantId = "0B8E1C34-7F70-4C2F-9A55-6D1DE6A3C901".parse().unwrap();
        assert_eq!(id.to_string(), "0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901");
        assert!("{0b8e1c34-7f70-4c2f-9a55-6d1de6a3c901}".parse::<MerchantId>().is_err());
        assert!("0b8e1c347f704c2f9a556d1de6a3c901".parse::<MerchantId>().is_err());
        assert_eq!("x".parse::<OrderId>().unwrap_err().to_string(), "order id must be a UUID of 36 characters");
    }

    #[test]
    fn an_application_id_is_visible_ascii() {
        assert_eq!("dev-pos".parse::<ApplicationId>().unwrap().as_str(), "dev-pos");
        for bad in ["", "a b", "ação", &"x".repeat(129)] {
            assert!(bad.parse::<ApplicationId>().is_err(), "{bad:?}");
        }
    }
}
