//! Who is told what.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use order_model::{ApplicationId, EventId, OrderId, PartitionCount, PartitionId};

use super::fakes::{authorised, merchant_in};
use crate::feed::{
    CachedOrder, FeedNode, Heard, LeaderMap, News, PollOutcome, PollQuery, PrimaryError, PrimaryFeed, RoutedFeed,
};

/// A node that tells news, or not yet.
#[derive(Default)]
struct Telling {
    tells: AtomicBool,
    news: OnceLock<News>,
}

impl PrimaryFeed for Telling {
    fn poll<'a>(&'a self, _: PollQuery<'a>) -> BoxFuture<'a, Result<PollOutcome, PrimaryError>> {
        ready(Err(PrimaryError::Disconnected)).boxed()
    }

    fn acknowledge<'a>(
        &'a self,
        _: &'a ApplicationId,
        _: &'a [EventId],
    ) -> BoxFuture<'a, Result<Vec<PartitionId>, PrimaryError>> {
        ready(Err(PrimaryError::Disconnected)).boxed()
    }

    fn cached_order(&self, _: OrderId) -> BoxFuture<'_, Result<Option<CachedOrder>, PrimaryError>> {
        ready(Ok(None)).boxed()
    }

    fn unserved(&self) -> BoxFuture<'_, Result<Vec<PartitionId>, PrimaryError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn bring_news(&self, news: &News) {
        let _ = self.news.set(news.clone());
    }

    fn brings_all_news(&self) -> bool {
        self.tells.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn of_several_nodes_all_have_to_tell_those_that_come_later_too() {
    let nodes: [Arc<Telling>; 3] = std::array::from_fn(|_| Arc::default());
    let as_node = |number: usize| FeedNode { name: number.to_string(), feed: nodes[number].clone() };
    let routed = RoutedFeed::new(
        PartitionCount::DEFAULT,
        LeaderMap::new(PartitionCount::DEFAULT),
        Some(nodes[0].clone()),
        vec![as_node(1)],
    );
    let news = News::default();
    routed.bring_news(&news);
    nodes[0].tells.store(true, Ordering::SeqCst);
    assert!(!routed.brings_all_news(), "one tells, the other does not");
    nodes[1].tells.store(true, Ordering::SeqCst);
    assert!(routed.brings_all_news());
    routed.set_peers(vec![as_node(1), as_node(2)]);
    assert!(!routed.brings_all_news(), "one has come");
    let mut waiting = news.listen(&authorised(&[merchant_in(1, 0)])).unwrap();
    nodes[2].news.get().unwrap().tell(&[merchant_in(1, 0)]);
    assert_eq!(waiting.heard().await, Heard::News);
}

#[tokio::test]
async fn only_who_waits_for_a_merchant_is_told_of_it_and_once() {
    let news = News::default();
    let (one, other) = (merchant_in(1, 0), merchant_in(2, 0));
    news.tell(&[one]);
    let mut both = news.listen(&authorised(&[one, other])).unwrap();
    let mut second = news.listen(&authorised(&[other])).unwrap();
    assert_eq!(both.heard().now_or_never(), None, "what was before is not told");
    news.tell(&[one]);
    news.tell(&[one]);
    assert_eq!(both.heard().await, Heard::News);
    assert_eq!(both.heard().now_or_never(), None);
    assert_eq!(second.heard().now_or_never(), None, "it waits for another");
    news.tell(&[other]);
    assert_eq!((both.heard().await, second.heard().await), (Heard::News, Heard::News));
    news.doubt();
    assert_eq!((both.heard().await, second.heard().await), (Heard::Doubt, Heard::Doubt));
    assert!(both.covers(&authorised(&[one, other])) && !both.covers(&authorised(&[one])));
}

#[tokio::test]
async fn whoever_goes_leaves_nothing_behind_and_room_is_bounded() {
    let news = News::with_room_for(3);
    let (one, other) = (merchant_in(1, 0), merchant_in(2, 0));
    let both = news.listen(&authorised(&[one, other])).unwrap();
    let single = news.listen(&authorised(&[one])).unwrap();
    assert!(news.listen(&authorised(&[other])).is_none(), "no room");
    assert_eq!(news.waited_for(), (3, 2));
    drop(both);
    assert_eq!(news.waited_for(), (1, 1));
    assert!(news.listen(&authorised(&[other])).is_some());
    drop(single);
    assert_eq!(news.waited_for(), (0, 0));
}

#[tokio::test]
async fn news_are_wanted_from_the_first_who_waits() {
    let news = News::default();
    assert!(news.wanted().now_or_never().is_none());
    let waiting = tokio::spawn({
        let news = news.clone();
        async move { news.wanted().await }
    });
    drop(news.listen(&authorised(&[merchant_in(1, 0)])));
    waiting.await.unwrap();
    assert!(news.wanted().now_or_never().is_some());
}
