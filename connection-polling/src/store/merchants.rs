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
        let mut result = HeadsAndCursors::default();
        for item in &items {
            let key = item::read_text(item, PARTITION_KEY)?;
            let Some(merchant) = key.rsplit('#').next().and_then(|merchant| merchant.parse().ok()) else { continue };
            let head =
                Head { version: item::read_number_or_zero(item, VERSION), late: item::read_number_or_zero(item, LATE) };
            if key.starts_with("h#") {
                result.0.insert(merchant, head);
            } else if let Some(cursor) = read_cursor(item, head) {
                result.1.insert(merchant, cursor);
            }
        }
        Ok(result)
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
        let to_item = |(merchant, cursor): &(MerchantId, Cursor)| {
            let mut item = item::new(&keys::cursor(application, *merchant));
            let mut set = |name: &str, value| item.insert(name.to_owned(), value);
            set(VERSION, item::number(cursor.head.version));
            set(LATE, item::number(cursor.head.late));
            set(VISIBLE_FROM, item::instant(cursor.visible_from));
            set(NOTHING_PENDING, AttributeValue::Bool(cursor.nothing_pending));
            set(DONE_BEFORE, item::instant(cursor.done_before));
            item::set_expiry(&mut item, now.plus(CURSOR_KEPT));
            item
        };
        self.batch_put(cursors.iter().map(to_item).collect()).await
    }
}

fn read_cursor(item: &Item, head: Head) -> Option<Cursor> {
    Some(Cursor {
        head,
        visible_from: item::read_instant(item, VISIBLE_FROM).ok()?,
        nothing_pending: *item.get(NOTHING_PENDING)?.as_bool().ok()?,
        done_before: item::read_instant(item, DONE_BEFORE).ok()?,
    })
}
