//! How merchants are called here: by our UUID or, where one is set, by the POS's own string of 36 to 100 characters.
//!
//! Used by every handler that takes a merchant id, and to name an order's merchant as its POS does. merchant-connection is
//! asked; what it says of merchants in the asker's scope is remembered for some minutes in bounded caches. Names of foreign
//! merchants are asked for each time, as unknown ones are.

use event_feed::Scope;
use order_model::{MerchantId, SharedClock};
use parking_lot::Mutex;
use proto::conversions::to_bytes;
use proto::merchant_connection::lookup_request::By;
use proto::merchant_connection::{GetMerchantsRequest, LookupRequest};
use proto::remembered::Remembered;

use crate::api::Api;
use crate::calls::CallError;

/// The most entries of one generation of each cache: 100,000 merchants in two, about 30 MiB in all.
const GENERATION_ENTRIES_MAX: usize = 50_000;
/// How long an Open Delivery id is, in characters.
const ID_CHARS_MIN: usize = 36;
/// The same, at most.
const ID_CHARS_MAX: usize = 100;

/// Whether `text` may be an Open Delivery id of a merchant.
pub(super) fn is_open_delivery_id(text: &str) -> bool {
    (ID_CHARS_MIN..=ID_CHARS_MAX).contains(&text.chars().take(ID_CHARS_MAX + 1).count())
}

/// What a merchant is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// Its Open Delivery id, where one is set.
    pub(super) open_delivery_id: Option<String>,
    pub(super) name: String,
}

/// The names known here.
pub(super) struct MerchantNames {
    clock: SharedClock,
    ids: Mutex<Remembered<String, MerchantId>>,
    names: Mutex<Remembered<MerchantId, Names>>,
}

impl MerchantNames {
    pub(super) fn new(clock: SharedClock) -> Self {
        let now = clock.monotonic();
        let ids = Mutex::new(Remembered::new(now, GENERATION_ENTRIES_MAX));
        let names = Mutex::new(Remembered::new(now, GENERATION_ENTRIES_MAX));
        Self { clock, ids, names }
    }
}

/// The merchant that `text` names, when it is in `scope`; `None` for foreign and unknown ones alike. A UUID outside the scope
/// may still be a POS's own id of a merchant inside: Open Delivery recommends UUIDs there.
///
/// # Errors
/// When merchant-connection cannot be asked.
pub(super) async fn resolve(api: &Api, scope: &Scope, text: &str) -> Result<Option<MerchantId>, CallError> {
    if let Some(merchant) = text.parse().ok().filter(|merchant| scope.contains(*merchant)) {
        return Ok(Some(merchant));
    }
    if !is_open_delivery_id(text) {
        return Ok(None);
    }
    let known = &api.open_delivery.names;
    let found = known.ids.lock().get(text, known.clock.monotonic()).filter(|merchant| scope.contains(*merchant));
    if found.is_some() {
        return Ok(found);
    }
    // Also where it is known to be foreign: an answer from memory would tell it from an unknown one while nobody can be asked.
    let found = look_up(api, text).await?.filter(|merchant| scope.contains(*merchant));
    if let Some(merchant) = found {
        known.ids.lock().insert(text.to_owned(), merchant, known.clock.monotonic());
    }
    Ok(found)
}

async fn look_up(api: &Api, text: &str) -> Result<Option<MerchantId>, CallError> {
    let by = Some(By::OpenDeliveryId(text.to_owned()));
    match api.merchants.lookup(LookupRequest { by }).await {
        Ok(merchant) => MerchantId::try_from_slice(&merchant.id).map(Some).map_err(|_| CallError::Unavailable),
        Err(CallError::NotFound | CallError::Invalid) => Ok(None),
        Err(CallError::Unavailable) => Err(CallError::Unavailable),
    }
}

/// What `merchant` is called; `None` when there is no such merchant.
///
/// # Errors
/// When merchant-connection cannot be asked.
pub(super) async fn names_of(api: &Api, merchant: MerchantId) -> Result<Option<Names>, CallError> {
    let known = &api.open_delivery.names;
    let found = known.names.lock().get(&merchant, known.clock.monotonic());
    if found.is_some() {
        return Ok(found);
    }
    let request = GetMerchantsRequest { merchant_ids: vec![to_bytes(merchant.as_bytes())], with_presentation: false };
    let reply = api.merchants.get_merchants(request).await?;
    let Some(profile) = reply.merchants.into_iter().find(|profile| *profile.id == *merchant.as_bytes()) else {
        return Ok(None);
    };
    let open_delivery_id = Some(profile.open_delivery_id).filter(|id| is_open_delivery_id(id));
    let names = Names { open_delivery_id, name: profile.name };
    known.names.lock().insert(merchant, names.clone(), known.clock.monotonic());
    Ok(Some(names))
}
