//! What a stranger might send: valid messages, items and bytes with something wrong about them.
//!
//! Used by the modules `hostile` that stand beside the decoders of the other crates, and by nothing that is released. Each
//! strategy begins with something valid, because a decoder that refuses the first byte says nothing about the rest; with no
//! damage at all now and then, so that a test in which nothing is ever read cannot pass. How many cases are tried is
//! `PROPTEST_CASES`, as everywhere. Sizes stay small (at most some 100 kB) and nothing nests beyond [`NESTED_MAX`], so that
//! thousands of cases fit into seconds.

mod bytes;
mod items;
mod json;

use std::fmt::Debug;

pub use bytes::{any_bytes, bytes_near, bytes_of};
pub use items::{Item, item_of, unnamed_attributes};
pub use json::{NESTED_MAX, json_of, text_of};

/// Holds what every decoder owes: what was `read` is the same after it was written and read `again`. Nothing read is fine:
/// it was refused.
///
/// # Panics
/// When it is not the same.
pub fn survives<T: PartialEq + Debug>(read: Option<T>, again: impl FnOnce(&T) -> Option<T>) {
    if let Some(value) = read {
        let back = again(&value);
        assert_eq!(back.as_ref(), Some(&value), "what was read does not survive being written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_or_survives_passes() {
        survives::<u8>(None, |_| None);
        survives(Some(7), |value| Some(*value));
    }

    #[test]
    #[should_panic(expected = "does not survive")]
    fn what_changes_on_its_way_fails() {
        survives(Some(7), |value| Some(value + 1));
    }
}
