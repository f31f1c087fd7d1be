//! Heads (what was indexed for a merchant) and cursors (what an application is known to have done with).

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use event_feed::GrantedMerchant;
use order_model::{ApplicationId, MerchantId, Timestamp};

use super::item::{self, Item, PARTITION_KEY};
use super::requests::Consistency;
use super::{Store, StoreError};
use crate::keys;
use crate::plan::{Cursor, Head};

const VERSION: &str = "n";
const LATE: &str = "l";
const VISIBLE_FROM: &str = "f";
const NOTHING_PENDING: &str = "e";
const DONE_BEFORE: &str = "d";

/// A cursor unused for this long is dropped: its loss costs one read. Heads stay, because a head that started from
/// zero again could meet a cursor of its former life.
const CURSOR_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// That events of a merchant have become readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MerchantBump {
    pub(crate) merchant: MerchantId,
    /// Whether one of them was late.
    pub(crate) late: bool,
}

/// Heads and cursors by merchant.
pub(crate) type HeadsAndCursors = (HashMap<MerchantId, Head>, HashMap<MerchantId, Cursor>);

impl Store {
    /// The heads of these merchants and this application's cursors on them, strongly consistent, 100 items a request.
    pub(crate) async fn heads_and_cursors(
        &self,
        application: &ApplicationId,
        granted: &[GrantedMerchant],
    ) -> Result<HeadsAndCursors, StoreError> {
        let heads = granted.iter().map(|granted| keys::head(granted.merchant));
        let cursors = granted.iter().map(|granted| keys::cursor(application, granted.merchant));
        let items = self.batch_get(heads.chain(cursors).collect(), Consistency::Strong, None).await?;
        read_heads_and_cursors(&items)
    }

    /// Moves a merchant's head. Its events must be readable already: a poll that saw the head move must find them.
    pub(crate) async fn bump(&self, bump: MerchantBump) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(item::key_attributes(&keys::head(bump.merchant))))
            .update_expression("ADD n :one, l :late")
            .expression_attribute_values(":one", item::number(1))
            .expression_attribute_values(":late", item::number(u8::from(bump.late)));
        self.call("UpdateItem", request.send()).await.map(|_| ())
    }

    /// Remembers what a poll found out. Any order of writers is right: every cursor stays true.
    pub(crate) async fn write_cursors(
        &self,
        application: &ApplicationId,
        cursors: &[(MerchantId, Cursor)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let to_item = |(merchant, cursor): &(MerchantId, Cursor)| cursor_item(application, *merchant, cursor, now);
        self.batch_put(cursors.iter().map(to_item).collect()).await
    }
}

pub(super) fn cursor_item(application: &ApplicationId, merchant: MerchantId, cursor: &Cursor, now: Timestamp) -> Item {
    let mut item = item::new(&keys::cursor(application, merchant));
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(VERSION, item::number(cursor.head.version));
    set(LATE, item::number(cursor.head.late));
    set(VISIBLE_FROM, item::instant(cursor.visible_from));
    set(NOTHING_PENDING, AttributeValue::Bool(cursor.nothing_pending));
    set(DONE_BEFORE, item::instant(cursor.done_before));
    item::set_expiry(&mut item, now.plus(CURSOR_KEPT));
    item
}

/// A cursor that cannot be read costs a read. So does a head: what a cursor says beside it says nothing, because a head that
/// counts as zero again and again would look as if nothing had been indexed since.
pub(super) fn read_heads_and_cursors(items: &[Item]) -> Result<HeadsAndCursors, StoreError> {
    let (mut heads, mut cursors) = HeadsAndCursors::default();
    let mut unreadable = Vec::new();
    for item in items {
        let key = item::read_text(item, PARTITION_KEY)?;
        let Some(merchant) = key.rsplit('#').next().and_then(|merchant| merchant.parse().ok()) else { continue };
        let head = read_head(item);
        if key.starts_with("h#") {
            if head.is_err() {
                unreadable.push(merchant);
            }
            heads.insert(merchant, head.unwrap_or(Head { version: 0, late: 0 }));
        } else if let Some(cursor) = head.ok().and_then(|head| read_cursor(item, head)) {
            cursors.insert(merchant, cursor);
        }
    }
    metrics::counter!("comanda_connection_polling_unreadable_items_total").increment(unreadable.len() as u64);
    cursors.retain(|merchant, _| !unreadable.contains(merchant));
    Ok((heads, cursors))
}

fn read_head(item: &Item) -> Result<Head, StoreError> {
    Ok(Head { version: item::read_number_or_zero(item, VERSION)?, late: item::read_number_or_zero(item, LATE)? })
}

fn read_cursor(item: &Item, head: Head) -> Option<Cursor> {
    Some(Cursor {
        head,
        visible_from: item::read_instant(item, VISIBLE_FROM).ok()?,
        nothing_pending: *item.get(NOTHING_PENDING)?.as_bool().ok()?,
        done_before: item::read_instant(item, DONE_BEFORE).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::hostile::{cursor, head};

    #[test]
    fn beside_a_head_that_cannot_be_read_no_cursor_counts() {
        let (merchant, other) = (MerchantId::from_bytes([1; 16]), MerchantId::from_bytes([2; 16]));
        let cursor = cursor();
        let at = Timestamp::from_unix_ms(1_795_000_000_000);
        let of = |merchant| cursor_item(&"pos".parse().unwrap(), merchant, &cursor, at);
        let mut torn = head(merchant);
        torn.insert(VERSION.to_owned(), AttributeValue::S("7".to_owned()));
        let (heads, cursors) = read_heads_and_cursors(&[torn, of(merchant), head(other), of(other)]).unwrap();
        assert_eq!(heads, HashMap::from([(merchant, Head { version: 0, late: 0 }), (other, cursor.head)]));
        assert_eq!(cursors, HashMap::from([(other, cursor)]), "its own is read: {merchant}");
    }

    #[test]
    fn a_cursor_that_cannot_be_read_is_none() {
        let merchant = MerchantId::from_bytes([1; 16]);
        let mut item = cursor_item(&"pos".parse().unwrap(), merchant, &cursor(), Timestamp::default());
        item.insert(LATE.to_owned(), AttributeValue::N("1.5".to_owned()));
        let (_, cursors) = read_heads_and_cursors(&[head(merchant), item]).unwrap();
        assert_eq!(cursors, HashMap::new(), "not one that counts no late arrivals");
    }
}
