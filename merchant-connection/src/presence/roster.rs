//! Which merchants a partition knows, each with an index that never changes: beats and records stand in arrays by it.

use std::collections::HashMap;

use order_model::MerchantId;

/// The most merchants of one partition; beyond it a newcomer's beat is dropped and counted.
pub const MERCHANTS_MAX: usize = 8 * 1024 * 1024;

/// The id map. Looked up, never walked: its order is by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    index_of: HashMap<MerchantId, u32>,
    merchants: Vec<MerchantId>,
}

impl Roster {
    /// A roster with room for `merchants`.
    pub fn with_capacity(merchants: usize) -> Self {
        Self { index_of: HashMap::with_capacity(merchants), merchants: Vec::with_capacity(merchants) }
    }

    /// Where `merchant` stands.
    pub fn index(&self, merchant: MerchantId) -> Option<u32> {
        self.index_of.get(&merchant).copied()
    }

    /// Who stands at `index`.
    pub fn merchant(&self, index: u32) -> Option<MerchantId> {
        self.merchants.get(index as usize).copied()
    }

    /// Gives `merchant` a place; `None` when the partition is full.
    pub fn intern(&mut self, merchant: MerchantId) -> Option<u32> {
        if let Some(index) = self.index(merchant) {
            return Some(index);
        }
        let index = u32::try_from(self.merchants.len()).ok().filter(|index| (*index as usize) < MERCHANTS_MAX)?;
        self.index_of.insert(merchant, index);
        self.merchants.push(merchant);
        Some(index)
    }

    /// Everyone, by index.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = MerchantId> {
        self.merchants.iter().copied()
    }

    /// How many have a place.
    pub fn len(&self) -> usize {
        self.merchants.len()
    }

    /// Whether nobody has a place.
    pub fn is_empty(&self) -> bool {
        self.merchants.is_empty()
    }
}
