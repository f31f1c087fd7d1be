//! The cursor of a replay: a place, as an opaque text that only the same application can use for the same merchant.
//!
//! Pure. The check at its end tells cut, changed and mixed up cursors from ours. It is no secret: a place that somebody makes up
//! is one within the events of a merchant that they may read anyway.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use order_model::{ApplicationId, MerchantId};
use proto::connection_polling::ReplayPlace;
use sha2::{Digest, Sha256};

/// The format of the cursors that this version makes and reads.
const FORMAT: u8 = 1;
/// The format, an event's id, two instants and a count.
const PLACE_BYTES: usize = 1 + 16 + 3 * 8;
/// Bytes of the check.
const CHECK_BYTES: usize = 8;

/// The text of a place.
pub(super) fn write(place: &ReplayPlace, application: &ApplicationId, merchant: MerchantId) -> String {
    let mut bytes = Vec::with_capacity(PLACE_BYTES + CHECK_BYTES);
    bytes.push(FORMAT);
    let id: [u8; 16] = place.event_id.as_ref().try_into().unwrap_or_default();
    bytes.extend(id);
    for number in [place.from_ms.to_be_bytes(), place.settled_ms.to_be_bytes(), place.late.to_be_bytes()] {
        bytes.extend(number);
    }
    bytes.extend(check(&bytes, application, merchant));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The place of a text; `None` for anything that was not written for this application and merchant.
pub(super) fn read(text: &str, application: &ApplicationId, merchant: MerchantId) -> Option<ReplayPlace> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (place, sent) = bytes.split_at_checked(PLACE_BYTES)?;
    if sent != check(place, application, merchant) || place.first() != Some(&FORMAT) {
        return None;
    }
    let number = |at: usize| place.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let id = place.get(1..17)?;
    Some(ReplayPlace {
        event_id: if id.iter().all(|byte| *byte == 0) { Vec::new().into() } else { id.to_vec().into() },
        from_ms: i64::from_be_bytes(number(17)?),
        settled_ms: i64::from_be_bytes(number(25)?),
        late: u64::from_be_bytes(number(33)?),
    })
}

fn check(place: &[u8], application: &ApplicationId, merchant: MerchantId) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(b"replay cursor").chain_update(place).chain_update(merchant.as_bytes());
    let digest: [u8; 32] = hash.chain_update(application.as_str().as_bytes()).finalize().into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> ReplayPlace {
        ReplayPlace { event_id: vec![7; 16].into(), from_ms: 0, settled_ms: 1_790_000_000_000, late: 3 }
    }

    #[test]
    fn a_cursor_is_read_back_by_its_application_and_for_its_merchant_alone() {
        let (application, other): (ApplicationId, ApplicationId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (merchant, stranger) = (MerchantId::from_bytes([1; 16]), MerchantId::from_bytes([2; 16]));
        let between = ReplayPlace { from_ms: 5, late: 1, ..ReplayPlace::default() };
        for place in [place(), between] {
            let text = write(&place, &application, merchant);
            assert_eq!(read(&text, &application, merchant), Some(place));
            assert_eq!(read(&text, &other, merchant), None);
            assert_eq!(read(&text, &application, stranger), None);
            assert_eq!(read(&text[1..], &application, merchant), None);
            assert_eq!(read(&format!("{text}AA"), &application, merchant), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_that_was_changed_is_read(text in ".{0,80}", at in 0usize..60, with in "[A-Za-z0-9_-]") {
            let application: ApplicationId = "a".parse().unwrap();
            let merchant = MerchantId::from_bytes([1; 16]);
            prop_assert_eq!(read(&text, &application, merchant), None);
            let own = write(&place(), &application, merchant);
            let mut changed = own.clone();
            changed.replace_range(at..=at, &with);
            prop_assert!(changed == own || read(&changed, &application, merchant).is_none());
        }
    }
}
