//! The modules of the API, and a set of them: which ones an application has (PARTNER_API, section 1). Pure.
//!
//! Kept with the application by `store`, read by `directory`, asked for at every request by `oauth`; `operations` says what belongs to
//! which. Authentication is none of them: everybody has it. Modules that are published and that we serve nothing of (review, financial,
//! picking, promotion) are deliberately absent: to grant one would promise something.

use std::fmt;
use std::str::FromStr;

/// A part of the API that an application has as a whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Polling, acknowledgment, and whatever else brings events in the words of the Merchant API.
    Events,
    /// Orders, what is done to them, their disputes.
    Order,
    /// Merchants: profile, status, hours, interruptions.
    Merchant,
    /// Menus.
    Catalog,
    /// The steps of a courier.
    Logistics,
    /// Couriers of the platform on request.
    Shipping,
    /// Open Delivery, all of it.
    OpenDelivery,
}

impl Module {
    /// Every module, in the order of the published table.
    pub const ALL: [Self; 7] =
        [Self::Events, Self::Order, Self::Merchant, Self::Catalog, Self::Logistics, Self::Shipping, Self::OpenDelivery];

    /// Its name to partners and operators; of the Merchant API's also the first segment of its paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Order => "order",
            Self::Merchant => "merchant",
            Self::Catalog => "catalog",
            Self::Logistics => "logistics",
            Self::Shipping => "shipping",
            Self::OpenDelivery => "open-delivery",
        }
    }

    /// Reads what [`Module::name`] says.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|module| module.name() == text)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modules(u8);

impl Modules {
    /// No module.
    pub const NONE: Self = Self(0);
    /// Every module: what an application has of which nobody said anything else.
    pub const ALL: Self = Self((1 << Module::ALL.len()) - 1);

    /// Whether `module` is one of them.
    pub const fn has(self, module: Module) -> bool {
        self.0 & module.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of these but `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Each of them, in the order of the published table.
    pub fn iter(self) -> impl Iterator<Item = Module> {
        Module::ALL.into_iter().filter(move |module| self.has(*module))
    }
}

impl FromIterator<Module> for Modules {
    fn from_iter<I: IntoIterator<Item = Module>>(modules: I) -> Self {
        modules.into_iter().fold(Self::NONE, |all, module| Self(all.0 | module.bit()))
    }
}

/// Names with commas between them.
impl fmt::Display for Modules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Module::name).collect();
        formatter.write_str(&names.join(", "))
    }
}

/// A text that names no module, or something that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected modules with commas between them, each one of {}; {named:?} is none", Modules::ALL)]
pub struct UnknownModule {
    named: String,
}

/// Reads names with commas between them, at least one.
impl FromStr for Modules {
    type Err = UnknownModule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read =
            |name: &str| Module::parse(name.trim()).ok_or_else(|| UnknownModule { named: name.trim().to_owned() });
        text.split(',').map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_is_in_the_sets_that_it_was_put_in_and_in_no_other() {
        for module in Module::ALL {
            let alone: Modules = [module].into_iter().collect();
            assert!(alone.has(module) && Modules::ALL.has(module) && !Modules::NONE.has(module), "{module:?}");
            assert_eq!(alone.iter().collect::<Vec<_>>(), [module]);
            let rest = Modules::ALL.without(alone);
            assert!(!rest.has(module) && rest.iter().count() == Module::ALL.len() - 1, "{module:?}");
            assert_eq!(rest.without(rest), Modules::NONE);
        }
        assert!(Modules::NONE.is_empty() && !Modules::ALL.is_empty());
        assert_eq!(Module::ALL.into_iter().collect::<Modules>(), Modules::ALL);
    }

    #[test]
    fn names_read_back_and_what_is_none_is_named_beside_those_that_are() {
        assert!(Module::ALL.iter().all(|module| Module::parse(module.name()) == Some(*module)));
        assert_eq!(Modules::ALL.to_string().parse(), Ok(Modules::ALL));
        let two: Modules = " order,open-delivery".parse().unwrap();
        assert_eq!(two.to_string(), "order, open-delivery");
        for wrong in ["review", "order,review", "order;events", "Events"] {
            let error = wrong.parse::<Modules>().unwrap_err().to_string();
            let known = "events, order, merchant, catalog, logistics, shipping, open-delivery";
            assert!(error.contains(known), "{error}");
            assert!(error.contains(wrong.rsplit(',').next().unwrap()), "{error}");
        }
        assert!("".parse::<Modules>().is_err() && "order,".parse::<Modules>().is_err());
    }
}
