//! Commands, replies and snapshots as damaged disks and other versions might hand them over: each is refused, or survives;
//! and a partition that was restored from one can still be told anything.

use std::time::Duration;

use bytes::Bytes;
use event_feed::TraceId;
use hostile_inputs::{bytes_near, bytes_of, survives};
use order_model::{EventCategory, EventCode, EventIdKey};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn event(order: u8, sequence: u32) -> FeedEvent {
    let (merchant, order) = (MerchantId::from_bytes([3; 16]), OrderId::from_bytes([order; 16]));
    let created_at = START.plus(Duration::from_millis(u64::from(sequence)));
    FeedEvent {
        id: EventId::derive(&EventIdKey::from_bytes([1; 16]), created_at, merchant, order, sequence),
        order,
        merchant,
        code: EventCode::Placed,
        category: EventCategory::Food,
        sequence,
        created_at,
        expires_at: created_at.plus(Duration::from_secs(60)),
        trace: TraceId([7; 16]),
        body: Bytes::from_static(b"{\"id\":1}"),
    }
}

fn acknowledge(events: &[FeedEvent]) -> Command {
    let ids = events.iter().map(|event| event.id).collect();
    Command::Acknowledge { application: "pos".parse().unwrap(), ids }
}

fn commands() -> Vec<Command> {
    let events = vec![event(1, 1), event(1, 4), event(2, 2)];
    vec![Command::Append(events.clone()), acknowledge(&events[1..]), Command::Expire, Command::Rebuilt]
}

/// With kept, spilled and expired bodies, a view, gaps and tombstones.
fn partition() -> FeedPartition {
    let mut state = FeedPartition::new(Limits { bodies_per_merchant: 3, ..Limits::default() });
    let mut tell = |after_s: i64, command: Command| {
        let at = ReplicatedTime { unix_ms: START.unix_ms() + after_s * 1_000 };
        assert_ne!(Reply::decode(&state.apply(at, &command.encode())), Ok(Reply::Unreadable));
    };
    let mut early = event(9, 1);
    early.expires_at = START.plus(Duration::from_secs(1));
    tell(0, Command::Append(vec![early, event(1, 1), event(1, 4), event(2, 2)]));
    tell(1, acknowledge(&[event(1, 1), event(5, 1), event(6, 1)]));
    tell(2, Command::Expire);
    tell(2, Command::Append(vec![event(2, 3)]));
    state
}

fn encoded() -> Vec<Vec<u8>> {
    commands().iter().map(Command::encode).collect()
}

/// Everything expires and is forgotten, and nothing is left of any sum.
fn forget_all(mut state: FeedPartition) {
    let at_the_end = ReplicatedTime { unix_ms: i64::MAX };
    for _ in 0..8 {
        state.apply(at_the_end, &Command::Expire.encode());
    }
    assert_eq!((state.event_count(), state.tombstone_count(), state.body_bytes()), (0, 0, 0));
}

#[test]
fn the_sample_has_everything() {
    let state = partition();
    assert!(state.event_count() == 5 && state.tombstone_count() == 2 && state.body_bytes() > 0);
    assert_eq!(state.events_above_gaps().len(), 3);
    assert_eq!(FeedPartition::restore(&state.snapshot()), Ok(state.clone()));
    forget_all(state);
}

/// Each would be taken off a sum that never had it, or counted beyond its end, in every replica at once.
#[test]
fn sums_that_would_not_come_out_are_refused() {
    let is_read = |damage: fn(&mut MerchantFeed)| {
        let mut state = partition();
        state.merchants.values_mut().for_each(damage);
        FeedPartition::restore(&state.snapshot()).is_ok()
    };
    assert!(is_read(|_| {}));
    assert!(!is_read(|feed| feed.events.values_mut().for_each(|stored| stored.body = Body::Spilled)), "bytes left");
    assert!(!is_read(|feed| feed.orders.values_mut().for_each(|track| track.stored_events = u32::MAX)), "events");
    assert!(!is_read(|feed| feed.views.push(feed.views[0].clone())), "a view twice");
}

proptest! {
    #[test]
    fn a_command_is_refused_or_survives(bytes in bytes_near(encoded())) {
        survives(Command::decode(&bytes).ok(), |command| Command::decode(&command.encode()).ok());
    }

    #[test]
    fn a_reply_is_refused_or_survives(
        bytes in bytes_near(vec![
            Reply::Appended(vec![Appended::Added, Appended::Expired]).encode(),
            Reply::Acknowledged { applied: 1, remembered: 2 }.encode(),
            Reply::Expired { events: 7, more: true }.encode(),
        ]),
    ) {
        survives(Reply::decode(&bytes).ok(), |reply| Reply::decode(&reply.encode()).ok());
    }

    #[test]
    fn a_snapshot_is_refused_or_survives(bytes in bytes_of(partition().snapshot())) {
        survives(FeedPartition::restore(&bytes).ok(), |state| FeedPartition::restore(&state.snapshot()).ok());
    }

    /// Replicas that took the same snapshot and the same bytes stay equal, and every sum comes down to nothing.
    #[test]
    fn a_partition_takes_anything_after_any_snapshot(
        snapshot in bytes_of(partition().snapshot()),
        told in prop::collection::vec((bytes_near(encoded()), any::<i64>()), 0..6),
    ) {
        if let Ok(mut state) = FeedPartition::restore(&snapshot) {
            let mut replica = state.clone();
            for (command, unix_ms) in &told {
                let at = ReplicatedTime { unix_ms: *unix_ms };
                prop_assert_eq!(state.apply(at, command), replica.apply(at, command));
            }
            prop_assert_eq!(&state, &replica);
            forget_all(state);
        }
    }
}
