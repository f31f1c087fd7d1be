//! What is in a file of the simulated disk: what a reader sees, what would survive, and how a crash tears the difference.

use rand::Rng;

/// The unit in which a torn write survives: the smallest that disks promise to write whole.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct Content {
    pub(super) current: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
}

pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write { offset, bytes: written } => write(bytes, *offset, written),
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

impl Content {
    /// Nothing, a prefix cut at any byte, or any sectors of what was not synced survive.
    pub(super) fn crash(&mut self, random: &mut impl Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        match random.random_range(0..3) {
            0 => {}
            1 => {
                let whole = random.random_range(0..=changes.len());
                changes.iter().take(whole).for_each(|change| change.apply(&mut self.durable));
                if let Some(Change::Write { offset, bytes }) = changes.get(whole) {
                    let kept = random.random_range(0..=bytes.len());
                    write(&mut self.durable, *offset, &bytes[..kept]);
                }
            }
            _ => changes.iter().for_each(|change| self.keep_some_sectors(change, random)),
        }
        self.current = self.durable.clone();
    }

    fn keep_some_sectors(&mut self, change: &Change, random: &mut impl Rng) {
        let Change::Write { offset, bytes } = change else {
            return change.apply(&mut self.durable);
        };
        let mut from = 0;
        while from < bytes.len() {
            let until = (from + SECTOR_BYTES - (offset + from) % SECTOR_BYTES).min(bytes.len());
            if random.random() {
                write(&mut self.durable, offset + from, &bytes[from..until]);
            }
            from = until;
        }
    }
}
