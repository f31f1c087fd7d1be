//! Which version of the document an application was written for, and what that version has no word for.
//!
//! Pure; kept with the application by `store`, read by `directory`, used wherever this dialect is rendered or pushed. Nothing in a
//! request tells a client of 1.3.0 from one of 1.7.0, so the operator says it. What an older version lacks is left out, never renamed into
//! something that did not happen; values in an order become the nearest that it has.

use event_feed::Dialect;
use order_model::EventCode;

/// A version of Open Delivery that an application knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpenDeliveryVersion {
    /// 1.3.0, and what is older.
    V1_3,
    /// 1.7.0.
    #[default]
    V1_7,
}

impl OpenDeliveryVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 2] = [Self::V1_3, Self::V1_7];

    /// As operators write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_3 => "1.3.0",
            Self::V1_7 => "1.7.0",
        }
    }

    /// Reads what [`OpenDeliveryVersion::name`] says.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == text)
    }

    /// The newest version that its document can name: each list ends before the document itself.
    pub(crate) const fn announced(self) -> &'static str {
        match self {
            Self::V1_3 => "1.2.1",
            Self::V1_7 => "1.6.0",
        }
    }

    /// Whether it has a word for events of `code`.
    pub fn has(self, code: EventCode) -> bool {
        let is_newer = matches!(
            code,
            EventCode::RecommendedPreparationStart
                | EventCode::PreparationStarted
                | EventCode::SeparationStarted
                | EventCode::Collected
        );
        Dialect::OpenDelivery.has(code) && (self == Self::V1_7 || !is_newer)
    }

    /// `name`, a value of an order that 1.7.0 knows, or what stands for it in this version.
    pub(super) fn nearest(self, name: &'static str) -> &'static str {
        match (self, name) {
            (Self::V1_7, _) => name,
            (Self::V1_3, "PREPARING") => "CONFIRMED",
            (Self::V1_3, "ONDEMAND") => "INSTANT",
            (Self::V1_3, "MIN_ORDER_FEE") => "SERVICE_FEE",
            // A chain is the merchant's side of who pays.
            (Self::V1_3, "CHAIN") => "MERCHANT",
            (Self::V1_3, "TERMINAL") => "DEFAULT",
            (Self::V1_3, _) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_the_newest_is_the_default() {
        assert!(OpenDeliveryVersion::ALL.iter().all(|one| OpenDeliveryVersion::parse(one.name()) == Some(*one)));
        assert_eq!(OpenDeliveryVersion::parse("1.3"), None);
        assert_eq!(OpenDeliveryVersion::default().name(), "1.7.0");
    }

    #[test]
    fn an_older_version_lacks_exactly_what_came_after_it() {
        let lacks = |version: OpenDeliveryVersion| {
            let known = EventCode::ALL.iter().filter(|code| Dialect::OpenDelivery.has(**code));
            known.filter(|code| !version.has(**code)).count()
        };
        assert_eq!(OpenDeliveryVersion::ALL.map(lacks), [4, 0]);
        assert!(OpenDeliveryVersion::ALL.iter().all(|version| !version.has(EventCode::AssignDriver)));
        let [old, new] = OpenDeliveryVersion::ALL;
        assert_eq!((old.nearest("PREPARING"), new.nearest("PREPARING")), ("CONFIRMED", "PREPARING"));
        assert_eq!(old.nearest("READY_FOR_PICKUP"), "READY_FOR_PICKUP");
    }
}
