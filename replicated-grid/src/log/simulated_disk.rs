//! A disk in memory that crashes, tears, fills up, fails and flips bits: for tests and the simulation.
//!
//! What was not synced is lost in a crash, wholly or in part, file contents and names alike. Randomness is passed in, so
//! a run can be repeated. Not simulated: reads that fail, and time.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;

use super::disk::{Disk, DiskFile, DiskLock};
use content::{Change, Content};

/// A disk. Clones share it; it outlives every crash of those who use it.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Counts crashes: what was opened before the last one is dead.
    life: u64,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the directory was synced, oldest first.
    unsynced_names: Vec<NameChange>,
    locks: BTreeMap<String, u64>,
    capacity_bytes: Option<u64>,
    failing_syncs: Option<FailingSyncs>,
    ignores_syncs: bool,
    syncs: u64,
}

#[derive(Clone, Copy)]
struct FailingSyncs {
    from_sync: u64,
    /// Whether what should have been kept may still survive a crash: the machine dies before it finishes.
    keeps_unsynced: bool,
}

#[derive(Clone)]
enum NameChange {
    Set(String, u64),
    Remove(String),
}

impl SimulatedDisk {
    /// The machine loses power: of what was not synced a random part survives. Whatever is open is dead, locks are free.
    pub fn crash(&self, random: &mut impl Rng) {
        let mut state = self.state.lock();
        state.life += 1;
        state.locks.clear();
        let survivors = random.random_range(0..=state.unsynced_names.len());
        let changes: Vec<_> = state.unsynced_names.drain(..).take(survivors).collect();
        for change in changes {
            apply_name(&mut state.durable_names, change);
        }
        state.names = state.durable_names.clone();
        for content in state.files.values_mut() {
            content.crash(random);
        }
        let named: Vec<u64> = state.names.values().copied().collect();
        state.files.retain(|file, _| named.contains(file));
    }

    /// From the `calls`-th coming one on (0: the next), syncs fail, and what they should have kept is never kept.
    pub fn fail_syncs_after(&self, calls: u64) {
        self.set_failing(calls, false);
    }

    /// From the `calls`-th coming one on (0: the next), syncs do not finish: they fail, and a crash must follow, which
    /// tears what they should have kept.
    pub fn stop_in_sync_after(&self, calls: u64) {
        self.set_failing(calls, true);
    }

    /// From now on syncs of files succeed and keep nothing: a disk that lies, or a sync that somebody forgot.
    pub fn ignore_syncs(&self) {
        self.state.lock().ignores_syncs = true;
    }

    fn set_failing(&self, calls: u64, keeps_unsynced: bool) {
        let mut state = self.state.lock();
        state.failing_syncs = Some(FailingSyncs { from_sync: state.syncs + calls, keeps_unsynced });
    }

    /// Syncs succeed again, and keep what they should.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        (state.failing_syncs, state.ignores_syncs) = (None, false);
    }

    /// Sets the size of the disk; `None` is endless.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// How many syncs of files there were.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// How many bytes files occupy.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// What is in the file `name`, as a reader sees it.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let file = state.names.get(name)?;
        state.files.get(file).map(|content| content.current.clone())
    }

    /// Puts `bytes` into the file `name`, durably, whether or not it is there.
    pub fn set_contents(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state.lock();
        let file = match state.names.get(name) {
            Some(file) => *file,
            None => state.new_file(),
        };
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
        state.files.insert(file, Content { current: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() });
    }

    /// Flips one bit of the file `name`, if it is that long.
    pub fn flip(&self, name: &str, offset: usize, bit: u8) {
        let mut state = self.state.lock();
        let Some(file) = state.names.get(name).copied() else { return };
        let Some(content) = state.files.get_mut(&file) else { return };
        for bytes in [&mut content.current, &mut content.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// A disk of its own with the same files, all of them durable.
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        let names: Vec<String> = self.state.lock().names.keys().cloned().collect();
        for name in names {
            copy.set_contents(&name, &self.contents(&name).unwrap_or_default());
        }
        copy
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        named.iter().filter_map(|file| self.files.get(file)).map(|content| content.current.len() as u64).sum()
    }

    fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, Content::default());
        self.next_file
    }

    fn has_space(&self, more: u64) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if self.used_bytes() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, change.clone());
        self.unsynced_names.push(change);
    }
}

fn apply_name(names: &mut BTreeMap<String, u64>, change: NameChange) {
    match change {
        NameChange::Set(name, file) => {
            names.retain(|_, other| *other != file);
            names.insert(name, file);
        }
        NameChange::Remove(name) => {
            names.remove(&name);
        }
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.new_file();
        state.change_name(NameChange::Set(name.to_owned(), file));
        Ok(Arc::new(SimulatedFile { state: Arc::clone(&self.state), file, life: state.life }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state.lock();
        let file = state.find(name)?;
        Ok(Arc::new(SimulatedFile { state: Arc::clone(&self.state), file, life: state.life }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.find(from)?;
        state.change_name(NameChange::Set(to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.find(name)?;
        state.change_name(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.unsynced_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state.lock();
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state.lock();
        if state.locks.contains_key(name) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let life = state.life;
        state.locks.insert(name.to_owned(), life);
        Ok(Box::new(SimulatedLock { state: Arc::clone(&self.state), name: name.to_owned(), life }))
    }

    fn place(&self) -> String {
        "simulated disk".to_owned()
    }
}

struct SimulatedLock {
    state: Arc<Mutex<State>>,
    name: String,
    life: u64,
}

impl DiskLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.locks.get(&self.name) == Some(&self.life) {
            state.locks.remove(&self.name);
        }
    }
}

struct SimulatedFile {
    state: Arc<Mutex<State>>,
    file: u64,
    life: u64,
}

impl SimulatedFile {
    fn with<R>(&self, act: impl FnOnce(&mut State) -> io::Result<R>) -> io::Result<R> {
        let mut state = self.state.lock();
        if state.life != self.life || !state.files.contains_key(&self.file) {
            return Err(io::Error::other("the machine has crashed, or the file is gone"));
        }
        act(&mut state)
    }

    fn change(&self, grown_to: u64, change: Change) -> io::Result<()> {
        self.with(|state| {
            let length = state.files.get(&self.file).map_or(0, |content| content.current.len() as u64);
            state.has_space(grown_to.saturating_sub(length))?;
            let Some(content) = state.files.get_mut(&self.file) else { return Ok(()) };
            change.apply(&mut content.current);
            content.unsynced.push(change);
            Ok(())
        })
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files.get(&self.file).map_or(0, |content| content.current.len() as u64)))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|state| {
            let content = state.files.get(&self.file).map_or(&[][..], |content| &content.current);
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let found = content.get(start..start.saturating_add(bytes.len()));
            bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(offset + bytes.len() as u64, Change::Write { offset: start, bytes: bytes.to_vec() })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            let fails = state.failing_syncs.filter(|failing| state.syncs >= failing.from_sync);
            state.syncs += 1;
            if state.ignores_syncs {
                return Ok(());
            }
            let Some(content) = state.files.get_mut(&self.file) else { return Ok(()) };
            if let Some(failing) = fails {
                if !failing.keeps_unsynced {
                    // As kernels do: the pages count as clean although they never reached the disk.
                    content.unsynced.clear();
                }
                return Err(io::Error::other("sync failed as the test wanted"));
            }
            let changes = std::mem::take(&mut content.unsynced);
            changes.iter().for_each(|change| change.apply(&mut content.durable));
            Ok(())
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.change(0, Change::Length(usize::try_from(length).map_err(io::Error::other)?))
    }

    fn preallocate(&self, length: u64) -> io::Result<()> {
        self.change(length, Change::Length(usize::try_from(length).map_err(io::Error::other)?))
    }
}
