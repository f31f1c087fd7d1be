//! Quotes: what a courier was offered for, and to whom. Written once; nothing of where it goes is kept.

use std::time::Duration;

use order_model::{ApplicationId, MerchantId, Timestamp};

use super::{FORMAT, RequestTable, RequestTableError};
use crate::store::StoreError;
use crate::store::records::{Item, key, number, read_number, read_text, text};
use crate::store::requests::send_or_unavailable;
use crate::store::table::EXPIRES_AT;

/// The sort key of a quote.
const QUOTE_SK: &str = "quote";
/// How much longer than it holds a quote is kept: so that an order which was placed under it can be asked for again.
const KEPT_BEYOND: Duration = Duration::from_secs(24 * 60 * 60);

/// An offer that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    /// A UUID.
    pub(crate) id: String,
    /// Who asked for it.
    pub(crate) application: ApplicationId,
    /// For which merchant.
    pub(crate) merchant: MerchantId,
    /// How far it may be, in metres.
    pub(crate) distance_m: u32,
    /// What the courier costs, in cents.
    pub(crate) fee_cents: u64,
    /// The latest arrival after the courier was asked for.
    pub(crate) within: Duration,
    /// How long it holds.
    pub(crate) valid_until: Timestamp,
}

impl RequestTable {
    /// Keeps a quote.
    pub(crate) async fn keep_quote(&self, quote: &Quote) -> Result<(), RequestTableError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item(quote)));
        send_or_unavailable("PutItem", put.send()).await?;
        Ok(())
    }

    /// The quote of this id, expired ones included while they are kept.
    pub(crate) async fn quote(&self, id: &str) -> Result<Option<Quote>, RequestTableError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(key(text(&pk(id)), QUOTE_SK)));
        let found = send_or_unavailable("GetItem", get.send()).await?.item;
        Ok(found.as_ref().map(read).transpose()?)
    }
}

fn pk(id: &str) -> String {
    format!("quote#{id}")
}

pub(super) fn item(quote: &Quote) -> Item {
    let mut item = key(text(&pk(&quote.id)), QUOTE_SK);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("application".to_owned(), text(quote.application.as_str())),
        ("merchant".to_owned(), text(&quote.merchant.to_string())),
        ("distance_m".to_owned(), number(quote.distance_m)),
        ("fee_cents".to_owned(), number(quote.fee_cents)),
        ("within_s".to_owned(), number(quote.within.as_secs())),
        ("valid_until_ms".to_owned(), number(quote.valid_until.unix_ms())),
        (EXPIRES_AT.to_owned(), number(quote.valid_until.plus(KEPT_BEYOND).unix_s_ceil())),
    ]);
    item
}

pub(super) fn read(item: &Item) -> Result<Quote, StoreError> {
    if read_number::<u64>(item, "format")? != FORMAT {
        return Err(StoreError::Malformed { field: "format" });
    }
    let malformed = |field| StoreError::Malformed { field };
    let id = read_text(item, "pk")?.strip_prefix("quote#").ok_or(StoreError::Malformed { field: "pk" })?;
    Ok(Quote {
        id: id.to_owned(),
        application: read_text(item, "application")?.parse().map_err(|_| malformed("application"))?,
        merchant: read_text(item, "merchant")?.parse().map_err(|_| malformed("merchant"))?,
        distance_m: read_number(item, "distance_m")?,
        fee_cents: read_number(item, "fee_cents")?,
        within: Duration::from_secs(read_number(item, "within_s")?),
        valid_until: Timestamp::from_unix_ms(read_number(item, "valid_until_ms")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_survives_its_item_and_is_kept_a_day_longer_than_it_holds() {
        let quote = Quote {
            id: "00000000-0000-8000-8000-000000000007".to_owned(),
            application: "pos".parse().unwrap(),
            merchant: MerchantId::from_bytes([5; 16]),
            distance_m: 3_210,
            fee_cents: 899,
            within: Duration::from_secs(1_800),
            valid_until: Timestamp::from_unix_ms(1_000),
        };
        let item = item(&quote);
        assert_eq!(item[EXPIRES_AT].as_n().unwrap(), "86401");
        assert_eq!(read(&item).unwrap(), quote);
    }
}
