//! Every limit of a merchant's catalog, with its reason. Used by the readers of bodies, the menu and the store; documented in
//! docs/CATALOG.md.

/// Items on sale: the largest stores there are, groceries, have some thousands.
pub(crate) const ITEMS_MAX: u32 = 10_000;
/// Categories: nobody scrolls through more.
pub(crate) const CATEGORIES_MAX: u32 = 1_000;
/// Products: those of the items and those of the options.
pub(crate) const PRODUCTS_MAX: u32 = 20_000;
/// Option groups of all products together.
pub(crate) const GROUPS_MAX: u32 = 10_000;
/// Options of all groups together.
pub(crate) const OPTIONS_MAX: u32 = 20_000;
/// What a whole catalog takes when stored: a list reads all of it into memory.
pub(crate) const STORED_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// A list with everything in it. Options stand in it once for each item that has them, so it can be larger than what is stored.
pub(crate) const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// An id that a client chose: it stands in paths and sort keys.
pub(crate) const ID_MAX_BYTES: usize = 64;
/// Names of categories, products and groups, in characters.
pub(crate) const NAME_MAX_CHARS: usize = 150;
/// Descriptions and further information, in characters.
pub(crate) const DESCRIPTION_MAX_CHARS: usize = 1_000;
/// Codes of the POS, bar codes, paths of images, in characters.
pub(crate) const CODE_MAX_CHARS: usize = 200;
/// Words of a vocabulary that is not ours, such as `SERVES_2`.
pub(crate) const WORD_MAX_CHARS: usize = 40;
/// Dietary restrictions of one product.
pub(crate) const RESTRICTIONS_MAX: usize = 20;
/// Option groups of one product.
pub(crate) const GROUPS_PER_PRODUCT_MAX: usize = 50;
/// Options of one group.
pub(crate) const OPTIONS_PER_GROUP_MAX: usize = 200;
/// Hours of sale of one item.
pub(crate) const SHIFTS_MAX: usize = 28;
/// Price and status in other contexts, of an option also for each option it hangs on.
pub(crate) const MODIFIERS_MAX: usize = 30;
/// How often an option group may or must be chosen from.
pub(crate) const CHOICES_MAX: u32 = 1_000;
/// The largest position in a list.
pub(crate) const INDEX_MAX: u32 = 1_000_000;
/// Products, groups or options of one request; the body's 256 KiB end most requests before.
pub(crate) const ENTITIES_PER_REQUEST_MAX: usize = 1_000;
/// The highest price, in cents: above it somebody forgot a decimal point.
pub(crate) const PRICE_MAX_CENTS: u64 = 100_000_000;

/// One picture: what base64, a third larger, leaves of a body of 256 KiB; an item of DynamoDB would hold 400 KB.
pub(crate) const IMAGE_MAX_BYTES: usize = 190 * 1024;
/// Pictures of one merchant: one for each product that has one, a few times over. Whoever has as many removes some.
pub(crate) const IMAGES_MAX: u32 = 2_000;

/// Products on one page of their list, at most and by default.
pub(crate) const PAGE_MAX: u32 = 100;
/// Entries of one batch: with the body's 256 KiB that is about what fits.
pub(crate) const BATCH_ENTRIES_MAX: usize = 2_000;
/// Entries that are stored, and applied, together: a DynamoDB transaction takes 100 items, and some are ours.
pub(crate) const BATCH_PAGE_ENTRIES: usize = 50;
/// Batches of one merchant that are not finished.
pub(crate) const OPEN_BATCHES_MAX: u32 = 20;
