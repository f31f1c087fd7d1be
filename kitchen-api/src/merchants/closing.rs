//! Closing a store at once and opening it again, as a POS does it that does not say for how long (Open Delivery's `menuUpdated`).
//!
//! Called by `open_delivery`. It is an interruption like any other, of the longest length there is, around those that are planned already:
//! none may overlap. Whoever does not open the store by then has to say so again.

use order_model::{MerchantId, Timestamp};
use proto::merchant_connection::Interruption;

use super::interruptions::{DAYS_MAX, INTERRUPTIONS_MAX, is_over};
use super::profile_change::{Edit, change};
use crate::api::Api;
use crate::errors::ApiError;

/// What the ids of our pieces begin with.
const ID_PREFIX: &str = "closed-by-pos-";
/// Shown in the store's list of interruptions.
const DESCRIPTION: &str = "Fechada pelo sistema da loja";
const HORIZON_MS: i64 = DAYS_MAX * 24 * 3600 * 1000;

/// Closes a store until it is opened again, for a week at most.
pub(crate) async fn close(api: &Api, id: MerchantId) -> Result<(), ApiError> {
    change(api, id, |merchant, now| {
        close_now(&mut merchant.interruptions, now);
        Ok(Edit::Changed(()))
    })
    .await
}

/// Opens it again; other interruptions stay.
pub(crate) async fn reopen(api: &Api, id: MerchantId) -> Result<(), ApiError> {
    change(api, id, |merchant, _| {
        let before = merchant.interruptions.len();
        merchant.interruptions.retain(|one| !is_ours(one));
        Ok(if merchant.interruptions.len() < before { Edit::Changed(()) } else { Edit::AsItWas(()) })
    })
    .await
}

fn is_ours(one: &Interruption) -> bool {
    one.id.starts_with(ID_PREFIX)
}

fn close_now(interruptions: &mut Vec<Interruption>, now: Timestamp) {
    interruptions.retain(|one| !is_ours(one) && !is_over(one, now));
    let mut planned: Vec<(i64, i64)> = interruptions.iter().map(|one| (one.start_ms, one.end_ms)).collect();
    planned.sort_unstable();
    let (mut from_ms, until_ms) = (now.unix_ms(), now.unix_ms().saturating_add(HORIZON_MS));
    planned.push((until_ms, until_ms));
    for (start_ms, end_ms) in planned {
        let end_of_gap_ms = start_ms.min(until_ms);
        if from_ms < end_of_gap_ms && interruptions.len() < INTERRUPTIONS_MAX {
            let id = format!("{ID_PREFIX}{}", interruptions.len());
            let description = DESCRIPTION.to_owned();
            interruptions.push(Interruption { id, description, start_ms: from_ms, end_ms: end_of_gap_ms });
        }
        from_ms = from_ms.max(end_ms);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_000_000_000;

    fn planned(start_ms: i64, end_ms: i64) -> Interruption {
        Interruption { id: format!("p{start_ms}"), description: String::new(), start_ms, end_ms }
    }

    proptest! {
        #[test]
        fn a_closed_store_is_closed_for_a_week_without_a_gap_or_an_overlap(
            lengths in prop::collection::vec((1_i64..200_000_000, 1_i64..100_000_000), 0..12),
            begins_ms in -200_000_000_i64..200_000_000,
        ) {
            let mut at_ms = NOW_MS + begins_ms;
            let mut all = Vec::new();
            for (pause_ms, length_ms) in lengths {
                all.push(planned(at_ms, at_ms + length_ms));
                at_ms += length_ms + pause_ms;
            }
            let now = Timestamp::from_unix_ms(NOW_MS);
            let kept: Vec<Interruption> = all.iter().filter(|one| !is_over(one, now)).cloned().collect();
            for _ in 0..2 {
                close_now(&mut all, now);
            }
            prop_assert!(kept.iter().all(|one| all.contains(one)), "what was planned stays");
            let mut spans: Vec<(i64, i64)> = all.iter().map(|one| (one.start_ms, one.end_ms)).collect();
            spans.sort_unstable();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
            let mut covered_ms = NOW_MS;
            for (start_ms, end_ms) in spans {
                prop_assert!(start_ms <= covered_ms || covered_ms >= NOW_MS + HORIZON_MS, "a gap");
                covered_ms = covered_ms.max(end_ms);
            }
            prop_assert!(covered_ms >= NOW_MS + HORIZON_MS);
            let ids: std::collections::BTreeSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
            prop_assert_eq!(ids.len(), all.len());
        }
    }
}
