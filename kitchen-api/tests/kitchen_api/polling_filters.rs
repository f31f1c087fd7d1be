//! PARTNER_API, sections 1.3, 2.2, 2.4 and 8: what each filter of a poll shows, what it acknowledges by hiding it, and what it
//! leaves alone. The scripted feed judges by the filter that both feeds judge by.

use std::collections::BTreeSet;

use event_feed::FeedEvent;
use order_model::{EventCategory, EventCode};

use crate::client::{Answer, Client};
use crate::peers::event;
use crate::rig::{Rig, merchant};

const POLL: &str = "/events/v1.0/events:polling";

/// The published groups and what is in each. OPA to RFI (`OUTROS`) are in none that can be asked for.
const GROUPS: [(&str, &str); 9] = [
    ("ORDER_STATUS", "PLC CFM SPS SPE RTP DSP CON CAN"),
    ("CANCELLATION_REQUEST", "CAR CARF CCR CCA CCD"),
    ("ORDER_HANDSHAKE", "HSD HSS"),
    ("ORDER_TAKEOUT", "PAA"),
    ("DELIVERY", "ADR GTO AAO DDD CLT AAD DRGO DRDO DCR DDCR DDCS DPCR DPCS DRCR"),
    ("DELIVERY_ADDRESS", "DAR DAU DAA DAD"),
    ("DELIVERY_GROUP", "DGA DGD DGAC DGDC DGU"),
    ("DELIVERY_ONDEMAND", "RDR RDS RDF DCRA DCRR"),
    ("DELIVERY_COMPLEMENT", "RTS"),
];

/// Names of events that a test tells apart.
type Names = BTreeSet<String>;

/// One application, and events that it has pending, each under a name.
struct Pending {
    rig: Rig,
    pos: Client,
    events: Vec<(String, FeedEvent)>,
}

impl Pending {
    async fn start(events: impl IntoIterator<Item = (String, EventCode, EventCategory)>) -> Self {
        let named = (1..)
            .zip(events)
            .map(|(order, (name, code, category))| (name, FeedEvent { category, ..event(merchant(1), order, code) }));
        let events: Vec<(String, FeedEvent)> = named.collect();
        let rig = Rig::start().await;
        rig.peers.feed.events.lock().extend(events.iter().map(|(_, event)| event.clone()));
        let pos = rig.as_application("pos").await;
        Self { rig, pos, events }
    }

    /// One event of every code there is a word for, and `DLV`, for which this dialect has none.
    async fn of_every_code() -> Self {
        Self::start(EventCode::ALL.iter().map(|&code| (code.code().to_owned(), code, EventCategory::Food))).await
    }

    /// One order of each category, and one of a category that nobody knows yet.
    async fn of_every_category() -> Self {
        let categories = [
            ("FOOD", EventCategory::Food),
            ("GROCERY", EventCategory::Grocery),
            ("FOOD_SELF_SERVICE", EventCategory::FoodSelfService),
            ("ANOTAI", EventCategory::Anotai),
            ("NEW", EventCategory::Unknown),
        ];
        Self::start(categories.map(|(name, category)| (name.to_owned(), EventCode::Placed, category))).await
    }

    fn names_in(&self, answer: &Answer) -> Names {
        if answer.status == 204 {
            return Names::new();
        }
        let ids: Vec<String> =
            answer.json().as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        let shown = self.events.iter().filter(|(_, event)| ids.contains(&event.id.to_string()));
        let shown: Names = shown.map(|(name, _)| name.clone()).collect();
        assert_eq!(shown.len(), ids.len(), "each once: {ids:?}");
        shown
    }

    fn acknowledged(&self) -> Names {
        let ids = self.rig.peers.feed.acknowledged_by("pos");
        self.events.iter().filter(|(_, event)| ids.contains(&event.id)).map(|(name, _)| name.clone()).collect()
    }

    /// Polls with `query`: what is shown and what counts as acknowledged, which no later poll shows; all else one does.
    async fn poll(&self, query: &str) -> (Names, Names) {
        self.rig.peers.feed.acknowledged.lock().clear();
        let answer = self.pos.get(&format!("{POLL}?{query}")).await;
        assert!([200, 204].contains(&answer.status.as_u16()), "{query}: {answer:?}");
        let (shown, acknowledged) = (self.names_in(&answer), self.acknowledged());
        let left = self.names_in(&self.pos.get(&format!("{POLL}?categories=ALL")).await);
        let all: Names = self.events.iter().map(|(name, _)| name.clone()).filter(|name| name != "DLV").collect();
        assert_eq!(left, &all - &acknowledged, "{query}: what is pending after it");
        (shown, acknowledged)
    }
}

fn names(text: &str) -> Names {
    text.split_whitespace().map(str::to_owned).collect()
}

fn codes() -> Names {
    EventCode::ALL.iter().map(|code| code.code().to_owned()).filter(|code| code != "DLV").collect()
}

#[tokio::test]
async fn a_group_shows_all_its_types_and_acknowledges_all_others() {
    let pending = Pending::of_every_code().await;
    for (group, types) in GROUPS {
        let shown = names(types);
        assert_eq!(pending.poll(&format!("groups={group}")).await, (shown.clone(), &codes() - &shown), "{group}");
    }
    let together = GROUPS.map(|(_, types)| types).join(" ");
    let others = names("OPA RPS PRS CPR CPT BOA RFI");
    assert_eq!(&codes() - &names(&together), others, "every code is in the table, or among the others");
}

#[tokio::test]
async fn groups_go_by_their_short_and_second_names_in_any_case_and_several_are_a_union() {
    let pending = Pending::of_every_code().await;
    let of = |groups: &[&str]| -> Names {
        let types = GROUPS.iter().filter(|(group, _)| groups.contains(group)).map(|(_, types)| names(types));
        types.flatten().collect()
    };
    for (query, groups) in [
        ("groups=STATUS", &["ORDER_STATUS"][..]),
        ("groups=TAKEOUT", &["ORDER_TAKEOUT"]),
        ("groups=HANDSHAKE_PLATFORM", &["ORDER_HANDSHAKE"]),
        ("groups=delivery", &["DELIVERY"]),
        ("groups=STATUS,DELIVERY,TAKEOUT", &["ORDER_STATUS", "DELIVERY", "ORDER_TAKEOUT"]),
        ("groups=STATUS%2C%20DELIVERY,", &["ORDER_STATUS", "DELIVERY"]),
        ("groups=STATUS&groups=DELIVERY", &["ORDER_STATUS", "DELIVERY"]),
    ] {
        let shown = of(groups);
        assert_eq!(pending.poll(query).await, (shown.clone(), &codes() - &shown), "{query}");
    }
}

#[tokio::test]
async fn the_other_events_cannot_be_asked_for_as_a_group_but_by_their_types() {
    let pending = Pending::of_every_code().await;
    let nothing = (Names::new(), Names::new());
    assert_eq!(pending.poll("groups=OUTROS").await, nothing, "asked for nothing, lost nothing");
    let status = names(GROUPS[0].1);
    assert_eq!(pending.poll("groups=STATUS,OUTROS").await, (status.clone(), &codes() - &status));
    let both = &status | &names("OPA");
    assert_eq!(pending.poll("groups=STATUS&types=OPA").await, (both.clone(), &codes() - &both), "a union");
}

#[tokio::test]
async fn types_show_what_they_name_also_by_legacy_and_long_names_and_unknown_ones_are_ignored() {
    let pending = Pending::of_every_code().await;
    for (query, shown) in [
        ("types=PLC,CFM", "PLC CFM"),
        ("types=COL", "PLC"),
        ("types=col,CAN", "PLC CAN"),
        ("types=PLACED", "PLC"),
        ("types=PLC,XYZ,REC", "PLC"),
        ("types=%20plc%20,,", "PLC"),
        ("types=PLC&types=RFI", "PLC RFI"),
        ("types=PLC,DLV", "PLC"),
    ] {
        let shown = names(shown);
        assert_eq!(pending.poll(query).await, (shown.clone(), &codes() - &shown), "{query}");
    }
    for query in ["types=XYZ", "types=XYZ,REC", "types=DLV", "groups=NONE", "groups=NONE&types=XYZ"] {
        assert_eq!(pending.poll(query).await, (Names::new(), Names::new()), "{query}: no known value is left");
    }
    for query in ["", "types=", "groups=,&types=", "unknown=PLC"] {
        assert_eq!(pending.poll(query).await, (codes(), Names::new()), "{query}: nothing was sent");
    }
}

#[tokio::test]
async fn by_default_food_and_groceries_show_and_no_other_category_is_acknowledged() {
    let pending = Pending::of_every_category().await;
    let shown = names("FOOD GROCERY NEW");
    assert_eq!(pending.poll("").await, (shown.clone(), Names::new()));
    assert_eq!(pending.poll("types=PLC").await, (shown.clone(), Names::new()));
    assert_eq!(pending.poll("types=CFM").await, (Names::new(), shown), "the rest was not looked at");
}

#[tokio::test]
async fn categories_that_were_sent_acknowledge_all_others() {
    let pending = Pending::of_every_category().await;
    let all = names("FOOD GROCERY FOOD_SELF_SERVICE ANOTAI NEW");
    for (query, shown) in [
        ("categories=FOOD", "FOOD NEW"),
        ("categories=GROCERY", "GROCERY"),
        ("categories=FOOD_SELF_SERVICE", "FOOD_SELF_SERVICE"),
        ("categories=anotai", "ANOTAI"),
        ("categories=FOOD,GROCERY", "FOOD GROCERY NEW"),
        ("categories=ANOTAI,%20FOOD_SELF_SERVICE,PETS", "ANOTAI FOOD_SELF_SERVICE"),
        ("categories=ALL", "FOOD GROCERY FOOD_SELF_SERVICE ANOTAI NEW"),
        ("categories=FOOD,ALL", "FOOD GROCERY FOOD_SELF_SERVICE ANOTAI NEW"),
        ("categories=ALL&types=PLC", "FOOD GROCERY FOOD_SELF_SERVICE ANOTAI NEW"),
    ] {
        let shown = names(shown);
        assert_eq!(pending.poll(query).await, (shown.clone(), &all - &shown), "{query}");
    }
    assert_eq!(pending.poll("categories=ALL&types=CFM").await, (Names::new(), all.clone()));
    assert_eq!(pending.poll("categories=PETS").await, (Names::new(), Names::new()), "no known value is left");
    assert_eq!(pending.poll("categories=").await.0, names("FOOD GROCERY NEW"), "blank is not sent");
}

#[tokio::test]
async fn what_a_filter_hides_of_groups_and_categories_stays_pending_when_asked_for() {
    let pending = Pending::of_every_code().await;
    let shown = names("PAA");
    assert_eq!(pending.poll("groups=TAKEOUT&acknowledgeHidden=false").await, (shown, Names::new()));
    let pending = Pending::of_every_category().await;
    let shown = names("ANOTAI");
    assert_eq!(pending.poll("categories=ANOTAI&acknowledgeHidden=false").await, (shown, Names::new()));
}
