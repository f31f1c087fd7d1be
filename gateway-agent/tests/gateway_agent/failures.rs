//! What happens when something fails: the core, the queue, the dead-letter queue, or one message.

use std::time::Duration;

use message_bus::Queue;
use message_bus::in_memory::Faults;
use tokio::time::Instant;
use tonic::Code;

use crate::bed::{Bed, eventually, order, update};

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

#[tokio::test(start_paused = true)]
async fn half_an_hour_without_the_core_leaves_the_dead_letter_queue_empty() {
    let bed = Bed::start();
    bed.send([order(0)]).await;
    bed.until_empty().await;
    bed.core.set_down(true);
    // Updates first: after the outage each is early until its order is taken.
    bed.send((1..300).map(|number| update(&format!("update-{number}"), number))).await;
    bed.send((1..300).map(order)).await;
    eventually("the agent notices", async || bed.handle.readiness().is_err()).await;
    tokio::time::sleep(HALF_AN_HOUR).await;

    let reason = bed.handle.readiness().unwrap_err();
    assert!(reason.starts_with("gateway-core has not answered for 1"), "{reason}");
    let depth = bed.orders.depth().await.unwrap();
    assert!(depth.in_flight <= 4 && depth.visible >= 594, "what was held is given back: {depth:?}");
    assert!(bed.core.calls_of_all() < 600, "probing is not hammering: {}", bed.core.calls_of_all());
    assert!(bed.dead_letters().await.is_empty());

    bed.core.set_down(false);
    let resumed = Instant::now();
    bed.until_empty().await;
    assert!(resumed.elapsed() < Duration::from_secs(120), "{:?}", resumed.elapsed());
    assert_eq!((bed.core.committed(), bed.dead_letters().await.len()), (599, 0));
    assert_eq!(bed.handle.readiness(), Ok(()));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_use_up_the_patience_of_an_early_message() {
    let bed = Bed::start();
    bed.send([update("update", 1)]).await;
    eventually("it was early", async || bed.core.calls("update") >= 4).await;
    bed.core.set_down(true);
    tokio::time::sleep(HALF_AN_HOUR).await;
    assert!(bed.handle.readiness().is_err());
    bed.core.set_down(false);
    let calls = bed.core.calls("update");
    eventually("it is early again", async || bed.core.calls("update") >= calls + 2).await;
    bed.send([order(1)]).await;
    bed.until_empty().await;
    assert_eq!((bed.core.committed(), bed.dead_letters().await.len()), (2, 0));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_lonely_message_probes_without_being_received_again_and_again() {
    let bed = Bed::start();
    bed.core.set_down(true);
    bed.send([order(1)]).await;
    tokio::time::sleep(HALF_AN_HOUR * 20).await;
    bed.core.set_down(false);
    bed.until_empty().await;
    assert_eq!((bed.core.committed(), bed.dead_letters().await.len()), (1, 0), "ten hours, far below 1000 receives");
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn poison_is_dead_after_five_attempts_and_delays_nobody() {
    let bed = Bed::start();
    bed.core.fail("order-0", Code::InvalidArgument);
    bed.core.fail("order-1", Code::Internal);
    bed.core.fail("order-2", Code::DeadlineExceeded);
    bed.core.fail("order-3", Code::Unavailable);
    bed.send((0..4).map(order)).await;
    bed.send((0..50).map(|number| format!("{{\"CANARY\":{number}"))).await;
    bed.send((4..200).map(order)).await;
    let started = Instant::now();
    eventually("the good ones are committed", async || bed.core.committed() == 196).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    // The doubtful ones are judged by how others fare: there must be others.
    let mut next = 1000;
    eventually("poison is dead", async || {
        next += 1;
        bed.send([order(next)]).await;
        bed.left().await <= 3 && bed.dead_letters.depth().await.unwrap().visible == 52
    })
    .await;
    let mut dead = bed.dead_letters().await;
    dead.retain(|dead| dead.attributes["reason"] != "MALFORMED");
    let mut exhausted: Vec<_> =
        dead.iter().map(|dead| (dead.body.clone(), dead.attributes["detail"].clone())).collect();
    exhausted.sort();
    let detail = |code: &str| format!("gateway-core could not take the message, 5 times; last {code}");
    assert_eq!(exhausted, [(order(0), detail("InvalidArgument")), (order(1), detail("Internal"))]);
    assert_eq!(bed.core.calls("order-0"), 5);
    assert!((5..=6).contains(&bed.core.calls("order-1")), "{}", bed.core.calls("order-1"));

    bed.core.heal("order-2");
    bed.core.heal("order-3");
    bed.until_empty().await;
    assert!(bed.dead_letters().await.is_empty(), "a failing dependency never counts");
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_makes_the_core_unavailable_cannot_keep_the_agent_closed() {
    let bed = Bed::start();
    bed.core.fail("order-0", Code::Unavailable);
    bed.send([order(0)]).await;
    eventually("the agent stops receiving", async || bed.handle.readiness().is_err()).await;
    bed.send((1..50).map(order)).await;
    let started = Instant::now();
    eventually("the others are committed", async || bed.core.committed() == 49).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_moved_is_kept() {
    let bed = Bed::start();
    bed.dead_letters.set_faults(Faults { unavailable: true, ..Faults::default() });
    bed.send(["no JSON".to_owned(), order(1)]).await;
    eventually("the good one is committed", async || bed.core.committed() == 1).await;
    tokio::time::sleep(HALF_AN_HOUR).await;
    assert_eq!(bed.left().await, 1);
    bed.dead_letters.set_faults(Faults::default());
    bed.until_empty().await;
    let dead = bed.dead_letters().await;
    assert_eq!((dead.len(), dead[0].attributes["reason"].as_str()), (1, "MALFORMED"));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_is_waited_for() {
    let bed = Bed::start();
    bed.send([order(1)]).await;
    bed.until_empty().await;
    bed.orders.set_faults(Faults { unavailable: true, ..Faults::default() });
    eventually("readiness says so", async || bed.handle.readiness().is_err()).await;
    assert_eq!(bed.handle.readiness(), Err("queue orders cannot be received from".to_owned()));
    tokio::time::sleep(HALF_AN_HOUR).await;
    bed.orders.set_faults(Faults::default());
    bed.send([order(2)]).await;
    bed.until_empty().await;
    assert_eq!((bed.core.committed(), bed.handle.readiness()), (2, Ok(())));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flaky_queue_loses_nothing() {
    let bed = Bed::start();
    let faults = Faults { failed_percent: 20, answer_lost_percent: 20, reordered_percent: 20, ..Faults::default() };
    bed.send((0..300).map(order)).await;
    bed.orders.set_faults(faults);
    eventually("all are committed", async || bed.core.committed() == 300).await;
    bed.orders.set_faults(Faults::default());
    bed.until_empty().await;
    assert!(bed.dead_letters().await.is_empty());
    bed.stop().await;
}
