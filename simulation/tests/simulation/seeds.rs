//! Seeds that must pass, among them those that have found a bug.

use std::time::Duration;

use simulation::fault::Fault;
use simulation::options::Options;

use crate::{feed, grid, presence, violations};

fn check(options: Options) {
    assert_eq!(violations(options), [], "seed {}", options.seed.0);
}

#[test]
fn seeds_of_the_grid_on_three_nodes() {
    (1..=4).for_each(|seed| check(grid(seed, None)));
}

#[test]
fn seeds_of_the_grid_on_five_nodes() {
    (1..=2).for_each(|seed| check(Options { nodes: 5, ..grid(seed, None) }));
}

#[test]
fn seeds_of_the_feed() {
    (3..=5).for_each(|seed| check(feed(seed, None)));
}

/// A node that was restarted while nobody led believed its wall clock when it came to lead, though that had jumped two
/// days since. Now it believes what the clock said at its start.
#[test]
fn a_jump_between_restart_and_election_is_not_believed() {
    check(Options { faults_for: Duration::from_secs(30), ..grid(29, None) });
}

/// Replicated time stood still while the leader's clock was an hour behind, and stayed behind for ever: the clock that was
/// right again was a step too large to be believed.
#[test]
fn a_leader_whose_clock_is_behind_leaves_nothing_behind() {
    check(Options { faults_for: Duration::from_secs(30), ..grid(10, None) });
}

/// Nobody leads, so events are acknowledged behind a raised fence; then DynamoDB fails for everyone; then a leader is
/// elected that has not read what was acknowledged without it, and cannot. It serves all the same: not to refuse a poll
/// comes before not to repeat, and new orders must be seen. Once it reads its fence, nothing comes back any more.
#[test]
fn a_leader_elected_while_dynamodb_is_out_serves_and_repeats_nothing_afterwards() {
    check(feed(2, None));
}

/// A node that was taken out of the grid and went on running read the feed's queue. Nobody took what it proposed, so it gave
/// every message back, and some stayed away from the other nodes for good.
#[test]
fn a_node_that_was_taken_out_takes_no_messages_along() {
    check(feed(40, None));
}

#[test]
fn seeds_of_presence() {
    (1..=2).for_each(|seed| check(presence(seed, None)));
}

/// No POS reached anybody soon after a leader had been elected. The brake looked for a whole offline period without a beat,
/// where every merchant had been silent for one before: it closed all of them. Now a quarter of the period is enough.
#[test]
fn an_outage_soon_after_an_election_closes_nobody() {
    [3, 4].into_iter().for_each(|seed| check(presence(seed, None)));
}

/// Some POS stay with a kitchen-api that does not reach a leader for longer than they may be silent, while another one tells
/// that leader all it knows. The leader closed them, though they polled. Now other nodes pass on what it does not hear.
#[test]
fn pos_of_a_kitchen_api_that_is_cut_off_from_a_leader_stay_open() {
    let options = presence(30, None);
    assert!(options.schedule().iter().any(|planned| matches!(planned.fault, Fault::Apart(..))));
    check(options);
}

/// A leader is elected while DynamoDB answers later than anybody waits: the same as if it did not answer.
#[test]
fn a_store_slower_than_anybody_waits_is_as_good_as_none() {
    check(feed(9, None));
}
