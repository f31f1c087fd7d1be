//! A replay as it is asked of connection-polling, which keeps the events: one merchant's, in the order of their creation,
//! acknowledged or not. It changes nothing on either side.

use event_feed::{AuthorisedMerchants, CategoryFilter, FeedEvent, Filter};
use proto::connection_polling as wire_polling;
use proto::{conversions, feed};
use tonic::Status;

use super::page;

pub use proto::connection_polling::ReplayPlace;

/// One page of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedPage {
    /// The events, oldest first.
    pub events: Vec<FeedEvent>,
    /// Where the next page begins.
    pub next: ReplayPlace,
    /// Whether there is more already.
    pub more: bool,
    /// Something had arrived late: this page is the first of everything again.
    pub restarted: bool,
}

/// The request for the page after `after`; `authorised` names one merchant. Everything that the dialect has a word for is shown.
pub(super) fn request(
    authorised: &AuthorisedMerchants,
    after: Option<ReplayPlace>,
    limit: usize,
) -> wire_polling::ReplayRequest {
    let filter = Filter { categories: CategoryFilter::All, ..Filter::default() };
    let of = feed::PollRequest {
        application_id: authorised.application().as_str().to_owned(),
        merchants: conversions::merchants_to_wire(authorised),
        filter: Some(conversions::filter_to_wire(&filter)),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        fallback_unreachable: false,
        shadow: true,
    };
    wire_polling::ReplayRequest { of: Some(of), after }
}

/// The answer. An event of another merchant, which nobody may send, is dropped.
///
/// # Errors
/// When an event cannot be read, or there is no place to go on from.
pub(super) fn page(reply: wire_polling::ReplayReply, authorised: &AuthorisedMerchants) -> Result<ReplayedPage, Status> {
    let wire_polling::ReplayReply { events, next, more, restarted } = reply;
    let events: Result<Vec<FeedEvent>, Status> = events.iter().map(conversions::event_from_wire).collect();
    let mut events = events?;
    page::drop_foreign(&mut events, authorised);
    let next = next.ok_or_else(|| Status::invalid_argument("next is absent"))?;
    Ok(ReplayedPage { events, next, more, restarted })
}
