//! The lifecycle of an order as a pure value: [`place`] makes it, [`decide`] moves it.
//!
//! Called by gateway-core, which stores the [`Lifecycle`] and the events of a [`Decision`] in one transaction, and by
//! the oracles of tests. No clock, no randomness, no I/O, no wire format. How to read it: `table` says what each code
//! means in each status; `updates`, `actions`, `answers` and `timers` add the side facts; `reach` explains refusals; `timing` has
//! the deadlines. The whole table is printed in `docs/LIFECYCLE.md`.

mod actions;
mod answers;
pub mod cancellation;
pub mod command;
pub mod decide;
pub mod decision;
pub mod delivery;
pub mod dispute;
mod draft;
mod drop_code;
pub mod kind;
pub mod markdown;
mod reach;
pub mod state;
pub mod status;
pub mod stored;
pub mod table;
mod timers;
pub mod timing;
mod updates;

pub use cancellation::CancellationCode;
pub use command::{Action, Command, MissingFacts, Update};
pub use decide::{decide, place};
pub use decision::{CancelOrigin, Cancellation, Decision, EventMetadata, Illegal, NewEvent};
pub use delivery::DeliveryProgress;
pub use dispute::{
    Dispute, DisputeAnswer, DisputeAsk, DisputeId, DisputeOpening, SettlementStatus, TimeoutAction, Verdict,
};
pub use drop_code::asking_for_drop_code;
pub use kind::{DeliveredBy, Goods, OrderKind, OrderType, Route};
pub use markdown::transition_table_markdown;
pub use state::{Happened, Lifecycle, MerchantRequest};
pub use status::OrderStatus;
pub use stored::{StoredLifecycle, UnknownStoredValue};
