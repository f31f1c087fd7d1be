//! Orders told as stories: what a reader of PARTNER_API would expect to see, with metadata, deadlines and refusals.

use order_model::lifecycle::cancellation::offered;
use order_model::lifecycle::timing::{Due, next_due};
use order_model::lifecycle::{
    Action, CancelOrigin, Cancellation, CancellationCode, Command, Decision, DeliveredBy, Dispute, DisputeAnswer,
    DisputeAsk, DisputeOpening, EventMetadata, Goods, Illegal, Lifecycle, OrderKind, OrderStatus, OrderType,
    SettlementStatus, TimeoutAction, Update, Verdict, decide, place,
};
use order_model::{EventCategory, EventCode, Timestamp};

/// An order and the codes of its events so far.
struct Story {
    lifecycle: Lifecycle,
    codes: Vec<&'static str>,
    last: Vec<EventMetadata>,
}

impl Story {
    fn of(order_type: &str, delivered_by: &str, category: &str) -> Self {
        let kind = OrderKind {
            order_type: OrderType::parse(order_type).unwrap(),
            delivered_by: DeliveredBy::of_order(delivered_by),
            goods: Goods::from(EventCategory::of_order(category)),
        };
        let (event, lifecycle) = place(kind, at(0));
        Self { lifecycle, codes: vec![event.code.code()], last: vec![event.metadata] }
    }

    fn try_to(&mut self, command: &Command) -> Result<Decision, Illegal> {
        let decision = decide(&self.lifecycle, at(0), command)?;
        self.codes.extend(decision.events().iter().map(|event| event.code.code()));
        self.last = decision.events().iter().map(|event| event.metadata.clone()).collect();
        if let Some(next) = decision.next() {
            self.lifecycle = next.clone();
        }
        Ok(decision)
    }

    fn act(&mut self, action: Action) -> &mut Self {
        self.try_to(&Command::Act(action)).unwrap();
        self
    }

    fn update(&mut self, codes: &str) -> &mut Self {
        for code in codes.split(' ') {
            self.try_to(&update(code)).unwrap();
        }
        self
    }

    fn told(&self) -> String {
        self.codes.join(" ")
    }
}

fn at(unix_s: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_s * 1000)
}

fn update(code: &str) -> Command {
    Command::Update(Update::new(EventCode::parse(code).unwrap()).unwrap())
}

fn dispute(id: &str, timeout_action: TimeoutAction, parent: Option<&str>) -> Command {
    Command::Update(Update::dispute(DisputeOpening {
        dispute: Dispute {
            id: id.parse().unwrap(),
            asks: DisputeAsk::of_dispute(None, timeout_action),
            expires_at: at(420),
            timeout_action,
        },
        parent: parent.map(|parent| parent.parse().unwrap()),
    }))
}

#[test]
fn the_merchant_delivers() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    order.act(Action::Confirm).act(Action::Dispatch).update("CON");
    assert_eq!(order.told(), "PLC CFM DSP CON");
    assert_eq!(order.lifecycle.status, OrderStatus::Concluded);
}

#[test]
fn the_marketplace_delivers() {
    let mut order = Story::of("DELIVERY", "IFOOD", "FOOD");
    order.act(Action::Confirm).act(Action::StartPreparation).act(Action::ReadyToPickup);
    let refused = order.try_to(&Command::Act(Action::Dispatch)).unwrap_err();
    assert!(!refused.may_become_legal, "the merchant never dispatches");
    assert!(order.try_to(&update("CON")).unwrap_err().may_become_legal, "not before the courier has it");
    order.update("ADR GTO AAO CLT AAD CON");
    assert_eq!(order.told(), "PLC CFM PRS RTP ADR GTO AAO CLT AAD CON");
}

#[test]
fn whoever_hands_an_order_over_concludes_it() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    order.act(Action::Confirm);
    assert!(order.try_to(&Command::Act(Action::Delivered)).unwrap_err().may_become_legal, "not before it has left");
    order.act(Action::Dispatch).act(Action::Delivered).act(Action::Delivered);
    assert_eq!(order.told(), "PLC CFM DSP DLV CON");
    assert_eq!(order.last, [], "said twice, done once");
    let mut takeout = Story::of("TAKEOUT", "", "");
    takeout.act(Action::Confirm).act(Action::ReadyToPickup).act(Action::PickedUp);
    assert_eq!(takeout.told(), "PLC CFM RTP CLT CON");
    let mut marketplace = Story::of("DELIVERY", "IFOOD", "");
    marketplace.act(Action::Confirm).act(Action::ReadyToPickup).update("CLT DLV CON");
    assert_eq!(marketplace.told(), "PLC CFM RTP CLT DLV CON", "DELIVERED just before");
    for (action, mut order) in [
        (Action::Delivered, Story::of("TAKEOUT", "", "")),
        (Action::Delivered, Story::of("DELIVERY", "IFOOD", "")),
        (Action::PickedUp, Story::of("DELIVERY", "MERCHANT", "")),
        (Action::PickedUp, Story::of("INDOOR", "", "")),
    ] {
        order.act(Action::Confirm).act(Action::ReadyToPickup);
        assert!(!order.try_to(&Command::Act(action)).unwrap_err().may_become_legal, "{action:?}");
    }
}

#[test]
fn takeout_and_tables_end_when_ready() {
    let mut takeout = Story::of("TAKEOUT", "", "FOOD");
    takeout.act(Action::Confirm).update("PAA").act(Action::ReadyToPickup).update("CON");
    assert_eq!(takeout.told(), "PLC CFM PAA RTP CON");
    for order_type in ["DINE_IN", "INDOOR"] {
        let mut table = Story::of(order_type, "", "");
        table.act(Action::Confirm);
        let refused = table.try_to(&update("DSP")).unwrap_err();
        assert!(!refused.may_become_legal);
        table.act(Action::ReadyToPickup).update("CON");
        assert_eq!(table.told(), "PLC CFM RTP CON");
    }
}

#[test]
fn groceries_are_picked() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "GROCERY");
    order.act(Action::Confirm).act(Action::StartPreparation).update("SPE").act(Action::ReadyToPickup);
    assert_eq!(order.told(), "PLC CFM SPS SPE RTP");
}

#[test]
fn actions_before_the_confirmation_conflict_and_say_what_is_legal() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    for action in [Action::StartPreparation, Action::ReadyToPickup, Action::Dispatch, Action::AcceptCancellation] {
        let refused = order.try_to(&Command::Act(action)).unwrap_err();
        assert_eq!(refused.legal, ["confirm", "requestCancellation"]);
        assert!(refused.may_become_legal);
    }
    let refused = order.try_to(&Command::Act(Action::Dispatch)).unwrap_err();
    assert_eq!(refused.to_string(), "dispatch is not legal in state PLACED; legal: confirm, requestCancellation");
}

#[test]
fn a_merchant_cancels_at_once_while_the_goods_are_in_the_house() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    order.act(Action::Confirm).act(Action::RequestCancellation(CancellationCode::ItemUnavailable));
    assert_eq!(order.told(), "PLC CFM CAR CAN");
    let asked = Cancellation {
        stage: OrderStatus::Confirmed,
        origin: CancelOrigin::Restaurant,
        code: Some(CancellationCode::ItemUnavailable),
        requested_by: None,
        timeout: false,
    };
    let granted = Cancellation { requested_by: Some(3), ..asked };
    assert_eq!(order.last, [EventMetadata::Cancellation(asked), EventMetadata::Cancellation(granted)]);
    assert_eq!(granted.reason(), "Item indisponível");
    let refused = order.try_to(&Command::Act(Action::Confirm)).unwrap_err();
    assert!(!refused.may_become_legal && refused.legal.is_empty());
}

#[test]
fn a_request_after_dispatch_waits_for_an_answer() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    let ask = Action::RequestCancellation(CancellationCode::Fraud);
    order.act(Action::Confirm).act(Action::Dispatch).act(ask);
    assert_eq!(offered(&order.lifecycle), []);
    let again = order.try_to(&Command::Act(ask)).unwrap();
    assert_eq!(again, Decision::AlreadyDone { status: OrderStatus::Dispatched });
    order.update("CARF").act(ask).update("CAN");
    assert_eq!(order.told(), "PLC CFM DSP CAR CARF CAR CAN");
    let EventMetadata::OfUpdateOr(cancellation) = &order.last[0] else { panic!("{:?}", order.last) };
    assert_eq!((cancellation.code, cancellation.requested_by), (Some(CancellationCode::Fraud), Some(6)));
}

#[test]
fn a_consumer_asks_twice() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    order.act(Action::Confirm).update("CCR").act(Action::DenyCancellation);
    order.update("CCR").act(Action::AcceptCancellation);
    assert_eq!(order.told(), "PLC CFM CCR CCD CCR CCA CAN");
    let again = order.try_to(&Command::Act(Action::AcceptCancellation)).unwrap();
    assert_eq!(again, Decision::AlreadyDone { status: OrderStatus::Cancelled });
}

#[test]
fn nobody_confirms() {
    let mut order = Story::of("TAKEOUT", "", "FOOD");
    order.try_to(&Command::ConfirmTimeout).unwrap();
    let EventMetadata::Cancellation(cancellation) = &order.last[0] else { panic!("{:?}", order.last) };
    assert!(cancellation.timeout);
    assert_eq!((cancellation.stage, cancellation.origin), (OrderStatus::Placed, CancelOrigin::Platform));
    assert!(!order.try_to(&update("CFM")).unwrap_err().may_become_legal);
}

#[test]
fn updates_may_be_repeated_overtaken_and_early() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    assert!(order.try_to(&update("DSP")).unwrap_err().may_become_legal);
    order.update("CFM RTP CFM DSP PRS PRS CON RTP AAD");
    assert_eq!(order.told(), "PLC CFM RTP DSP PRS CON AAD", "PRS is recorded once, repeats are not");
    assert!(!order.try_to(&update("CAN")).unwrap_err().may_become_legal);
}

#[test]
fn a_dispute_that_nobody_answers() {
    let mut order = Story::of("DELIVERY", "IFOOD", "FOOD");
    order.act(Action::Confirm);
    order.try_to(&dispute("d1", TimeoutAction::RejectCancellation, None)).unwrap();
    assert!(order.try_to(&dispute("d3", TimeoutAction::Void, None)).unwrap_err().may_become_legal);
    order.try_to(&dispute("d2", TimeoutAction::AcceptCancellation, Some("d1"))).unwrap();
    order.try_to(&Command::DisputeTimeout).unwrap();
    assert_eq!(order.told(), "PLC CFM HSD HSD HSS CAN");
    let settled = EventMetadata::Settlement { dispute: "d2".parse().unwrap(), status: SettlementStatus::Accepted };
    assert_eq!(order.last[0], settled);
}

#[test]
fn a_dispute_after_the_end_leaves_the_end_alone() {
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    order.act(Action::Confirm).act(Action::Dispatch).update("CON");
    order.try_to(&dispute("d1", TimeoutAction::AcceptCancellation, None)).unwrap();
    assert_eq!(next_due(&order.lifecycle, at(480), at(9000)), Some((at(420), Due::Dispute)));
    order.try_to(&Command::DisputeTimeout).unwrap();
    assert_eq!((order.told().as_str(), order.lifecycle.status), ("PLC CFM DSP CON HSD HSS", OrderStatus::Concluded));
    assert_eq!(next_due(&order.lifecycle, at(480), at(9000)), None);
}

#[test]
fn one_thing_is_due_at_a_time() {
    let mut order = Story::of("TAKEOUT", "", "FOOD");
    let due = |order: &Story| next_due(&order.lifecycle, at(480), at(9000));
    assert_eq!(due(&order), Some((at(480), Due::Confirm)));
    order.try_to(&dispute("d1", TimeoutAction::Void, None)).unwrap();
    assert_eq!(due(&order), Some((at(420), Due::Dispute)));
    order.try_to(&Command::DisputeTimeout).unwrap();
    order.act(Action::Confirm);
    assert_eq!(due(&order), Some((at(9000), Due::Conclude)));
    order.try_to(&Command::Conclude).unwrap();
    assert_eq!((due(&order), order.told().as_str()), (None, "PLC HSD HSS CFM CON"));
}

#[test]
fn reasons_are_offered_while_they_make_sense() {
    let numbers = |order: &Story| offered(&order.lifecycle).iter().map(|code| code.number()).collect::<Vec<_>>();
    let mut order = Story::of("DELIVERY", "MERCHANT", "FOOD");
    assert_eq!(numbers(&order), [501, 502, 503, 504, 505, 506, 507, 508, 509, 511, 512, 513]);
    order.act(Action::Confirm).act(Action::Dispatch);
    assert_eq!(numbers(&order), [501, 506, 507, 509, 511]);
    order.update("CON");
    assert_eq!(numbers(&order), []);
    assert_eq!(numbers(&Story::of("TAKEOUT", "", "FOOD")), [501, 502, 503, 505, 507, 508, 509, 512, 513]);
}

#[test]
fn facts_are_required_where_they_decide() {
    let missing = Update::new(EventCode::HandshakeDispute).unwrap_err();
    assert!(missing.to_string().starts_with("HSD needs the facts"));
    assert_eq!(TimeoutAction::of_dispute("SOMETHING_NEW"), TimeoutAction::Void);
    assert_eq!(DeliveredBy::of_order("marketplace"), DeliveredBy::Marketplace);
    assert_eq!(DeliveredBy::of_order("SOMEONE"), DeliveredBy::Merchant);
    assert!("a b".parse::<order_model::lifecycle::DisputeId>().is_err());
}

fn answer(id: &str, verdict: Verdict) -> Command {
    Command::Answer(DisputeAnswer { dispute: id.parse().unwrap(), verdict })
}

#[test]
fn a_merchants_answer_settles_a_dispute_and_accepting_a_cancellation_cancels() {
    let disputed = || {
        let mut story = Story::of("DELIVERY", "MERCHANT", "FOOD");
        story.act(Action::Confirm).try_to(&dispute("d", TimeoutAction::AcceptCancellation, None)).unwrap();
        story
    };
    let mut accepted = disputed();
    accepted.try_to(&answer("d", Verdict::Accept)).unwrap();
    assert_eq!(accepted.told(), "PLC CFM HSD HSS CAN");
    let settled = |status| EventMetadata::Settlement { dispute: "d".parse().unwrap(), status };
    assert_eq!(accepted.last[0], settled(SettlementStatus::Accepted));
    let EventMetadata::Cancellation(cancellation) = &accepted.last[1] else { panic!("a CAN says why") };
    assert_eq!((cancellation.origin, cancellation.timeout), (CancelOrigin::Consumer, false));
    for (verdict, status) in
        [(Verdict::Reject, SettlementStatus::Rejected), (Verdict::Alternative, SettlementStatus::AlternativeReplied)]
    {
        let mut story = disputed();
        story.try_to(&answer("d", verdict)).unwrap();
        assert_eq!((story.told().as_str(), &story.last), ("PLC CFM HSD HSS", &vec![settled(status)]));
        let again = story.try_to(&answer("d", Verdict::Accept)).unwrap();
        assert_eq!(again, Decision::AlreadyDone { status: OrderStatus::Confirmed }, "one answer for each dispute");
    }
}

#[test]
fn accepting_anything_but_a_cancellation_and_anything_after_the_delivery_only_settles() {
    let mut refund = Story::of("DELIVERY", "MERCHANT", "FOOD");
    refund.act(Action::Confirm).try_to(&dispute("d", TimeoutAction::Void, None)).unwrap();
    refund.try_to(&answer("d", Verdict::Accept)).unwrap();
    assert_eq!(refund.told(), "PLC CFM HSD HSS");
    let mut late = Story::of("DELIVERY", "MERCHANT", "FOOD");
    late.act(Action::Confirm).act(Action::Dispatch).update("CON");
    late.try_to(&dispute("d", TimeoutAction::AcceptCancellation, None)).unwrap();
    late.try_to(&answer("d", Verdict::Accept)).unwrap();
    assert_eq!((late.told().as_str(), late.lifecycle.status), ("PLC CFM DSP CON HSD HSS", OrderStatus::Concluded));
}

#[test]
fn an_expired_or_unknown_dispute_takes_no_answer() {
    let mut story = Story::of("DELIVERY", "MERCHANT", "FOOD");
    story.act(Action::Confirm).try_to(&dispute("d", TimeoutAction::Void, None)).unwrap();
    let before = decide(&story.lifecycle, at(419), &answer("d", Verdict::Reject));
    assert!(before.is_ok());
    let expired = decide(&story.lifecycle, at(420), &answer("d", Verdict::Reject)).unwrap_err();
    assert_eq!(expired.attempted, "rejectDispute");
    assert!(!expired.legal.contains(&"rejectDispute") && expired.legal.contains(&"dispatch"), "{:?}", expired.legal);
    assert!(story.try_to(&answer("other", Verdict::Accept)).is_err());
}

#[test]
fn what_a_dispute_asks_for_is_its_action_and_else_what_its_expiry_would_do() {
    use TimeoutAction::{AcceptCancellation, RejectCancellation, Void};
    for (action, timeout_action, asks) in [
        (Some(" cancellation"), Void, DisputeAsk::Cancellation),
        (Some("PARTIAL_CANCELLATION"), AcceptCancellation, DisputeAsk::Other),
        (Some("SOMETHING_NEW"), AcceptCancellation, DisputeAsk::Other),
        (None, AcceptCancellation, DisputeAsk::Cancellation),
        (None, RejectCancellation, DisputeAsk::Other),
        (None, Void, DisputeAsk::Other),
    ] {
        assert_eq!(DisputeAsk::of_dispute(action, timeout_action), asks, "{action:?} {timeout_action:?}");
    }
}
