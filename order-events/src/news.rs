//! Telling whoever waits which merchants have got something new, so that nobody has to look while nothing happens.
//!
//! [`crate::ingest`] tells, for every live event that its partition has applied; [`crate::connections`] and the binary's
//! adapter subscribe on behalf of kitchen-api. A subscriber that does not keep up loses names and not the fact: it is told
//! that there were more. What the events are is deliberately absent: whoever is told polls.

use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use order_model::MerchantId;
use parking_lot::{Mutex, RwLock};

/// The most merchants named to one subscriber at once, some 64 KiB of a frame. Beyond it any merchant may have news.
pub(crate) const MERCHANTS_MAX: usize = 4_096;

/// Who has got something new since the last time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct News {
    /// These merchants, in no order.
    pub merchants: Vec<MerchantId>,
    /// There were more than are named.
    pub is_cut: bool,
}

/// Everybody who wants to know.
#[derive(Default)]
pub(crate) struct Subscribers {
    mailboxes: RwLock<Vec<Arc<Mailbox>>>,
}

/// What gathers for one of them.
#[derive(Default)]
struct Mailbox {
    gathered: Mutex<Gathered>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct Gathered {
    merchants: HashSet<MerchantId>,
    is_cut: bool,
}

impl Gathered {
    fn add(&mut self, merchant: MerchantId) {
        if self.merchants.len() < MERCHANTS_MAX {
            self.merchants.insert(merchant);
        } else if !self.merchants.contains(&merchant) {
            self.is_cut = true;
        }
    }

    fn take(&mut self) -> Option<News> {
        if self.merchants.is_empty() {
            return None;
        }
        Some(News { merchants: self.merchants.drain().collect(), is_cut: std::mem::take(&mut self.is_cut) })
    }
}

impl Subscribers {
    /// `merchant` has got something new.
    pub(crate) fn tell(&self, merchant: MerchantId) {
        for mailbox in self.mailboxes.read().iter() {
            mailbox.gathered.lock().add(merchant);
            mailbox.reader.wake();
        }
    }

    pub(crate) fn subscribe(self: &Arc<Self>) -> Subscription {
        let mailbox = Arc::<Mailbox>::default();
        self.mailboxes.write().push(Arc::clone(&mailbox));
        Subscription { mailbox, of: Arc::clone(self) }
    }
}

/// One subscriber's news. Dropping it ends the subscription.
pub struct Subscription {
    mailbox: Arc<Mailbox>,
    of: Arc<Subscribers>,
}

impl Subscription {
    /// The next news; pending while there are none. One task reads.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<News> {
        if let Some(news) = self.mailbox.gathered.lock().take() {
            return Poll::Ready(news);
        }
        self.mailbox.reader.register(context.waker());
        // Told between the first look and the registration, which would wake nobody.
        self.mailbox.gathered.lock().take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits for the next news. Dropping the future loses none.
    pub async fn next(&mut self) -> News {
        poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.of.mailboxes.write().retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn merchant(number: u32) -> MerchantId {
        MerchantId::from_bytes(u128::from(number).to_be_bytes())
    }

    #[tokio::test]
    async fn each_subscriber_is_told_once_of_each_merchant() {
        let subscribers = Arc::<Subscribers>::default();
        subscribers.tell(merchant(9));
        let (mut one, mut other) = (subscribers.subscribe(), subscribers.subscribe());
        assert!(one.next().now_or_never().is_none(), "what was before is not told");
        subscribers.tell(merchant(1));
        subscribers.tell(merchant(1));
        assert_eq!(one.next().await, News { merchants: vec![merchant(1)], is_cut: false });
        subscribers.tell(merchant(2));
        assert_eq!(one.next().await.merchants, [merchant(2)]);
        assert_eq!(other.next().await.merchants.len(), 2);
        assert!(one.next().now_or_never().is_none());
        drop(one);
        assert_eq!(subscribers.mailboxes.read().len(), 1);
    }

    #[tokio::test]
    async fn whoever_does_not_keep_up_is_told_that_there_was_more_and_memory_is_bounded() {
        let subscribers = Arc::<Subscribers>::default();
        let mut slow = subscribers.subscribe();
        let most = u32::try_from(MERCHANTS_MAX).unwrap();
        (0..most).for_each(|number| subscribers.tell(merchant(number)));
        subscribers.tell(merchant(0));
        assert!(!slow.mailbox.gathered.lock().is_cut, "it is among those named");
        subscribers.tell(merchant(most));
        let news = slow.next().await;
        assert_eq!((news.merchants.len(), news.is_cut), (MERCHANTS_MAX, true));
        subscribers.tell(merchant(most));
        assert_eq!(slow.next().await, News { merchants: vec![merchant(most)], is_cut: false });
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let subscribers = Arc::<Subscribers>::default();
        let mut waiting = subscribers.subscribe();
        let reading = tokio::spawn(async move { waiting.next().await });
        tokio::task::yield_now().await;
        subscribers.tell(merchant(3));
        assert_eq!(reading.await.unwrap().merchants, [merchant(3)]);
    }
}
