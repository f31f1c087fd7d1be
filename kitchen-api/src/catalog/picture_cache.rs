//! The pictures that were served lately, within a bound. A picture never changes, so nothing here is ever out of date. Pure.
//!
//! Used by `images`. Two generations: what is asked for again moves to the young one, and the old one goes when that is full.

use std::collections::HashMap;

use bytes::Bytes;
use order_model::MerchantId;

use super::picture::PictureName;

/// Bytes of the pictures of one generation; there are two.
const GENERATION_BYTES: usize = 16 * 1024 * 1024;

/// Whose picture it is, and which.
pub(super) type PictureKey = (MerchantId, PictureName);

/// Pictures in memory.
#[derive(Default)]
pub(super) struct PictureCache {
    young: HashMap<PictureKey, Bytes>,
    young_bytes: usize,
    old: HashMap<PictureKey, Bytes>,
}

impl PictureCache {
    pub(super) fn get(&mut self, key: &PictureKey) -> Option<Bytes> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let found = self.old.remove(key)?;
        self.put(*key, found.clone());
        Some(found)
    }

    pub(super) fn put(&mut self, key: PictureKey, picture: Bytes) {
        let bytes = picture.len();
        if self.young_bytes + bytes > GENERATION_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(key, picture).is_none() {
            self.young_bytes += bytes;
        }
    }

    /// Forgets one that was removed.
    pub(super) fn forget(&mut self, key: &PictureKey) {
        if let Some(picture) = self.young.remove(key) {
            self.young_bytes -= picture.len();
        }
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE_BYTES: usize = 128 * 1024;

    fn key(number: usize) -> PictureKey {
        let name = PictureName::read(&format!("{number:064x}.png")).unwrap();
        (MerchantId::from_bytes([1; 16]), name)
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let picture = Bytes::from(vec![0; PICTURE_BYTES]);
        let mut cache = PictureCache::default();
        for number in 0..1_000 {
            cache.put(key(number), picture.clone());
            assert_eq!(cache.get(&key(0)), Some(picture.clone()), "after {number}");
            assert!((cache.young.len() + cache.old.len()) * PICTURE_BYTES <= 2 * GENERATION_BYTES);
        }
        assert_eq!(cache.get(&key(1)), None);
        assert_eq!(cache.get(&key(999)), Some(picture));
    }

    #[test]
    fn one_that_is_forgotten_is_gone_from_both_generations_and_leaves_its_room() {
        let picture = Bytes::from(vec![0; PICTURE_BYTES]);
        let mut cache = PictureCache::default();
        let generation = GENERATION_BYTES / PICTURE_BYTES;
        (0..=generation).for_each(|number| cache.put(key(number), picture.clone()));
        assert_eq!((cache.old.len(), cache.young.len()), (generation, 1));
        for number in [0, generation] {
            cache.forget(&key(number));
            assert_eq!(cache.get(&key(number)), None);
        }
        assert_eq!((cache.old.len(), cache.young.len(), cache.young_bytes), (generation - 1, 0, 0));
    }

    #[test]
    fn the_same_one_again_takes_no_more_room() {
        let mut cache = PictureCache::default();
        for _ in 0..1_000 {
            cache.put(key(1), Bytes::from(vec![0; PICTURE_BYTES]));
        }
        assert_eq!((cache.young.len(), cache.young_bytes, cache.old.len()), (1, PICTURE_BYTES, 0));
    }
}
