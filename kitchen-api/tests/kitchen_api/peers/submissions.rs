//! What the scripted gateway-core does with messages of internal apps: it remembers them and, as the real one, answers a
//! message that is submitted again as the first time, and refuses another one under its id. And a gate at which its actions can be made to wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use proto::conversions;
use proto::gateway_core::{self as core, submit_request::Content};
use tokio::sync::Notify;
use tonic::Status;

use crate::peers::count_down;
use crate::peers::gateway_core::Core;

#[derive(Default)]
pub struct Submissions {
    /// Those that had an effect.
    pub taken: Mutex<Vec<core::SubmitRequest>>,
    pub repeats: AtomicU32,
    /// Why every further one is rejected.
    pub rejection: Mutex<Option<core::Rejection>>,
    /// So many are carried out, and their answers lost.
    pub answers_lost: AtomicU32,
    digests: Mutex<HashMap<String, bytes::Bytes>>,
    /// Actions wait until it is opened.
    pub gate_is_shut: AtomicBool,
    gate: Notify,
}

impl Submissions {
    /// The bodies of the orders that were placed.
    pub fn orders(&self) -> Vec<serde_json::Value> {
        let placed = |request: &core::SubmitRequest| match &request.content {
            Some(Content::Place(place)) => Some(serde_json::from_slice(&place.body).unwrap()),
            _ => None,
        };
        self.taken.lock().iter().filter_map(placed).collect()
    }

    pub fn open_gate(&self) {
        self.gate_is_shut.store(false, Ordering::SeqCst);
        self.gate.notify_waiters();
    }

    pub async fn pass_gate(&self) {
        loop {
            let opened = self.gate.notified();
            if !self.gate_is_shut.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }
}

impl Core {
    pub fn take_submission(&self, request: core::SubmitRequest) -> Result<core::SubmitReply, Status> {
        let submissions = &self.submissions;
        let reply = |outcome: core::Outcome, rejection| core::SubmitReply {
            outcome: outcome.into(),
            rejection,
            event_ids: Vec::new(),
        };
        let key = format!("{}/{}", request.source, request.message_id);
        if let Some(digest) = submissions.digests.lock().get(&key) {
            if *digest != request.body_digest {
                let reused = core::Rejection { reason: "ID_REUSED".to_owned(), ..core::Rejection::default() };
                return Ok(reply(core::Outcome::Rejected, Some(reused)));
            }
            submissions.repeats.fetch_add(1, Ordering::SeqCst);
            return Ok(reply(core::Outcome::Repeated, None));
        }
        if let Some(rejection) = submissions.rejection.lock().clone() {
            return Ok(reply(core::Outcome::Rejected, Some(rejection)));
        }
        if let Some(Content::Place(place)) = &request.content {
            let order = conversions::order_id(&place.order_id)?;
            let Some(core::place_order::Merchant::MerchantId(merchant_id)) = place.merchant.clone() else {
                return Err(Status::unimplemented("not scripted"));
            };
            let placed = core::GetOrderReply {
                merchant_id,
                body: place.body.clone(),
                state: "PLACED".to_owned(),
                version: 1,
                order_id: place.order_id.clone(),
                ..core::GetOrderReply::default()
            };
            self.orders.lock().insert(order, placed);
        }
        submissions.digests.lock().insert(key, request.body_digest.clone());
        submissions.taken.lock().push(request);
        let is_lost = count_down(&submissions.answers_lost);
        if is_lost { Err(Status::unavailable("lost")) } else { Ok(reply(core::Outcome::Committed, None)) }
    }
}
