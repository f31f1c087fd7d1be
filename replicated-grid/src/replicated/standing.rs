//! Whether this node may lead: not while it hands everything over, and not while its log takes nothing.
//!
//! A full disk ends nothing for good: a group whose write did not fit is started again by the keeper, the node takes no
//! entries and stands for no election until there is space, and then its leaders bring it up to date.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::node::Shared;
use crate::log::Health;
use crate::node::NodeId;

/// A pause before what is led here is handed over once more.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// It hands its leaderships over and takes no new ones.
    pub(super) is_draining: bool,
    /// What its log can do.
    pub(super) log: Health,
}

impl Standing {
    pub(super) fn may_lead(self) -> bool {
        !self.is_draining && self.takes_entries()
    }

    pub(super) fn takes_entries(self) -> bool {
        self.log == Health::Writable
    }

    /// Why it cannot do its part, if its log is why.
    pub(super) fn check(self) -> Result<(), String> {
        match self.log {
            Health::Writable => Ok(()),
            Health::Full => Err("the disk of its log is full".to_owned()),
            Health::Closed => Err("its log has failed; it needs a restart".to_owned()),
        }
    }
}

/// What is still led here after it was given up.
#[derive(Debug, Default)]
pub(super) struct StillLed {
    /// The groups, as an operator knows them.
    pub(super) groups: Vec<String>,
    /// Whether one of them has another voter that could lead it.
    pub(super) has_successor: bool,
}

/// What came of giving a leadership up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It is not led here.
    NotLed,
    /// Another one has been asked to lead it.
    HandingOver,
    /// No other voter could.
    Nobody,
}

impl StillLed {
    fn note(&mut self, group: String, given_up: GivenUp) {
        if given_up != GivenUp::NotLed {
            self.groups.push(group);
        }
        self.has_successor |= given_up == GivenUp::HandingOver;
    }
}

impl Shared {
    /// Hands over what is led here, once; asked again by the caller until it shows.
    pub(super) async fn give_up(&self) -> StillLed {
        let willing = self.willing();
        let mut still_led = StillLed::default();
        for partition in self.partition_numbers() {
            if let Some(group) = self.partition(partition) {
                still_led.note(partition.to_string(), group.give_up(&willing).await);
            }
        }
        if let Some(control) = self.control.load_full() {
            still_led.note("control".to_owned(), control.give_up(&willing).await);
        }
        still_led
    }

    /// The other nodes that have reported lately and may lead.
    fn willing(&self) -> BTreeSet<NodeId> {
        let mut willing = BTreeSet::new();
        self.reports.for_each(|node, report| {
            if node != self.ours.id && !report.is_draining {
                willing.insert(node);
            }
        });
        willing
    }
}

/// Keeps up with the log, and hands over what is led here while it takes nothing.
pub(super) async fn follow_log(shared: Arc<Shared>) {
    let grid = shared.around.config.name;
    let mut health = shared.around.log.health();
    let read_only = metrics::gauge!("comanda_grid_read_only", "grid" => grid);
    loop {
        let log = *health.borrow_and_update();
        let before = shared.around.standing.borrow().log;
        if log != before {
            tracing::warn!(grid, ?before, now = ?log, "what the log can do has changed");
            shared.around.standing.send_modify(|standing| standing.log = log);
            shared.around.roles_changed.notify_one();
        }
        read_only.set(f64::from(u8::from(log != Health::Writable)));
        let changed = async {
            if health.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if log == Health::Writable {
            changed.await;
        } else {
            shared.give_up().await;
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(HAND_OVER_PAUSE) => {}
            }
        }
    }
}
