//! What every broker promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use message_bus::{
    MESSAGE_BYTES_MAX, OutgoingMessage, QueueError, ReceiptHandle, SharedQueue, TopicError, TopicMessage,
};

use crate::broker::{Broker, delete_all, message, receive_all, send_all};

const NOW: Duration = Duration::ZERO;
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);
/// Everything that a protocol's encoding could spoil.
const AWKWARD: &str = "{\"name\": \"José Ñandú 🍕\", \"x\": \"<a href='b'>&amp;+%20=;\\\\\"}\n\ttab\u{7f}\u{fffd}";

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod over_memory {
            $(#[tokio::test] async fn $name() { super::$name(super::Broker::InMemory).await; })*
        }
        mod over_aws {
            $(#[tokio::test] async fn $name() { super::$name(super::Broker::aws()).await; })*
        }
    };
}

contract!(
    a_message_arrives_as_it_was_sent,
    a_received_message_is_hidden_and_comes_back,
    a_message_given_back_is_visible_at_once,
    a_message_given_back_with_a_delay_is_visible_after_it,
    the_visibility_of_a_received_message_can_be_extended,
    a_deleted_message_never_comes_back,
    many_messages_go_in_batches_and_each_is_answered,
    a_long_poll_ends_when_a_message_arrives,
    a_long_poll_of_an_empty_queue_ends_empty,
    a_message_received_too_often_goes_to_the_dead_letters,
    consumers_at_once_share_the_messages,
    depth_tells_visible_from_in_flight,
    deleting_an_unknown_receipt_succeeds_and_giving_one_back_is_refused,
    a_bad_message_is_refused_and_spoils_no_other,
    the_largest_message_passes_and_large_ones_share_no_batch,
    a_topic_reaches_every_queue_with_body_and_attributes,
    a_topic_answers_for_each_message_of_many,
    a_bad_message_is_refused_by_a_topic_and_spoils_no_other,
    the_largest_message_passes_through_a_topic,
);

async fn a_message_arrives_as_it_was_sent(broker: Broker) {
    let queue = broker.queue("plain").await;
    let attributes: BTreeMap<_, _> = (0..10).map(|n| (format!("name-{n}.x_Y"), format!("{AWKWARD}{n}"))).collect();
    send_all(&queue, vec![OutgoingMessage { body: AWKWARD.to_owned(), attributes: attributes.clone() }]).await;
    let received = receive_all(&queue, 1).await;
    assert_eq!(received[0].body, AWKWARD);
    assert_eq!(received[0].attributes, attributes);
    assert_eq!(received[0].receive_count, 1);
    assert!(!received[0].message_id.is_empty());
    if let Broker::Aws(_) = broker {
        // The first instant of 2020: a time in milliseconds, not in seconds.
        assert!(received[0].sent_at_unix_ms.unwrap() > 1_577_836_800_000);
    }
}

async fn a_received_message_is_hidden_and_comes_back(broker: Broker) {
    let queue = broker.queue("hidden").await;
    send_all(&queue, vec![message("once more")]).await;
    let first = queue.receive(10, SHORT, SHORT).await.unwrap();
    assert_eq!(first.len(), 1);
    assert!(queue.receive(10, NOW, LONG).await.unwrap().is_empty());
    let second = receive_all(&queue, 1).await;
    assert_eq!(second[0].message_id, first[0].message_id);
    assert_eq!(second[0].body, "once more");
    assert_eq!((first[0].receive_count, second[0].receive_count), (1, 2));
}

async fn a_message_given_back_is_visible_at_once(broker: Broker) {
    let queue = broker.queue("given-back").await;
    send_all(&queue, (0..15).map(|n| message(&format!("m{n}"))).collect()).await;
    let first = receive_all(&queue, 15).await;
    let receipts = first.iter().map(|message| (message.receipt.clone(), NOW)).collect();
    let results = queue.give_back(receipts).await;
    assert_eq!(results.len(), 15);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let second = receive_all(&queue, 15).await;
    assert!(second.iter().all(|message| message.receive_count == 2));
}

async fn a_message_given_back_with_a_delay_is_visible_after_it(broker: Broker) {
    let queue = broker.queue("delayed").await;
    send_all(&queue, vec![message("later")]).await;
    let first = receive_all(&queue, 1).await;
    let results = queue.give_back(vec![(first[0].receipt.clone(), SHORT)]).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(queue.receive(10, NOW, LONG).await.unwrap().is_empty());
    assert_eq!(receive_all(&queue, 1).await[0].receive_count, 2);
}

async fn the_visibility_of_a_received_message_can_be_extended(broker: Broker) {
    let queue = broker.queue("extended").await;
    send_all(&queue, vec![message("slow work")]).await;
    let first = queue.receive(10, SHORT, SHORT).await.unwrap();
    let results = queue.give_back(vec![(first[0].receipt.clone(), LONG)]).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(queue.receive(10, 2 * SHORT, LONG).await.unwrap().is_empty());
    delete_all(&queue, &first).await;
    assert_eq!(queue.depth().await.unwrap().in_flight, 0);
}

async fn a_deleted_message_never_comes_back(broker: Broker) {
    let queue = broker.queue("deleted").await;
    send_all(&queue, vec![message("done")]).await;
    let received = queue.receive(10, SHORT, SHORT).await.unwrap();
    delete_all(&queue, &received).await;
    delete_all(&queue, &received).await;
    assert!(queue.receive(10, 2 * SHORT, LONG).await.unwrap().is_empty());
}

async fn many_messages_go_in_batches_and_each_is_answered(broker: Broker) {
    let queue = broker.queue("many").await;
    let sent: BTreeSet<_> = (0..57).map(|n| format!("message {n}")).collect();
    let results = queue.send(sent.iter().map(|body| message(body)).collect()).await;
    assert_eq!(results.len(), 57);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let received = receive_all(&queue, 57).await;
    assert_eq!(received.iter().map(|message| message.body.clone()).collect::<BTreeSet<_>>(), sent);
    delete_all(&queue, &received).await;
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight), (0, 0));
    assert!(queue.send(Vec::new()).await.is_empty());
    assert!(queue.delete(Vec::new()).await.is_empty());
}

async fn a_long_poll_ends_when_a_message_arrives(broker: Broker) {
    let queue = broker.queue("polled").await;
    let started = tokio::time::Instant::now();
    let (received, ()) = tokio::join!(queue.receive(10, Duration::from_secs(15), LONG), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        send_all(&queue, vec![message("here")]).await;
    });
    assert_eq!(received.unwrap().len(), 1);
    assert!(started.elapsed() < Duration::from_secs(10));
}

async fn a_long_poll_of_an_empty_queue_ends_empty(broker: Broker) {
    let queue = broker.queue("empty").await;
    let started = tokio::time::Instant::now();
    assert!(queue.receive(10, SHORT, LONG).await.unwrap().is_empty());
    assert!(started.elapsed() >= Duration::from_millis(900));
}

async fn a_message_received_too_often_goes_to_the_dead_letters(broker: Broker) {
    let (queue, dead_letters) = broker.queue_with_dead_letters("poisoned", 2).await;
    send_all(&queue, vec![message("poison")]).await;
    for receive_count in 1..=2 {
        let received = receive_all(&queue, 1).await;
        assert_eq!(received[0].receive_count, receive_count);
        assert!(queue.give_back(vec![(received[0].receipt.clone(), NOW)]).await[0].is_ok());
    }
    // The move is made by the receive that would have been one too many.
    assert!(queue.receive(10, NOW, LONG).await.unwrap().is_empty());
    let dead = receive_all(&dead_letters, 1).await;
    assert_eq!(dead[0].body, "poison");
    assert_eq!(dead[0].attributes, message("poison").attributes);
    assert_eq!(queue.depth().await.unwrap().visible, 0);
}

async fn consumers_at_once_share_the_messages(broker: Broker) {
    let queue = broker.queue("shared").await;
    send_all(&queue, (0..40).map(|n| message(&format!("m{n}"))).collect()).await;
    let consume = || async {
        let mut bodies = Vec::new();
        loop {
            let received = queue.receive(3, NOW, LONG).await.unwrap();
            if received.is_empty() {
                return bodies;
            }
            assert!(received.len() <= 3);
            delete_all(&queue, &received).await;
            bodies.extend(received.into_iter().map(|message| message.body));
        }
    };
    let (one, two, three) = tokio::join!(consume(), consume(), consume());
    let all: Vec<_> = [one, two, three].concat();
    assert_eq!(all.len(), 40);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

async fn depth_tells_visible_from_in_flight(broker: Broker) {
    let queue = broker.queue("depth").await;
    send_all(&queue, (0..5).map(|n| message(&format!("m{n}"))).collect()).await;
    queue.receive(2, SHORT, LONG).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight), (3, 2));
}

async fn deleting_an_unknown_receipt_succeeds_and_giving_one_back_is_refused(broker: Broker) {
    let queue = broker.queue("receipts").await;
    send_all(&queue, vec![message("x")]).await;
    let received = receive_all(&queue, 1).await;
    delete_all(&queue, &received).await;
    let stale = received[0].receipt.clone();
    let unknown = ReceiptHandle("AQEB+not/a/receipt==".to_owned());
    assert!(queue.delete(vec![unknown]).await.iter().all(Result::is_ok));
    let results = queue.give_back(vec![(stale, SHORT)]).await;
    assert!(matches!(results[..], [Err(QueueError::Refused { .. })]), "{results:?}");
}

/// Messages of which the first, the fourth and the last are fine.
fn good_and_bad() -> Vec<(String, BTreeMap<String, String>)> {
    let none = BTreeMap::new;
    let empty = [("name".to_owned(), String::new())].into();
    let eleven = (0..11).map(|n| (format!("n{n}"), "v".to_owned())).collect();
    vec![
        ("first".to_owned(), none()),
        ("a".repeat(MESSAGE_BYTES_MAX + 1), none()),
        ("empty attribute".to_owned(), empty),
        ("fourth".to_owned(), none()),
        ("control character \u{1}".to_owned(), none()),
        (String::new(), none()),
        ("eleven attributes".to_owned(), eleven),
        ("last".to_owned(), none()),
    ]
}

const ARE_GOOD: [bool; 8] = [true, false, false, true, false, false, false, true];

async fn a_bad_message_is_refused_and_spoils_no_other(broker: Broker) {
    let queue = broker.queue("mixed").await;
    let messages = good_and_bad().into_iter().map(|(body, attributes)| OutgoingMessage { body, attributes });
    let results = queue.send(messages.collect()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), ARE_GOOD);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, QueueError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    }
    arrived(&queue, &["first", "fourth", "last"]).await;
}

async fn a_bad_message_is_refused_by_a_topic_and_spoils_no_other(broker: Broker) {
    let (topic, queues) = broker.topic("mixed", &["mixed"]).await;
    let messages = good_and_bad().into_iter().map(|(body, attributes)| TopicMessage { body, attributes });
    let results = topic.publish(messages.collect()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), ARE_GOOD);
    let errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(errors.iter().all(|error| matches!(error, TopicError::Refused { .. })), "{errors:?}");
    arrived(&queues[0], &["first", "fourth", "last"]).await;
}

async fn the_largest_message_passes_and_large_ones_share_no_batch(broker: Broker) {
    let queue = broker.queue("large").await;
    let largest = largest();
    let mut messages = vec![largest.clone()];
    messages.extend((0..5).map(|n| message(&n.to_string().repeat(100 * 1024))));
    send_all(&queue, messages).await;
    let received = receive_all(&queue, 6).await;
    let arrived = received.iter().find(|message| message.body.len() > 200 * 1024).unwrap();
    assert!(arrived.body == largest.body && arrived.attributes == largest.attributes);
}

async fn the_largest_message_passes_through_a_topic(broker: Broker) {
    let (topic, queues) = broker.topic("large", &["large"]).await;
    let OutgoingMessage { body, attributes } = largest();
    let results = topic.publish(vec![TopicMessage { body: body.clone(), attributes: attributes.clone() }]).await;
    assert!(results[0].is_ok(), "{results:?}");
    let received = receive_all(&queues[0], 1).await;
    assert!(received[0].body == body && received[0].attributes == attributes);
}

/// As large as it may be, and larger still once percent-encoded.
fn largest() -> OutgoingMessage {
    let mut largest = message("");
    let used = message_bus::size_bytes("", &largest.attributes);
    largest.body = "é&".repeat((MESSAGE_BYTES_MAX - used) / 3);
    largest
}

async fn a_topic_reaches_every_queue_with_body_and_attributes(broker: Broker) {
    let (topic, queues) = broker.topic("events", &["one", "two"]).await;
    let attributes: BTreeMap<_, _> = (0..10).map(|n| (format!("a{n}"), format!("{AWKWARD}{n}"))).collect();
    let results = topic.publish(vec![TopicMessage { body: AWKWARD.to_owned(), attributes: attributes.clone() }]).await;
    assert!(results[0].is_ok(), "{results:?}");
    for queue in queues {
        let received = receive_all(&queue, 1).await;
        assert_eq!(received[0].body, AWKWARD);
        assert_eq!(received[0].attributes, attributes);
    }
}

async fn a_topic_answers_for_each_message_of_many(broker: Broker) {
    let (topic, queues) = broker.topic("events", &["one", "two"]).await;
    let sent: Vec<_> = (0..35).map(|n| format!("event {n}")).collect();
    let messages = sent.iter().map(|body| TopicMessage { body: body.clone(), ..TopicMessage::default() });
    let results = topic.publish(messages.collect()).await;
    assert_eq!(results.len(), 35);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let sent: Vec<_> = sent.iter().map(String::as_str).collect();
    for queue in queues {
        arrived(&queue, &sent).await;
    }
}

/// Asserts that exactly these bodies are in the queue, in any order.
async fn arrived(queue: &SharedQueue, bodies: &[&str]) {
    let received = receive_all(queue, bodies.len()).await;
    let received: BTreeSet<_> = received.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(received, bodies.iter().copied().collect());
    assert!(queue.receive(10, NOW, LONG).await.unwrap().is_empty());
}

#[test]
fn queues_and_topics_are_handed_around_as_trait_objects() {
    fn is_shared<T: Clone + Send + Sync>() {}
    is_shared::<SharedQueue>();
    is_shared::<Arc<dyn message_bus::Topic>>();
}
