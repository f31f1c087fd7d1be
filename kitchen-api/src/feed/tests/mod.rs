//! Tests of the feed: decisions by properties, the rest against fakes of both sides under the runtime's paused time.

mod acknowledgments;
mod at_once;
mod breaker;
mod degraded;
mod fakes;
mod fence;
mod link;
mod news;
mod page;
mod peer;
mod remote;
mod routed;
mod serving;
mod shadow;
