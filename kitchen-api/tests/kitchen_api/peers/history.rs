//! The scripted merchant-connection's history of presence.

use std::collections::HashMap;

use order_model::MerchantId;
use parking_lot::Mutex;
use proto::conversions;
use proto::merchant_connection as presence;
use tonic::Status;

/// Oldest first, by merchant.
#[derive(Default)]
pub struct History(pub Mutex<HashMap<MerchantId, Vec<presence::Transition>>>);

impl History {
    /// A merchant that goes ONLINE and OFFLINE by turns, once a minute from `start_ms` on.
    pub fn put(&self, merchant: MerchantId, start_ms: i64, count: u64) {
        let transition = |sequence: u64| {
            let changed_at_ms = start_ms + 60_000 * i64::try_from(sequence).unwrap();
            let online = sequence % 2 == 1;
            presence::Transition {
                id: vec![0; 16].into(),
                online,
                reason: if online { "HEARTBEAT_RECEIVED" } else { "HEARTBEAT_TIMEOUT" }.to_owned(),
                changed_at_ms,
                last_heartbeat_at_ms: if online { changed_at_ms } else { changed_at_ms - 120_500 },
                sequence,
            }
        };
        self.0.lock().insert(merchant, (1..=count).map(transition).collect());
    }

    pub fn take(&self, request: &presence::HistoryRequest) -> Result<presence::HistoryReply, Status> {
        let all = self.0.lock();
        let of = all.get(&conversions::merchant_id(&request.merchant_id)?).into_iter().flatten().rev();
        let before = of.filter(|one| request.before_ms == 0 || one.changed_at_ms < request.before_ms);
        Ok(presence::HistoryReply { transitions: before.take(request.limit as usize).cloned().collect() })
    }
}
