//! The orders that the simulator has placed and that may still be open: one slot each, so that their number is bounded
//! whoever places them at the same time.

use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use order_model::{OrderId, Timestamp};

use super::{FORMAT, RequestTable, RequestTableError};
use crate::store::StoreError;
use crate::store::records::{Item, key, number, read_number, read_text, text};
use crate::store::requests::{send, send_or_unavailable, unavailable};
use crate::store::table::EXPIRES_AT;

/// A slot is given back by itself after this long: by then the core has cancelled or concluded every order.
const SLOT_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A slot that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) number: u8,
    pub(crate) order: OrderId,
    pub(crate) placed_at: Timestamp,
}

impl RequestTable {
    /// The slots that are taken, by number.
    pub(crate) async fn slots(&self, of: &[u8; 32], now: Timestamp) -> Result<Vec<Slot>, RequestTableError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", slots_pk(of))
            .consistent_read(true);
        let output = send_or_unavailable("Query", query.send()).await?;
        let slots: Result<Vec<Slot>, StoreError> = output.items().iter().map(read).collect();
        Ok(slots?.into_iter().filter(|slot| now.since(slot.placed_at) < SLOT_KEPT).collect())
    }

    /// Takes a slot that was seen free or holding `before`; answers whether it still was.
    pub(crate) async fn take_slot(
        &self,
        of: &[u8; 32],
        slot: Slot,
        before: Option<OrderId>,
    ) -> Result<bool, RequestTableError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(of, slot)))
            .expression_attribute_names("#order", "order");
        let put = match before {
            // One that is past its time and not yet deleted counts as free.
            None => put
                .condition_expression("attribute_not_exists(#order) OR placed_at_ms <= :old")
                .expression_attribute_values(":old", number(slot.placed_at.minus(SLOT_KEPT).unix_ms())),
            Some(order) => put
                .condition_expression("attribute_not_exists(#order) OR #order = :before")
                .expression_attribute_values(":before", text(&order.to_string())),
        };
        match send("PutItem", put.send()).await? {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }
}

fn slots_pk(of: &[u8; 32]) -> AttributeValue {
    text(&format!("simulator#{}", hex::encode(of)))
}

pub(super) fn item(of: &[u8; 32], slot: Slot) -> Item {
    let mut item = key(slots_pk(of), &format!("slot#{:02}", slot.number));
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("order".to_owned(), text(&slot.order.to_string())),
        ("placed_at_ms".to_owned(), number(slot.placed_at.unix_ms())),
        (EXPIRES_AT.to_owned(), number(slot.placed_at.plus(SLOT_KEPT).unix_s_ceil())),
    ]);
    item
}

pub(super) fn read(item: &Item) -> Result<Slot, StoreError> {
    if read_number::<u64>(item, "format")? != FORMAT {
        return Err(StoreError::Malformed { field: "format" });
    }
    let number = read_text(item, "sk")?.strip_prefix("slot#").and_then(|digits| digits.parse().ok());
    Ok(Slot {
        number: number.ok_or(StoreError::Malformed { field: "sk" })?,
        order: read_text(item, "order")?.parse().map_err(|_| StoreError::Malformed { field: "order" })?,
        placed_at: Timestamp::from_unix_ms(read_number(item, "placed_at_ms")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_survives_its_item() {
        let slot = Slot { number: 7, order: OrderId::from_bytes([5; 16]), placed_at: Timestamp::from_unix_ms(1_000) };
        assert_eq!(read(&item(&[1; 32], slot)).unwrap(), slot);
    }
}
