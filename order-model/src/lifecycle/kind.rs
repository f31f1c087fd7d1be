//! What kind of order it is, as far as the lifecycle cares: type, courier, goods.
//!
//! Read once out of an order's facts by gateway-core and fixed from then on. Spellings of the wire are parsed here;
//! everything else of an order (items, payment, address) is deliberately absent.

use crate::event_code::EventCategory;

/// How the customer gets the order (`orderType`, PARTNER_API section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderType {
    /// Brought to the customer.
    Delivery,
    /// Fetched by the customer.
    Takeout,
    /// Eaten at the merchant's table.
    DineIn,
    /// Served on the premises (Open Delivery's word, and iFood's for some channels). Same lifecycle as `DineIn`.
    Indoor,
}

impl OrderType {
    /// Every order type.
    pub const ALL: [Self; 4] = [Self::Delivery, Self::Takeout, Self::DineIn, Self::Indoor];

    /// The name on the wire, e.g. `DINE_IN`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "DELIVERY",
            Self::Takeout => "TAKEOUT",
            Self::DineIn => "DINE_IN",
            Self::Indoor => "INDOOR",
        }
    }

    /// The type that `text` names, in any case; `None` for anything else, since no lifecycle is known for it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|order_type| order_type.name().eq_ignore_ascii_case(text))
    }

    /// The number it is stored under.
    pub const fn number(self) -> u8 {
        match self {
            Self::Delivery => 1,
            Self::Takeout => 2,
            Self::DineIn => 3,
            Self::Indoor => 4,
        }
    }

    /// The type stored under `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|order_type| order_type.number() == number)
    }
}

/// Whose courier brings a DELIVERY order. Without meaning for the other types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveredBy {
    /// The merchant's own courier: the merchant dispatches.
    Merchant,
    /// The marketplace's courier: the merchant's part ends at ready-to-pickup.
    Marketplace,
}

impl DeliveredBy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Merchant, Self::Marketplace];

    /// What an order says: `IFOOD` and `MARKETPLACE` are the marketplace. Absent or unknown text is the merchant,
    /// the kind in which every step that exists is open to somebody, so that no order can get stuck.
    pub fn of_order(text: &str) -> Self {
        let text = text.trim();
        if text.eq_ignore_ascii_case("IFOOD") || text.eq_ignore_ascii_case("MARKETPLACE") {
            Self::Marketplace
        } else {
            Self::Merchant
        }
    }

    /// `MERCHANT` or `MARKETPLACE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merchant => "MERCHANT",
            Self::Marketplace => "MARKETPLACE",
        }
    }

    /// The number it is stored under.
    pub const fn number(self) -> u8 {
        match self {
            Self::Merchant => 1,
            Self::Marketplace => 2,
        }
    }

    /// The courier stored under `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|delivered_by| delivered_by.number() == number)
    }
}

/// What is prepared: meals are cooked, groceries are picked (`SPS`, `SPE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goods {
    /// Anything that is not known to be groceries.
    Meals,
    /// Category `GROCERY`.
    Groceries,
}

impl Goods {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Meals, Self::Groceries];

    /// The number it is stored under.
    pub const fn number(self) -> u8 {
        match self {
            Self::Meals => 1,
            Self::Groceries => 2,
        }
    }

    /// The goods stored under `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|goods| goods.number() == number)
    }
}

impl From<EventCategory> for Goods {
    fn from(category: EventCategory) -> Self {
        match category {
            EventCategory::Grocery => Self::Groceries,
            EventCategory::Food | EventCategory::FoodSelfService | EventCategory::Anotai | EventCategory::Unknown => {
                Self::Meals
            }
        }
    }
}

/// Everything fixed at placement that legality depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKind {
    /// How the customer gets it.
    pub order_type: OrderType,
    /// Whose courier; only looked at for DELIVERY.
    pub delivered_by: DeliveredBy,
    /// Cooked or picked.
    pub goods: Goods,
}

impl OrderKind {
    /// Every kind: 4 types, 2 couriers, 2 sorts of goods.
    pub fn all() -> impl Iterator<Item = Self> {
        OrderType::ALL.into_iter().flat_map(|order_type| {
            DeliveredBy::ALL.into_iter().flat_map(move |delivered_by| {
                Goods::ALL.into_iter().map(move |goods| Self { order_type, delivered_by, goods })
            })
        })
    }

    /// The steps this kind goes through.
    pub const fn route(self) -> Route {
        match (self.order_type, self.delivered_by) {
            (OrderType::Delivery, DeliveredBy::Merchant) => Route::MerchantCourier,
            (OrderType::Delivery, DeliveredBy::Marketplace) => Route::MarketplaceCourier,
            (OrderType::Takeout, DeliveredBy::Merchant | DeliveredBy::Marketplace) => Route::Counter,
            (OrderType::DineIn | OrderType::Indoor, DeliveredBy::Merchant | DeliveredBy::Marketplace) => Route::Table,
        }
    }

    /// A dense index, `0..16`, in the order of [`OrderKind::all`].
    pub(crate) const fn index(self) -> usize {
        let order_type = match self.order_type {
            OrderType::Delivery => 0,
            OrderType::Takeout => 1,
            OrderType::DineIn => 2,
            OrderType::Indoor => 3,
        };
        let delivered_by = match self.delivered_by {
            DeliveredBy::Merchant => 0,
            DeliveredBy::Marketplace => 1,
        };
        let goods = match self.goods {
            Goods::Meals => 0,
            Goods::Groceries => 1,
        };
        order_type * 4 + delivered_by * 2 + goods
    }
}

/// The way from ready to concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// DELIVERY by the merchant: the merchant dispatches (`DSP`).
    MerchantCourier,
    /// DELIVERY by the marketplace: its courier collects (`CLT`).
    MarketplaceCourier,
    /// TAKEOUT: the customer fetches it once it is ready.
    Counter,
    /// DINE_IN and INDOOR: served once it is ready.
    Table,
}

impl Route {
    /// Whether a courier takes the order out of the house.
    pub const fn has_courier(self) -> bool {
        match self {
            Self::MerchantCourier | Self::MarketplaceCourier => true,
            Self::Counter | Self::Table => false,
        }
    }
}
