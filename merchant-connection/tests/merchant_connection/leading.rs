//! Leadership that comes and goes, as one node sees it: what it leads it sweeps, of the rest it says who does.

use std::time::Duration;

use bytes::Bytes;
use merchant_connection::presence::{Command, Decision, Head, Reply, Transition, TransitionReason};
use merchant_connection::{Leadership, NodeId};
use proto::merchant_connection as wire;
use tonic::Code;

use crate::platform::{PARTITIONS, Platform, brief, briefs, config, eventually, merchant, partition_of};

pub fn ours(term: u64) -> Leadership {
    Leadership { leader: Some(NodeId(1)), term, is_ours: true }
}

pub fn theirs(term: u64) -> Leadership {
    Leadership { leader: Some(NodeId(2)), term, is_ours: false }
}

fn nobodys(term: u64) -> Leadership {
    Leadership { leader: None, term, is_ours: false }
}

fn leader(of: u32, leader: u64, term: u64) -> wire::PartitionLeader {
    wire::PartitionLeader { partition: u32::from(partition_of(of)), leader, term }
}

#[tokio::test]
async fn what_another_node_leads_is_refused_with_a_hint_and_not_judged() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1], 1).await;
    service.grid.hand_over(partition_of(1), theirs(2));
    let refused = vec![u32::from(partition_of(1))];
    let mut api = service.api.clone();
    let reply = api.beat(crate::platform::beats(&[1])).await.unwrap().into_inner();
    assert_eq!((reply.refused_partitions, reply.node), (refused.clone(), 1));
    assert_eq!(reply.leaders.len(), usize::from(PARTITIONS));
    assert!(reply.leaders.contains(&leader(1, 2, 2)), "{:?}", reply.leaders);
    assert_eq!(reply.leaders.iter().filter(|known| (known.leader, known.term) == (1, 1)).count(), 3);
    let reply = service.ask_presence(1, false).await;
    assert_eq!((reply.presences, reply.refused_partitions, reply.leaders), (vec![], refused, vec![leader(1, 2, 2)]));
    // Profiles are nobody's in particular.
    let by = wire::lookup_request::By::MerchantId(proto::conversions::to_bytes(merchant(1).as_bytes()));
    assert_eq!(service.lookup(by).await.unwrap_err().code(), Code::NotFound);
    service.steps(30, &[]).await;
    assert_eq!(briefs(&platform.published().await), [], "it is not this node's to say that somebody is silent");
    let totals = &service.totals().await.partitions[usize::from(partition_of(1))];
    assert_eq!((totals.online, totals.leader, totals.term, totals.has_replica), (1, 2, 2, true));

    // Taking over is a beat for whoever was ONLINE.
    service.grid.hand_over(partition_of(1), ours(3));
    let taken_over_ms = service.now_ms();
    eventually("taken over", async || service.beat(&[]).await.is_empty()).await;
    let published = platform.published_while(&service, &[], 1).await;
    assert_eq!(briefs(&published), [brief(1, "OFFLINE", 2)]);
    assert!(published[0].time("changedAt").unix_ms() - taken_over_ms >= 1000);
    assert!(published[0].time("lastHeartbeatAt").unix_ms() < taken_over_ms, "it is told when it really beat");
    service.stop().await;
}

#[tokio::test]
async fn without_a_leader_a_node_is_not_ready_and_says_so() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    service.grid.hand_over(partition_of(1), nobodys(2));
    let why = service.handle.readiness().unwrap_err();
    assert!(why.contains("no leader is known of 1 partitions"), "{why}");
    let reply = service.ask_presence(1, false).await;
    assert_eq!(reply.leaders, [leader(1, 0, 2)]);
    service.grid.hand_over(partition_of(1), theirs(3));
    assert_eq!(service.handle.readiness(), Ok(()));
    service.stop().await;
}

/// What a paused leader had decided reaches the state only now, forwarded to whoever leads: it is not taken.
#[tokio::test]
async fn a_decision_of_a_former_leader_that_comes_late_is_not_taken() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1], 1).await;
    service.grid.hand_over(partition_of(1), theirs(2));
    service.grid.hand_over(partition_of(1), ours(3));
    eventually("taken over", async || service.beat(&[1]).await.is_empty()).await;
    let transition = Transition {
        merchant: merchant(1),
        online: false,
        reason: TransitionReason::Silence,
        changed_at_ms: service.now_ms(),
        last_heartbeat_at_ms: service.now_ms(),
        sequence: 2,
    };
    for decision in [Decision::Transitions(vec![transition]), Decision::TakeOver, Decision::Published(9)] {
        let late = Command { head: Head { term: 1, hearing: u32::MAX }, decision };
        let replies = service.grid.propose(partition_of(1), vec![Bytes::from(late.encode())]).await.unwrap();
        assert_eq!(Reply::decode(&replies[0]), Reply::Superseded);
    }
    service.steps(15, &[1]).await;
    assert_eq!(briefs(&platform.published().await), []);
    assert!(service.presence(1).await.online);
    service.stop().await;
}

/// Leaderships that come and go with every other step change nobody, and end no publication.
#[tokio::test]
async fn a_leadership_that_keeps_changing_moves_nobody() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    platform.published_while(&service, &[1, 2, 3], 3).await;
    for term in 1..15 {
        for partition in 0..PARTITIONS {
            service.grid.hand_over(partition, theirs(term * 2));
            service.grid.hand_over(partition, ours(term * 2 + 1));
        }
        service.steps(3, &[1, 2, 3]).await;
        platform.clock.advance(Duration::from_millis(300));
    }
    assert_eq!(briefs(&platform.published().await), []);
    let published = platform.published_while(&service, &[1, 2, 3, 4], 1).await;
    assert_eq!(briefs(&published), [brief(4, "ONLINE", 1)]);
    service.stop().await;
}
