//! Acknowledgment items: the ids of one routing hash out of one request, packed, one item.
//!
//! An item per request and hash instead of a growing set: writing costs the same however many ids a merchant has
//! acknowledged today (a set is rewritten whole by each addition, and ends at 400 KB), and items go in batches of 25.

use std::collections::HashSet;

use order_model::{ApplicationId, EventId, RoutingHash, Timestamp};

use super::item::{self, EXPIRES_AT, Item};
use super::{Store, StoreError};
use crate::keys::{self, Key};

/// Ids of one application and one routing hash, acknowledged together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AcknowledgedIds {
    pub(crate) hash: RoutingHash,
    /// Sorted.
    pub(crate) ids: Vec<EventId>,
    /// Until when they must be remembered.
    pub(crate) remembered_until: Timestamp,
}

impl Store {
    /// Writes acknowledgments. A repetition changes nothing.
    pub(crate) async fn put_acknowledgments(
        &self,
        application: &ApplicationId,
        acknowledged: &[AcknowledgedIds],
    ) -> Result<(), StoreError> {
        let to_item = |group: &AcknowledgedIds| {
            let partition = keys::acknowledgments(application, group.hash);
            let mut item = item::new(&Key { partition, sort: keys::id_set(application, &group.ids) });
            item::set_ids(&mut item, &group.ids);
            item::set_expiry(&mut item, group.remembered_until);
            item
        };
        self.batch_put(acknowledged.iter().map(to_item).collect()).await
    }

    /// Every id of `hash` that `application` acknowledged, of events created at or after `from`, and maybe some older.
    pub(crate) async fn read_acknowledged(
        &self,
        application: &ApplicationId,
        hash: RoutingHash,
        from: Timestamp,
    ) -> Result<HashSet<EventId>, StoreError> {
        let mut acknowledged = HashSet::new();
        let keep = |item: Item| {
            acknowledged.extend(item::read_ids(&item)?);
            Ok(())
        };
        self.query_from(keys::acknowledgments(application, hash), keys::from_instant(from), keep).await?;
        Ok(acknowledged)
    }
}

/// The ids in an acknowledgment item that still count at `now`.
pub(crate) fn unexpired_ids(item: &Item, now: Timestamp) -> Result<Vec<EventId>, StoreError> {
    if item::read_instant(item, EXPIRES_AT)? > now { item::read_ids(item) } else { Ok(Vec::new()) }
}
