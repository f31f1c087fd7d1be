//! Runs an edit: read what it asks for, decide, commit where nobody else has edited in between, else begin anew.
//!
//! Used by `endpoints` and `worker`. What the edit is, `edits` decides; that is pure.

use std::collections::BTreeMap;
use std::time::Duration;

use order_model::{MerchantId, SharedClock};

use super::menu::{Halt, Menu};
use super::refusal::Refusal;
use super::store::{CatalogError, CatalogTable, Outcome};
use super::views::Lookup;
use crate::entropy::Entropy;

/// Whoever waits for an answer has waited long enough then; the last attempt may take its requests' time on top.
const NO_ATTEMPT_AFTER: Duration = Duration::from_secs(5);
/// The longest wait before the second attempt; it doubles up to [`PAUSE_MAX_MS`].
const FIRST_PAUSE_MAX_MS: u64 = 5;
/// The longest wait before any attempt.
const PAUSE_MAX_MS: u64 = 100;
/// How often a decision asks for more: references lead from an item over product, group and option to its product, and what
/// loses its last user does so again.
const READS_MAX: u32 = 16;

/// Why an edit was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum EditError {
    #[error("the edit is refused")]
    Refused(Refusal),
    #[error("the catalog cannot be edited")]
    Store(#[source] CatalogError),
}

impl From<CatalogError> for EditError {
    fn from(error: CatalogError) -> Self {
        Self::Store(error)
    }
}

/// What every edit needs.
#[derive(Clone)]
pub(crate) struct Editor {
    pub(super) table: CatalogTable,
    pub(super) clock: SharedClock,
    pub(super) entropy: Entropy,
}

impl Editor {
    /// Makes an edit and answers with the revision that has it.
    pub(super) async fn edit(
        &self,
        merchant: MerchantId,
        mut decide: impl FnMut(&mut Menu) -> Result<(), Halt>,
    ) -> Result<u64, EditError> {
        let mut attempts = self.attempts();
        while attempts.another().await {
            let (menu, ()) = self.decide(merchant, &mut decide).await?;
            if menu.changes().is_empty() {
                return Ok(menu.revision());
            }
            match self.table.commit(merchant, &menu, self.clock.now(), self.entropy.bytes()).await? {
                Outcome::Done => return Ok(menu.revision() + 1),
                Outcome::Overtaken => {}
            }
        }
        Err(EditError::Store(CatalogError::Contended))
    }

    /// Reads until `decide` has all it asks for.
    pub(super) async fn decide<T>(
        &self,
        merchant: MerchantId,
        decide: &mut impl FnMut(&mut Menu) -> Result<T, Halt>,
    ) -> Result<(Menu, T), EditError> {
        let head = self.table.head(merchant).await?;
        let mut menu = Menu::new(head.revision, head.totals);
        for _ in 0..READS_MAX {
            match decide(&mut menu) {
                Ok(decided) => return Ok((menu, decided)),
                Err(Halt::Refused(refusal)) => return Err(EditError::Refused(refusal)),
                Err(Halt::Unread) => {
                    let read = self.table.load(merchant, &menu.unread()).await?;
                    menu.learn(read);
                }
            }
        }
        Err(EditError::Store(CatalogError::Contended))
    }

    /// Attempts at what somebody else may be faster at, from now on.
    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts { editor: self, started: self.clock.monotonic(), begun: 0 }
    }

    /// How long to wait after so many attempts: anything up to twice as long as before, so that rivals come apart.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let most_ms = (FIRST_PAUSE_MAX_MS << attempts.saturating_sub(1).min(16)).min(PAUSE_MAX_MS);
        Duration::from_millis(u64::from_be_bytes(self.entropy.bytes()) % (most_ms + 1))
    }

    /// What these keys lead to: items' products, their groups, the options of those, and the options' products.
    pub(super) async fn read_with_references(
        &self,
        merchant: MerchantId,
        keys: Vec<super::entities::Key>,
    ) -> Result<Lookup, CatalogError> {
        let mut found: Lookup = BTreeMap::new();
        let mut wanted = keys;
        while !wanted.is_empty() {
            let read = self.table.load(merchant, &wanted).await?;
            let mut next = std::collections::BTreeSet::new();
            for (key, stored) in read {
                let Some(stored) = stored else { continue };
                // An item's category is not part of it.
                let references = stored.entity.references().into_iter().map(|(target, _)| target);
                next.extend(references.filter(|target| target.kind != super::entities::EntityKind::Category));
                found.insert(key, stored);
            }
            wanted = next.into_iter().filter(|target| !found.contains_key(target)).collect();
        }
        Ok(found)
    }
}

/// Attempts with a pause before each but the first, until whoever asks has waited long enough.
pub(super) struct Attempts<'a> {
    editor: &'a Editor,
    started: Duration,
    begun: u32,
}

impl Attempts<'_> {
    /// Pauses where it should; whether another attempt may be made.
    pub(super) async fn another(&mut self) -> bool {
        if self.begun > 0 {
            tokio::time::sleep(self.editor.pause(self.begun)).await;
        }
        self.begun += 1;
        self.editor.clock.monotonic().saturating_sub(self.started) <= NO_ATTEMPT_AFTER
    }
}
