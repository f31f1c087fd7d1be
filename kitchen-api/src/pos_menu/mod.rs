//! The merchant documents of POSes: who they are, their services and their menu, as Open Delivery has it (PARTNER_API, section 4).
//!
//! Onboarding says where a POS serves its document; [`MenuReader`] reads it under the webhooks' dial rules, when that is asked for and
//! whenever its time is over, looks whether it holds together, and stores it as it is. `open_delivery` answers for it. What is read is
//! kept apart from the catalog of PARTNER_API 1.6: the two models differ (offers of items in several categories, menus by service,
//! availabilities of their own), and a document that is kept as it was sent loses nothing. Deliberately absent: pushing events to the
//! webhook that onboarding may name, because only a webhook that was set with its secret can be signed.

mod document;
mod reader;
mod state;
mod updates;

pub(crate) use document::DOCUMENT_MAX_BYTES;
pub(crate) use reader::{MenuReader, Onboarded, PosMenus, Updated};
pub(crate) use state::{PosEndpoints, PosMenu, Reading, StoredDocument};
pub(crate) use updates::{Entity, OBJECTS_MAX};

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::state::tests::onboarded;
}
