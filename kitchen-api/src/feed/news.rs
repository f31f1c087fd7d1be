//! Who waits for something new of which merchants, and how they are told.
//!
//! A feed that can ([`super::PrimaryFeed::bring_news`]) tells [`News`] which merchants got something new, or that some may
//! have without its knowing; requests that wait hold a [`Listener`]. News are hints: whoever is told polls, and looks for
//! itself now and then all the same. Until the first request of the process waits, no feed is asked to tell anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use event_feed::AuthorisedMerchants;
use order_model::MerchantId;
use tokio::sync::{Notify, watch};

/// The most merchants waited for at once, each counted for every request that waits for it; some 100 bytes each. A request
/// that would go beyond finds no place.
pub const WAITED_FOR_MAX: usize = 1_000_000;

/// Where news are told and waited for. Cheap to clone.
#[derive(Clone, Default)]
pub struct News {
    board: Arc<Board>,
}

struct Board {
    merchants: DashMap<MerchantId, Vec<Arc<Ear>>>,
    waited_for: AtomicUsize,
    waited_for_max: usize,
    /// Grows with every doubt.
    doubts: watch::Sender<u64>,
    is_wanted: watch::Sender<bool>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            merchants: DashMap::new(),
            waited_for: AtomicUsize::new(0),
            waited_for_max: WAITED_FOR_MAX,
            doubts: watch::Sender::new(0),
            is_wanted: watch::Sender::new(false),
        }
    }
}

/// One listener's.
#[derive(Default)]
struct Ear {
    is_told: AtomicBool,
    told: Notify,
}

/// What a listener is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A merchant it waits for has got something new.
    News,
    /// One may have, untold. Everybody hears this at once: not everybody should look at once.
    Doubt,
}

impl News {
    /// These merchants have got something new.
    pub fn tell(&self, merchants: &[MerchantId]) {
        for merchant in merchants {
            if let Some(ears) = self.board.merchants.get(merchant) {
                for ear in ears.iter() {
                    ear.is_told.store(true, Ordering::Release);
                    ear.told.notify_one();
                }
            }
        }
    }

    /// Any merchant may have got something new without our knowing.
    pub fn doubt(&self) {
        self.board.doubts.send_modify(|doubts| *doubts = doubts.wrapping_add(1));
    }

    /// Resolves once somebody has waited.
    pub async fn wanted(&self) {
        if self.board.is_wanted.subscribe().wait_for(|is_wanted| *is_wanted).await.is_err() {
            // Nobody is left who could want any.
            std::future::pending::<Infallible>().await;
        }
    }

    /// Waits for these merchants from now on; `None` where there is no room.
    pub fn listen(&self, merchants: &AuthorisedMerchants) -> Option<Listener> {
        let board = &self.board;
        let count = merchants.merchants().len();
        if board.waited_for.fetch_add(count, Ordering::Relaxed) + count > board.waited_for_max {
            board.waited_for.fetch_sub(count, Ordering::Relaxed);
            return None;
        }
        board.is_wanted.send_if_modified(|is_wanted| !std::mem::replace(is_wanted, true));
        let ear = Arc::<Ear>::default();
        let doubts = board.doubts.subscribe();
        let merchants: Vec<MerchantId> = merchants.merchants().iter().map(|granted| granted.merchant).collect();
        for merchant in &merchants {
            board.merchants.entry(*merchant).or_default().push(Arc::clone(&ear));
        }
        Some(Listener { board: Arc::clone(board), ear, merchants, doubts })
    }

    /// A board with less room, for tests.
    #[cfg(test)]
    pub(super) fn with_room_for(waited_for_max: usize) -> Self {
        Self { board: Arc::new(Board { waited_for_max, ..Board::default() }) }
    }

    /// How many merchants are waited for, for tests.
    #[cfg(test)]
    pub(super) fn waited_for(&self) -> (usize, usize) {
        (self.board.waited_for.load(Ordering::Relaxed), self.board.merchants.len())
    }
}

/// Hears of the merchants it was made for until it is dropped.
pub struct Listener {
    board: Arc<Board>,
    ear: Arc<Ear>,
    merchants: Vec<MerchantId>,
    doubts: watch::Receiver<u64>,
}

impl Listener {
    /// Whether it waits for exactly these.
    pub fn covers(&self, merchants: &AuthorisedMerchants) -> bool {
        let merchants = merchants.merchants();
        self.merchants.len() == merchants.len()
            && self.merchants.iter().zip(merchants).all(|(known, granted)| *known == granted.merchant)
    }

    /// Waits until it is told something that was not heard before. Dropping the future loses nothing.
    pub async fn heard(&mut self) -> Heard {
        loop {
            if self.ear.is_told.swap(false, Ordering::Acquire) {
                return Heard::News;
            }
            tokio::select! {
                () = self.ear.told.notified() => {}
                doubt = self.doubts.changed() => match doubt {
                    Ok(()) => return Heard::Doubt,
                    // The board is held here: it cannot have gone.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for merchant in &self.merchants {
            if let Some(mut ears) = self.board.merchants.get_mut(merchant) {
                ears.retain(|ear| !Arc::ptr_eq(ear, &self.ear));
            }
            self.board.merchants.remove_if(merchant, |_, ears| ears.is_empty());
        }
        self.board.waited_for.fetch_sub(self.merchants.len(), Ordering::Relaxed);
    }
}
