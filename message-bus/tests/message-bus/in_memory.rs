//! What only the broker in memory has: paused time, and faults on demand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use message_bus::in_memory::{Faults, InMemoryQueue, InMemoryTopic};
use message_bus::{OutgoingMessage, Queue, ReceivedMessage, Topic, TopicMessage};

use crate::broker::message;

const MINUTE: Duration = Duration::from_secs(60);

fn messages(count: usize) -> Vec<OutgoingMessage> {
    (0..count).map(|n| message(&format!("m{n}"))).collect()
}

async fn drained(queue: &InMemoryQueue) -> Vec<ReceivedMessage> {
    let mut all = Vec::new();
    loop {
        let received = queue.receive(10, Duration::ZERO, MINUTE).await.unwrap();
        if received.is_empty() {
            return all;
        }
        all.extend(received);
    }
}

#[tokio::test(start_paused = true)]
async fn visibility_follows_tokios_clock() {
    let queue = InMemoryQueue::new("q").with_clock(|| 1_234);
    queue.send(messages(1)).await;
    let first = queue.receive(1, Duration::ZERO, Duration::from_millis(250)).await.unwrap();
    assert_eq!(first[0].sent_at_unix_ms, Some(1_234));
    tokio::time::advance(Duration::from_millis(249)).await;
    assert!(queue.receive(1, Duration::ZERO, MINUTE).await.unwrap().is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(queue.receive(1, Duration::ZERO, MINUTE).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_sees_a_message_whose_visibility_ends_meanwhile() {
    let queue = InMemoryQueue::new("q");
    queue.send(messages(1)).await;
    queue.receive(1, Duration::ZERO, Duration::from_secs(3)).await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(queue.receive(1, Duration::from_secs(20), MINUTE).await.unwrap().len(), 1);
    assert_eq!(started.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_was_superseded_neither_deletes_nor_gives_back() {
    let queue = InMemoryQueue::new("q");
    queue.send(messages(1)).await;
    let stale = queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap()[0].receipt.clone();
    let current = queue.receive(1, Duration::ZERO, MINUTE).await.unwrap()[0].receipt.clone();
    assert!(queue.delete(vec![stale.clone()]).await[0].is_ok());
    assert!(queue.give_back(vec![(stale, Duration::ZERO)]).await[0].is_err());
    assert_eq!(queue.depth().await.unwrap().in_flight, 1);
    assert!(queue.delete(vec![current]).await[0].is_ok());
    assert_eq!(queue.depth().await.unwrap().in_flight, 0);
}

#[tokio::test]
async fn an_unavailable_queue_fails_every_call_as_retryable_and_keeps_its_messages() {
    let queue = InMemoryQueue::new("q");
    queue.send(messages(3)).await;
    queue.set_faults(Faults { unavailable: true, ..Faults::default() });
    assert!(queue.receive(1, Duration::ZERO, MINUTE).await.unwrap_err().is_retryable());
    assert!(
        queue.send(messages(2)).await.iter().all(|result| result.as_ref().is_err_and(|error| error.is_retryable()))
    );
    assert!(queue.depth().await.is_err());
    queue.set_faults(Faults::default());
    assert_eq!(drained(&queue).await.len(), 3);
}

#[tokio::test]
async fn failed_entries_have_no_effect_and_lost_answers_have() {
    let queue = InMemoryQueue::new("q");
    queue.set_faults(Faults { failed_percent: 30, ..Faults::default() });
    let sent = queue.send(messages(1000)).await.iter().filter(|result| result.is_ok()).count();
    assert!((600..800).contains(&sent), "{sent}");
    queue.set_faults(Faults::default());
    assert_eq!(drained(&queue).await.len(), sent);

    let queue = InMemoryQueue::new("q");
    queue.set_faults(Faults { answer_lost_percent: 100, ..Faults::default() });
    assert!(queue.send(messages(5)).await.iter().all(Result::is_err));
    queue.set_faults(Faults::default());
    assert_eq!(drained(&queue).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn duplicates_reordering_and_delays_happen_and_repeat_with_the_seed() {
    let run = |seed: u64| async move {
        let queue = InMemoryQueue::new("q").with_seed(seed);
        let (duplicated_percent, reordered_percent, delayed_percent) = (20, 20, 10);
        let faults = Faults {
            duplicated_percent,
            duplicates: 2,
            reordered_percent,
            delayed_percent,
            delay: MINUTE,
            ..Faults::default()
        };
        queue.set_faults(faults);
        queue.send(messages(500)).await;
        let at_once: Vec<_> = drained(&queue).await;
        tokio::time::advance(MINUTE).await;
        let visible_later = queue.depth().await.unwrap().visible;
        let ids: Vec<_> = at_once.iter().map(|message| message.message_id.clone()).collect();
        (ids, visible_later)
    };
    let (ids, later) = run(1).await;
    let mut copies = BTreeMap::<_, u32>::new();
    ids.iter().for_each(|id| *copies.entry(id.clone()).or_default() += 1);
    assert!(copies.values().any(|count| *count == 3), "no message came three times");
    assert!(!ids.is_sorted_by_key(|id| id["message-".len()..].parse::<u32>().unwrap()), "no message overtook another");
    assert!(later > 0, "no message was delayed");
    assert_eq!(run(1).await, (ids.clone(), later));
    assert_ne!(run(2).await.0, ids);
}

#[tokio::test]
async fn a_topic_delivers_once_to_a_queue_subscribed_twice_and_fails_on_demand() {
    let (topic, queue) = (InMemoryTopic::new("t").with_seed(3), Arc::new(InMemoryQueue::new("q")));
    topic.subscribe(queue.clone());
    topic.subscribe(queue.clone());
    let publish =
        |count: usize| topic.publish(vec![TopicMessage { body: "e".to_owned(), ..TopicMessage::default() }; count]);
    assert!(publish(1).await[0].is_ok());
    assert_eq!(drained(&queue).await.len(), 1);
    topic.set_faults(Faults { unavailable: true, ..Faults::default() });
    assert!(publish(1).await[0].is_err());
    assert_eq!(drained(&queue).await.len(), 0);
    topic.set_faults(Faults { failed_percent: 50, ..Faults::default() });
    let published = publish(100).await.iter().filter(|result| result.is_ok()).count();
    assert!((1..100).contains(&published));
    assert_eq!(drained(&queue).await.len(), published);
}
