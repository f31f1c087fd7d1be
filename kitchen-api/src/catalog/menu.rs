//! The part of a catalog that an edit looks at, and what the edit makes of it.
//!
//! Pure: a decision asks for entities; what was not read yet is noted and ends the decision with [`Halt::Unread`], and
//! the shell reads it and decides again. Whatever is staged is settled at once: every reference leads somewhere, what others use is
//! not removed, groups and options that nobody uses any more go with their last user. I/O is absent, see `editing`.

use std::collections::{BTreeMap, BTreeSet};

use super::entities::{Entity, EntityKind, Key};
use super::limits::{CATEGORIES_MAX, GROUPS_MAX, ITEMS_MAX, OPTIONS_MAX, PRODUCTS_MAX, STORED_BYTES_MAX};
use super::refusal::{Kind, Refusal};

/// An entity as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) entity: Entity,
    /// The catalog's revision that changed it last.
    pub(crate) version: u64,
    /// How many references lead to it.
    pub(crate) uses: u32,
}

impl Stored {
    /// About what it takes when stored.
    fn bytes(&self) -> u64 {
        /// Keys and what DynamoDB adds.
        const OVERHEAD_BYTES: usize = 200;
        let body = serde_json::to_vec(&self.entity).map_or(0, |body| body.len());
        u64::try_from(body + OVERHEAD_BYTES).unwrap_or(u64::MAX)
    }
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) categories: u32,
    pub(crate) items: u32,
    pub(crate) products: u32,
    pub(crate) groups: u32,
    pub(crate) options: u32,
    pub(crate) bytes: u64,
}

/// The kinds that are counted.
const COUNTED: [EntityKind; 5] =
    [EntityKind::Category, EntityKind::Item, EntityKind::Product, EntityKind::Group, EntityKind::Option];

/// How many of a kind there may be, and what people call them.
const fn most(kind: EntityKind) -> (u32, &'static str) {
    match kind {
        EntityKind::Category => (CATEGORIES_MAX, "categories"),
        EntityKind::Item => (ITEMS_MAX, "items"),
        EntityKind::Product => (PRODUCTS_MAX, "products"),
        EntityKind::Group => (GROUPS_MAX, "option groups"),
        EntityKind::Option => (OPTIONS_MAX, "options"),
        EntityKind::Code => (PRODUCTS_MAX, "external codes"),
    }
}

impl Totals {
    fn of(&mut self, kind: EntityKind) -> Option<&mut u32> {
        match kind {
            EntityKind::Category => Some(&mut self.categories),
            EntityKind::Item => Some(&mut self.items),
            EntityKind::Product => Some(&mut self.products),
            EntityKind::Group => Some(&mut self.groups),
            EntityKind::Option => Some(&mut self.options),
            EntityKind::Code => None,
        }
    }

    fn count(mut self, kind: EntityKind) -> u32 {
        self.of(kind).map_or(0, |count| *count)
    }

    /// Refuses what is too much and more than it was: a catalog that a lower limit of ours has overtaken can still shrink.
    fn check(self, before: Self) -> Result<(), Refusal> {
        for kind in COUNTED {
            let (most, name) = most(kind);
            if self.count(kind) > most && self.count(kind) > before.count(kind) {
                return Err(Refusal::new(Kind::Limit, format!("A catalog has at most {most} {name}.")));
            }
        }
        if self.bytes > STORED_BYTES_MAX && self.bytes > before.bytes {
            let message = format!("A catalog takes at most {STORED_BYTES_MAX} bytes.");
            return Err(Refusal::new(Kind::Limit, message));
        }
        Ok(())
    }
}

/// Why a decision was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It has to be made again once [`Menu::unread`] was read.
    Unread,
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One entity that an edit puts, with the field of the request that it stands in.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) key: Key,
    /// `None` removes it.
    pub(crate) entity: Option<Entity>,
    pub(crate) field: String,
}

/// What is known of a catalog at one revision, and what an edit has changed.
#[derive(Debug, Default)]
pub(crate) struct Menu {
    revision: u64,
    totals: Totals,
    totals_now: Totals,
    known: BTreeMap<Key, Option<Stored>>,
    changed: BTreeMap<Key, Option<Stored>>,
    unread: BTreeSet<Key>,
}

impl Menu {
    /// Nothing is known yet but how much there is.
    pub(crate) fn new(revision: u64, totals: Totals) -> Self {
        Self { revision, totals, totals_now: totals, ..Self::default() }
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) const fn totals_now(&self) -> Totals {
        self.totals_now
    }

    /// What the last decision asked for in vain.
    pub(crate) fn unread(&self) -> Vec<Key> {
        self.unread.iter().cloned().collect()
    }

    /// Takes what was read; forgets what a decision without it has changed.
    pub(crate) fn learn(&mut self, read: impl IntoIterator<Item = (Key, Option<Stored>)>) {
        self.known.extend(read);
        self.unread.clear();
        self.changed.clear();
        self.totals_now = self.totals;
    }

    /// What an edit has made different, in the order of the keys.
    pub(crate) fn changes(&self) -> Vec<(&Key, Option<&Stored>)> {
        let is_new = |key: &Key, now: &Option<Stored>| self.known.get(key).is_none_or(|before| before != now);
        self.changed.iter().filter(|(key, now)| is_new(key, now)).map(|(key, now)| (key, now.as_ref())).collect()
    }

    /// An entity as it was before the edit.
    pub(crate) fn before(&self, key: &Key) -> Option<&Stored> {
        self.known.get(key).and_then(Option::as_ref)
    }

    /// An entity as it is now.
    ///
    /// # Errors
    /// [`Halt::Unread`] when nobody has read it yet.
    pub(crate) fn find(&mut self, key: &Key) -> Result<Option<&Stored>, Halt> {
        self.want([key])?;
        Ok(self.changed.get(key).or_else(|| self.known.get(key)).and_then(Option::as_ref))
    }

    /// Makes sure that all of these are known, so that they are read together.
    ///
    /// # Errors
    /// [`Halt::Unread`] when one is not.
    pub(crate) fn want<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>) -> Result<(), Halt> {
        for key in keys {
            if !self.known.contains_key(key) {
                self.unread.insert(key.clone());
            }
        }
        if self.unread.is_empty() { Ok(()) } else { Err(Halt::Unread) }
    }

    /// Puts and removes entities, and keeps the rest in step. All of it, or a refusal and nothing.
    ///
    /// # Errors
    /// [`Halt::Refused`] for a reference to nothing, for what would leave others without it, and for too much of something.
    pub(crate) fn settle(&mut self, staged: Vec<Staged>) -> Result<(), Halt> {
        let before = (self.changed.clone(), self.totals_now);
        let settled = self.settle_all(staged);
        if settled.is_err() {
            (self.changed, self.totals_now) = before;
        }
        settled
    }

    fn settle_all(&mut self, mut staged: Vec<Staged>) -> Result<(), Halt> {
        self.check_sent_once(&staged)?;
        let sent: Vec<(Key, String)> = staged.iter().map(|one| (one.key.clone(), one.field.clone())).collect();
        while !staged.is_empty() {
            staged = self.settle_round(staged)?;
        }
        for (key, field) in sent {
            if self.is_of_no_use(&key)? {
                let message = format!("{field} belongs to nothing: no product has the group, or no group the option.");
                return Err(Refusal::new(Kind::Invalid, message).at(field).into());
            }
        }
        Ok(self.totals_now.check(self.totals)?)
    }

    /// A group or an option that was sent and that nobody uses; it may have lost its last user by the same request.
    fn is_of_no_use(&mut self, key: &Key) -> Result<bool, Halt> {
        Ok(goes_with_its_last_user(key.kind) && self.find(key)?.is_none_or(|stored| stored.uses == 0))
    }

    fn check_sent_once(&self, staged: &[Staged]) -> Result<(), Halt> {
        let mut sent = BTreeSet::new();
        for one in staged {
            if !sent.insert(&one.key) {
                return Err(Refusal::field(format!("{}.id", one.field), "sent only once in a request").into());
            }
        }
        Ok(())
    }

    /// Puts what is staged; answers with what has lost its last user by that.
    fn settle_round(&mut self, staged: Vec<Staged>) -> Result<Vec<Staged>, Halt> {
        let mut keys: BTreeSet<Key> = staged.iter().map(|one| one.key.clone()).collect();
        keys.extend(staged.iter().filter_map(|one| one.entity.as_ref()).flat_map(targets));
        self.want(&keys)?;
        let mut uses: BTreeMap<Key, i64> = BTreeMap::new();
        let mut wanted: Vec<(Key, String)> = Vec::new();
        for Staged { key, entity, field } in staged {
            let before = self.find(&key)?.cloned();
            for target in before.iter().flat_map(|stored| targets(&stored.entity)) {
                *uses.entry(target).or_default() -= 1;
            }
            for (target, sub_field) in entity.iter().flat_map(Entity::references) {
                *uses.entry(target.clone()).or_default() += 1;
                wanted.push((target, if field.is_empty() { sub_field } else { format!("{field}.{sub_field}") }));
            }
            let uses_before = before.as_ref().map_or(0, |stored| stored.uses);
            let version = self.revision + 1;
            let now = match (before, entity) {
                (Some(before), Some(entity)) if before.entity == entity => Some(before),
                (_, entity) => entity.map(|entity| Stored { entity, version, uses: uses_before }),
            };
            if now.is_none() && uses_before > 0 {
                return Err(Refusal::new(Kind::Conflict, "It is in use: what has it has to go first.").into());
            }
            self.set(key, now)?;
        }
        for (target, field) in wanted {
            if self.find(&target)?.is_none() {
                return Err(Refusal::field(field, "the id of something that exists or is sent along").into());
            }
        }
        self.count_uses(&uses)
    }

    /// Answers with the groups and options that have lost their last user.
    fn count_uses(&mut self, uses: &BTreeMap<Key, i64>) -> Result<Vec<Staged>, Halt> {
        self.want(uses.keys())?;
        let mut orphans = Vec::new();
        for (key, by) in uses.iter().filter(|(_, by)| **by != 0) {
            let Some(mut stored) = self.find(key)?.cloned() else { continue };
            let now = i64::from(stored.uses) + by;
            stored.uses = u32::try_from(now.max(0)).unwrap_or(u32::MAX);
            if stored.uses == 0 && *by < 0 && goes_with_its_last_user(key.kind) {
                orphans.push(Staged { key: key.clone(), entity: None, field: String::new() });
            }
            self.set(key.clone(), Some(stored))?;
        }
        Ok(orphans)
    }

    fn set(&mut self, key: Key, now: Option<Stored>) -> Result<(), Halt> {
        let before = self.find(&key)?;
        let (had, had_bytes) = (before.is_some(), before.map_or(0, Stored::bytes));
        let bytes = now.as_ref().map_or(0, Stored::bytes);
        let totals = &mut self.totals_now;
        totals.bytes = totals.bytes.saturating_sub(had_bytes).saturating_add(bytes);
        if let Some(count) = totals.of(key.kind) {
            *count = count.saturating_sub(u32::from(had)).saturating_add(u32::from(now.is_some()));
        }
        self.changed.insert(key, now);
        Ok(())
    }
}

/// Nobody could see or name one that nobody uses.
const fn goes_with_its_last_user(kind: EntityKind) -> bool {
    match kind {
        EntityKind::Group | EntityKind::Option => true,
        EntityKind::Category | EntityKind::Code | EntityKind::Item | EntityKind::Product => false,
    }
}

fn targets(entity: &Entity) -> impl Iterator<Item = Key> + use<> {
    entity.references().into_iter().map(|(key, _)| key)
}
