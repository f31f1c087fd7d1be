//! A submission as the core's request, and the core's answer as a verdict.
//!
//! The only code here that names the wire's messages. Called by the worker.

use event_feed::TraceId;
use order_model::Timestamp;
use proto::conversions::to_bytes;
use proto::gateway_core as wire;
use tonic::{Code, Status};

use crate::decision::{Failure, Verdict};
use crate::format::{Content, Facts, MerchantReference, Placement, Submission, Update, shortened};

/// The request for `submission`; `sent_at` stands in for a producer's time that is absent.
pub(crate) fn of(submission: &Submission, sent_at: Timestamp, trace: TraceId) -> wire::SubmitRequest {
    let content = match &submission.content {
        Content::Place(placement) => wire::submit_request::Content::Place(place(placement)),
        Content::Update(update) => wire::submit_request::Content::Update(self::update(update)),
    };
    wire::SubmitRequest {
        source: submission.source.clone(),
        message_id: submission.message_id.clone(),
        body_digest: submission.digest.to_vec().into(),
        occurred_at_ms: submission.occurred_at.unwrap_or(sent_at).unix_ms(),
        trace_id: to_bytes(&trace.0),
        content: Some(content),
    }
}

fn place(placement: &Placement) -> wire::PlaceOrder {
    let merchant = match &placement.merchant {
        MerchantReference::Id(id) => wire::place_order::Merchant::MerchantId(to_bytes(id.as_bytes())),
        MerchantReference::OpenDelivery(text) => wire::place_order::Merchant::OpenDeliveryMerchantId(text.clone()),
    };
    wire::PlaceOrder {
        order_id: to_bytes(placement.order.as_bytes()),
        merchant: Some(merchant),
        facts: Some(facts(&placement.facts)),
        body: placement.body.clone(),
    }
}

fn facts(facts: &Facts) -> wire::OrderFacts {
    wire::OrderFacts {
        order_type: facts.order_type.clone(),
        delivered_by: facts.delivered_by.clone(),
        category: facts.category.clone(),
        sales_channel: facts.sales_channel.clone(),
        order_timing: facts.order_timing.clone(),
        promised_at_ms: facts.promised_at.map_or(0, Timestamp::unix_ms),
        preparation_start_ms: facts.preparation_start.map_or(0, Timestamp::unix_ms),
        is_test: facts.is_test,
    }
}

fn update(update: &Update) -> wire::UpdateOrder {
    wire::UpdateOrder {
        order_id: to_bytes(update.order.as_bytes()),
        code: u32::from(update.code.number()),
        metadata: update.metadata.clone(),
    }
}

/// What the core's answer means. An answer that makes no sense is a failure of the core, not of the message.
pub(crate) fn verdict_of(reply: wire::SubmitReply) -> Verdict {
    match (reply.outcome(), reply.rejection) {
        (wire::Outcome::Committed, _) => Verdict::Committed,
        (wire::Outcome::Repeated, _) => Verdict::Repeated,
        (wire::Outcome::Rejected, Some(rejection)) => Verdict::Rejected {
            early: rejection.may_become_legal
                || matches!(rejection.reason.as_str(), "UNKNOWN_ORDER" | "UNKNOWN_MERCHANT"),
            reason: stable_code(rejection.reason),
            detail: shortened(rejection.detail),
        },
        (wire::Outcome::Rejected, None) | (wire::Outcome::Unspecified, _) => {
            Verdict::Failed(Failure::Doubtful(Code::Unknown))
        }
    }
}

/// A reason becomes an attribute and a log field: anything that does not look like a code is not passed on.
fn stable_code(reason: String) -> String {
    let is_code =
        (1..=64).contains(&reason.len()) && reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_code { reason } else { "REJECTED".to_owned() }
}

/// Whose failure a status is. The status's text is left out: it comes from elsewhere and may hold anything.
pub(crate) fn failure_of(status: &Status) -> Failure {
    let code = status.code();
    match code {
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists => {
            Failure::OfMessage(code)
        }
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => Failure::Doubtful(code),
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Cancelled
        | Code::Aborted
        | Code::Unimplemented
        | Code::PermissionDenied
        | Code::Unauthenticated => Failure::OfDependency(code),
    }
}
