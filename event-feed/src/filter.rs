//! The filters of a poll: `types`, `groups`, `categories`, and which of them acknowledge what they hide.
//!
//! Both feeds call [`Filter::verdict`] for every pending event. Sources: CONTRACT "Answers" and PARTNER_API 1.3, 2.2
//! and 2.4. Where those leave a choice, the reading taken is the one that loses less:
//!
//! * `types` and `groups` together are a union: an event shows if either names it. PARTNER_API 1.3 says that a group
//!   already contains its types, so a client that sends both asks for more, and what a filter hides is gone for good.
//! * Events of group `OUTROS` match no `groups` value, so a `groups` sent alone hides and acknowledges them, as it does
//!   everything else that does not match. They can be asked for by code in `types`, beside any `groups`.
//! * Outside the default categories an event only hides, even if a sent `types` would not have matched it either: the
//!   poll did not look at that category at all.
//! * An unknown category shows wherever `FOOD` shows: a new category must not lose an order.
//! * A poll that asks to keep what it hides acknowledges nothing, whatever was sent.
//! * What the dialect of the poll has no word for only hides, whatever else was sent: another dialect may still want it.

use order_model::{EventCategory, EventCode, EventGroup};

use crate::event::FeedEvent;

/// The category part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CategoryFilter {
    /// None was sent: food and groceries (and categories we do not know) show; the rest hides and stays pending.
    Default,
    /// `categories=ALL`.
    All,
    /// These were sent: whatever else hides and is acknowledged.
    Sent(Vec<EventCategory>),
}

/// The language of a poll (PARTNER_API, sections 2.2 and 4): which events there are words for.
///
/// What a dialect has no word for is never in its pages and never acknowledged by its polls. For an application that
/// speaks no other dialect such an event stays unseen until it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The iFood-style Merchant API, and what is ours.
    #[default]
    Merchant,
    /// Open Delivery 1.7.0 and older.
    OpenDelivery,
}

impl Dialect {
    /// Whether there is a word for events of `code`.
    pub const fn has(self, code: EventCode) -> bool {
        match self {
            Self::Merchant => !matches!(code, EventCode::Delivered),
            Self::OpenDelivery => matches!(
                code,
                EventCode::Placed
                    | EventCode::Confirmed
                    | EventCode::RecommendedPreparationStart
                    | EventCode::PreparationStarted
                    | EventCode::SeparationStarted
                    | EventCode::ReadyToPickup
                    | EventCode::Dispatched
                    | EventCode::PickupAreaAssigned
                    | EventCode::Collected
                    | EventCode::Delivered
                    | EventCode::Concluded
                    | EventCode::CancellationRequested
                    | EventCode::CancellationRequestFailed
                    | EventCode::Cancelled
                    | EventCode::ConsumerCancellationRequested
                    | EventCode::ConsumerCancellationDenied
            ),
        }
    }
}

/// What a poll asked to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The language it asked in.
    pub dialect: Dialect,
    /// `types` as sent, known codes only; `None` when not sent. `Some(empty)`: sent, and no known value left.
    pub types: Option<Vec<EventCode>>,
    /// `groups` as sent, known groups only.
    pub groups: Option<Vec<EventGroup>>,
    /// `categories`.
    pub categories: CategoryFilter,
    /// `acknowledgeHidden=false`, ours: what does not match stays pending, instead of counting as acknowledged.
    pub keeps_hidden: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            dialect: Dialect::Merchant,
            types: None,
            groups: None,
            categories: CategoryFilter::Default,
            keeps_hidden: false,
        }
    }
}

/// What a filter does with one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the answer.
    Show,
    /// It is not in the answer and stays pending.
    Hide,
    /// It is not in the answer and counts as acknowledged.
    HideAndAcknowledge,
}

impl Filter {
    /// Whether a filter that was sent has no known value left: such a poll answers "nothing" and acknowledges nothing.
    /// `types` and `groups` are one filter here, as they are in [`Filter::verdict`].
    pub fn asks_for_nothing(&self) -> bool {
        let codes_sent = self.types.is_some() || self.groups.is_some();
        let no_code_left = self.types.iter().all(Vec::is_empty) && self.groups.iter().all(Vec::is_empty);
        let no_category_left = matches!(&self.categories, CategoryFilter::Sent(categories) if categories.is_empty());
        (codes_sent && no_code_left) || no_category_left
    }

    /// What this filter does with `event`.
    pub fn verdict(&self, event: &FeedEvent) -> Verdict {
        self.verdict_on(event.code, event.category)
    }

    /// What this filter does with an event of `code` in an order of `category`; nothing else of an event matters.
    pub fn verdict_on(&self, code: EventCode, category: EventCategory) -> Verdict {
        if !self.dialect.has(code) || self.asks_for_nothing() {
            return Verdict::Hide;
        }
        match &self.categories {
            CategoryFilter::Default if !shows_by_default(category) => return Verdict::Hide,
            CategoryFilter::Sent(sent) if !sent.contains(&as_asked_for(category)) => return self.hide(),
            CategoryFilter::Default | CategoryFilter::All | CategoryFilter::Sent(_) => {}
        }
        if self.names(code) { Verdict::Show } else { self.hide() }
    }

    /// What becomes of an event that does not match what was sent.
    fn hide(&self) -> Verdict {
        if self.keeps_hidden { Verdict::Hide } else { Verdict::HideAndAcknowledge }
    }

    /// Whether `types` or `groups` names `code`, or neither was sent.
    fn names(&self, code: EventCode) -> bool {
        match (&self.types, &self.groups) {
            (None, None) => true,
            (types, groups) => {
                types.as_ref().is_some_and(|types| types.contains(&code))
                    || groups.as_ref().is_some_and(|groups| groups.contains(&code.group()))
            }
        }
    }
}

fn shows_by_default(category: EventCategory) -> bool {
    match category {
        EventCategory::Food | EventCategory::Grocery | EventCategory::Unknown => true,
        EventCategory::FoodSelfService | EventCategory::Anotai => false,
    }
}

fn as_asked_for(category: EventCategory) -> EventCategory {
    match category {
        EventCategory::Unknown => EventCategory::Food,
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(types: &[EventCode], groups: &[EventGroup]) -> Filter {
        let sent = |is_empty: bool| !is_empty;
        Filter {
            dialect: Dialect::Merchant,
            types: sent(types.is_empty()).then(|| types.to_vec()),
            groups: sent(groups.is_empty()).then(|| groups.to_vec()),
            ..Filter::default()
        }
    }

    fn categories(sent: &[EventCategory]) -> Filter {
        Filter { categories: CategoryFilter::Sent(sent.to_vec()), ..Filter::default() }
    }

    #[test]
    fn only_what_was_sent_acknowledges() {
        let default = Filter::default();
        assert_eq!(default.verdict_on(EventCode::Placed, EventCategory::Food), Verdict::Show);
        assert_eq!(default.verdict_on(EventCode::Placed, EventCategory::Anotai), Verdict::Hide);
        let food = categories(&[EventCategory::Food]);
        assert_eq!(food.verdict_on(EventCode::Placed, EventCategory::Anotai), Verdict::HideAndAcknowledge);
        let types = codes(&[EventCode::Placed], &[]);
        assert_eq!(types.verdict_on(EventCode::Confirmed, EventCategory::Food), Verdict::HideAndAcknowledge);
        assert_eq!(types.verdict_on(EventCode::Confirmed, EventCategory::Anotai), Verdict::Hide, "not looked at");
    }

    #[test]
    fn a_poll_may_keep_what_it_hides() {
        for filter in [codes(&[EventCode::Placed], &[]), categories(&[EventCategory::Grocery])] {
            let of = |filter: &Filter| filter.verdict_on(EventCode::Confirmed, EventCategory::Food);
            assert_eq!(of(&filter), Verdict::HideAndAcknowledge);
            assert_eq!(of(&Filter { keeps_hidden: true, ..filter }), Verdict::Hide);
        }
    }

    #[test]
    fn what_a_dialect_has_no_word_for_only_hides() {
        for categories in [CategoryFilter::Default, CategoryFilter::All] {
            let open_delivery =
                Filter { dialect: Dialect::OpenDelivery, categories: categories.clone(), ..Filter::default() };
            let merchant = Filter { categories, ..Filter::default() };
            for (filter, wordless) in [(open_delivery, EventCode::AssignDriver), (merchant, EventCode::Delivered)] {
                assert_eq!(filter.verdict_on(wordless, EventCategory::Food), Verdict::Hide);
                assert_eq!(filter.verdict_on(EventCode::Placed, EventCategory::Food), Verdict::Show);
                let sent = Filter { types: Some(vec![EventCode::Placed, wordless]), ..filter };
                assert_eq!(sent.verdict_on(wordless, EventCategory::Food), Verdict::Hide, "even when asked for");
                assert_eq!(sent.verdict_on(EventCode::Confirmed, EventCategory::Food), Verdict::HideAndAcknowledge);
            }
        }
    }

    #[test]
    fn types_and_groups_are_a_union_and_others_are_asked_for_by_code() {
        let both = codes(&[EventCode::OrderPatched], &[EventGroup::Delivery]);
        for code in [EventCode::OrderPatched, EventCode::AssignDriver] {
            assert_eq!(both.verdict_on(code, EventCategory::Food), Verdict::Show);
        }
        let groups = codes(&[], &[EventGroup::OrderStatus]);
        assert_eq!(groups.verdict_on(EventCode::OrderPatched, EventCategory::Food), Verdict::HideAndAcknowledge);
    }

    #[test]
    fn an_unknown_category_shows_where_food_shows() {
        for filter in [Filter::default(), categories(&[EventCategory::Food])] {
            assert_eq!(filter.verdict_on(EventCode::Placed, EventCategory::Unknown), Verdict::Show);
        }
        let grocery = categories(&[EventCategory::Grocery]);
        assert_eq!(grocery.verdict_on(EventCode::Placed, EventCategory::Unknown), Verdict::HideAndAcknowledge);
    }

    #[test]
    fn a_filter_with_no_known_value_left_acknowledges_nothing() {
        let no_type = Filter { types: Some(vec![]), ..Filter::default() };
        for filter in [no_type.clone(), categories(&[])] {
            assert!(filter.asks_for_nothing());
            assert_eq!(filter.verdict_on(EventCode::Placed, EventCategory::Food), Verdict::Hide);
        }
        let with_group = Filter { groups: Some(vec![EventGroup::OrderStatus]), ..no_type };
        assert!(!with_group.asks_for_nothing(), "a known group is left");
    }
}
