//! What merchants' applications ask of an order: read from the wire, and which plan decides it.
//!
//! `wire` reads what internal apps send; this is the other door. Called by `rpc`.

use order_model::lifecycle::{self, Action, CancellationCode, Command, DisputeAnswer, Verdict};
use order_model::{MerchantId, OrderId, Timestamp};
use proto::conversions;
use proto::gateway_core as wire;
use tonic::Status;

use crate::address_change::NewAddress;
use crate::codes::SentCode;
use crate::core::{Core, Outcome, beside};
use crate::denial::Denial;
use crate::disputes::{DisputeReply, Objection};
use crate::error::RequestError;
use crate::planning::{
    Cause, CourierReport, MessageIdentity, needs_body, plan_action, plan_address_change, plan_answer, plan_code,
    plan_courier_report, plan_preparation_start,
};
use crate::store::{Beside, KeySpace, Loaded, MessageKey};
use crate::telemetry;
use crate::wire::{cut, malformed, name};

/// The longest name, phone or vehicle of a courier.
const WORKER_BYTES_MAX: usize = 256;

/// What a merchant's application asks of an order.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A step.
    Action(Action),
    /// A step that the right code takes.
    Code(Action, SentCode),
    /// An answer to a dispute, and its terms.
    Answer(DisputeAnswer, DisputeReply),
    /// Where its own courier is.
    Courier(CourierReport),
    /// That the order goes to another address.
    NewAddress(NewAddress),
    /// That the kitchen begins at another time.
    PreparationStart(Timestamp),
}

impl Core {
    /// Applies a merchant's action.
    pub(crate) async fn act(
        &self,
        order: OrderId,
        merchant: MerchantId,
        asked: &Asked,
        cause: &Cause,
    ) -> Result<Outcome, RequestError> {
        match asked {
            Asked::Action(action) => {
                let plan = |loaded: &Loaded, now| plan_action(&self.rules, loaded, merchant, *action, cause, now);
                let beside = Beside { body: needs_body(&Command::Act(*action)), ..beside(cause, None) };
                self.decide(order, beside, None, "action", plan).await
            }
            Asked::NewAddress(new) => {
                let plan = |loaded: &Loaded, now| plan_address_change(&self.rules, loaded, merchant, new, cause, now);
                let beside = Beside { body: true, ..beside(cause, None) };
                self.decide(order, beside, None, "action", plan).await
            }
            Asked::Code(action, sent) => {
                let asked = (*action, sent);
                let plan = |loaded: &Loaded, now| plan_code(&self.rules, loaded, merchant, asked, cause, now);
                let beside = Beside { body: true, ..beside(cause, None) };
                self.decide(order, beside, None, "code", plan).await
            }
            Asked::Answer(answer, reply) => {
                let asked = (answer, reply);
                let plan = |loaded: &Loaded, now| plan_answer(&self.rules, loaded, merchant, asked, cause, now);
                self.decide(order, beside(cause, Some(&answer.dispute)), None, "answer", plan).await
            }
            Asked::Courier(report) => {
                let plan =
                    |loaded: &Loaded, now| plan_courier_report(&self.rules, loaded, merchant, *report, cause, now);
                self.decide(order, beside(cause, None), None, "report", plan).await
            }
            Asked::PreparationStart(start) => {
                let plan =
                    |loaded: &Loaded, now| plan_preparation_start(&self.rules, loaded, merchant, *start, cause, now);
                let beside = Beside { body: true, ..beside(cause, None) };
                self.decide(order, beside, None, "report", plan).await
            }
        }
    }
}

/// A merchant's action.
pub(crate) struct Acting {
    pub(crate) order: OrderId,
    pub(crate) merchant: MerchantId,
    pub(crate) asked: Asked,
    pub(crate) cause: Cause,
}

/// Reads an action.
pub(crate) fn acting(request: &wire::ActRequest) -> Result<Acting, Status> {
    let application = conversions::application_id(&request.application_id)?;
    let asked = asked(request)?;
    let order = conversions::order_id(&request.order_id)?;
    let message = match request.idempotency_key.as_str() {
        "" => None,
        key => {
            let key = MessageKey::new(KeySpace::Action, application.as_str(), name(key, "idempotency_key")?);
            Some(MessageIdentity { key, digest: digest_of(order, &asked) })
        }
    };
    let trace = conversions::trace_id(&request.trace_id);
    let metadata = match &asked {
        Asked::PreparationStart(start) => Some(format!("{{\"preparationStartDateTime\":\"{start}\"}}")),
        Asked::Action(_) | Asked::Code(..) | Asked::Answer(..) | Asked::Courier(_) | Asked::NewAddress(_) => {
            request.worker.as_ref().map(worker_metadata)
        }
    };
    let denial = match &asked {
        Asked::Action(Action::DenyCancellation) => Denial::parse(&request.code),
        _ => None,
    };
    let cause = Cause { message, trace, metadata, denial, application: Some(application), ..Cause::default() };
    Ok(Acting { order, merchant: conversions::merchant_id(&request.merchant_id)?, asked, cause })
}

fn asked(request: &wire::ActRequest) -> Result<Asked, Status> {
    Ok(Asked::Action(match request.action() {
        wire::Action::Unspecified => return Err(malformed("action")),
        wire::Action::Confirm => lifecycle::Action::Confirm,
        wire::Action::StartPreparation => lifecycle::Action::StartPreparation,
        wire::Action::ReadyToPickup => lifecycle::Action::ReadyToPickup,
        wire::Action::Dispatch => lifecycle::Action::Dispatch,
        wire::Action::RequestCancellation => lifecycle::Action::RequestCancellation(cancellation_code(&request.code)),
        wire::Action::AcceptCancellation => lifecycle::Action::AcceptCancellation,
        wire::Action::DenyCancellation => lifecycle::Action::DenyCancellation,
        wire::Action::PickedUp => lifecycle::Action::PickedUp,
        wire::Action::Delivered => lifecycle::Action::Delivered,
        wire::Action::ValidatePickupCode => return checking(request, lifecycle::Action::ValidatePickupCode),
        wire::Action::VerifyDeliveryCode => return checking(request, lifecycle::Action::VerifyDeliveryCode),
        wire::Action::VerifyCodeAtDestination => return checking(request, lifecycle::Action::VerifyCodeAtDestination),
        wire::Action::RequestDriver => lifecycle::Action::RequestDriver,
        wire::Action::CancelDriverRequest => lifecycle::Action::CancelDriverRequest,
        wire::Action::AssignDriver => lifecycle::Action::AssignDriver,
        wire::Action::GoToOrigin => lifecycle::Action::GoToOrigin,
        wire::Action::ArriveAtOrigin => lifecycle::Action::ArriveAtOrigin,
        wire::Action::Collect => lifecycle::Action::Collect,
        wire::Action::ArriveAtDestination => lifecycle::Action::ArriveAtDestination,
        wire::Action::RequestAddressChange => {
            return NewAddress::read(&request.new_address)
                .map(Asked::NewAddress)
                .ok_or_else(|| malformed("new_address"));
        }
        wire::Action::ConfirmAddressChange => lifecycle::Action::ConfirmAddressChange,
        wire::Action::AcceptAddressChange => lifecycle::Action::AcceptAddressChange,
        wire::Action::DenyAddressChange => lifecycle::Action::DenyAddressChange,
        wire::Action::Track => return courier_report(request),
        wire::Action::ChangePreparationStart if request.preparation_start_ms > 0 => {
            return Ok(Asked::PreparationStart(Timestamp::from_unix_ms(request.preparation_start_ms)));
        }
        wire::Action::ChangePreparationStart => return Err(malformed("preparation_start_ms")),
        wire::Action::AcceptDispute => return answering(request, Verdict::Accept),
        wire::Action::RejectDispute => return answering(request, Verdict::Reject),
        wire::Action::ProposeAlternative => return answering(request, Verdict::Alternative),
    }))
}

/// The code of a cancellation. Clients cancel without one, or with one of their own, and a POS that cancels must be heard
/// (PARTNER_API, section 8): what is not known is the merchant's own trouble, the code that blames nobody else.
fn cancellation_code(sent: &str) -> CancellationCode {
    CancellationCode::parse(sent).unwrap_or_else(|| {
        telemetry::cancellation_code_replaced(sent);
        CancellationCode::InternalDifficulty
    })
}

fn checking(request: &wire::ActRequest, action: lifecycle::Action) -> Result<Asked, Status> {
    let code = SentCode::new(&request.confirmation_code).ok_or_else(|| malformed("confirmation_code"))?;
    Ok(Asked::Code(action, code))
}

fn courier_report(request: &wire::ActRequest) -> Result<Asked, Status> {
    Ok(Asked::Courier(match request.courier_report() {
        wire::CourierReport::Unspecified => return Err(malformed("courier_report")),
        wire::CourierReport::PickupOngoing => CourierReport::GoingToOrigin,
        wire::CourierReport::ArrivedAtMerchant => CourierReport::AtOrigin,
        wire::CourierReport::ArrivedAtCustomer => CourierReport::AtDestination,
        wire::CourierReport::Cancelled => CourierReport::TakenOff,
        wire::CourierReport::OrderPicked
        | wire::CourierReport::DeliveryOngoing
        | wire::CourierReport::OrderDelivered => CourierReport::AsActed,
    }))
}

/// The metadata of an `ADR`, or of what Open Delivery's `tracking` tells, that an application reports: who comes. As with an internal app's, a POS shows it.
fn worker_metadata(worker: &wire::Worker) -> String {
    let said =
        [("workerName", &worker.name), ("workerPhone", &worker.phone), ("workerVehicleType", &worker.vehicle_type)];
    let fields: serde_json::Map<String, serde_json::Value> = said
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), cut(value, WORKER_BYTES_MAX).into()))
        .collect();
    serde_json::Value::from(fields).to_string()
}

fn answering(request: &wire::ActRequest, verdict: Verdict) -> Result<Asked, Status> {
    let sent = request.dispute.as_ref().ok_or_else(|| malformed("dispute"))?;
    let dispute = sent.dispute_id.parse().map_err(|_| malformed("dispute_id"))?;
    let reply = DisputeReply {
        reason: sent.reason.clone(),
        alternative_id: sent.alternative_id.clone(),
        alternative_type: sent.alternative_type.clone(),
        amount_value: sent.amount_value.clone(),
        amount_currency: sent.amount_currency.clone(),
        additional_minutes: sent.additional_minutes,
        additional_reason: sent.additional_reason.clone(),
    };
    Ok(Asked::Answer(DisputeAnswer { dispute, verdict }, reply))
}

/// What an idempotency key of an application stands for: this action on this order.
fn digest_of(order: OrderId, asked: &Asked) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(order.as_bytes());
    let hash = match asked {
        Asked::Action(action) => {
            let code = match action {
                lifecycle::Action::RequestCancellation(code) => code.code(),
                _ => "",
            };
            hash.chain_update(action.name()).chain_update(code)
        }
        Asked::Courier(report) => hash.chain_update("tracking").chain_update(report.name()),
        Asked::NewAddress(new) => hash.chain_update("newAddress").chain_update(new.digest()),
        Asked::PreparationStart(start) => {
            hash.chain_update("preparationStart").chain_update(start.unix_ms().to_be_bytes())
        }
        Asked::Code(action, code) => hash.chain_update(action.name()).chain_update(code.digest()),
        Asked::Answer(answer, reply) => {
            let terms = format!("{reply:?}");
            hash.chain_update(answer.verdict.name())
                .chain_update(answer.dispute.as_str())
                .chain_update([0])
                .chain_update(terms)
        }
    };
    hash.finalize().into()
}

/// What is wrong with an action's terms.
pub(crate) const fn objection(objection: Objection) -> wire::Objection {
    match objection {
        Objection::Reason => wire::Objection::ReasonNotOffered,
        Objection::AlternativeUnknown => wire::Objection::AlternativeUnknown,
        Objection::AlternativeType => wire::Objection::AlternativeTypeDiffers,
        Objection::Amount => wire::Objection::AmountNotOffered,
        Objection::Time => wire::Objection::TimeNotOffered,
        Objection::TimeReason => wire::Objection::TimeReasonNotOffered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_without_a_known_code_is_the_merchants_own_trouble() {
        for &code in CancellationCode::ALL {
            assert_eq!(cancellation_code(code.code()), code);
        }
        for unknown in ["", " ", "510", "999", "UNAVAILABLE_ITEM", "no gas"] {
            assert_eq!(cancellation_code(unknown), CancellationCode::InternalDifficulty, "{unknown}");
        }
    }
}
