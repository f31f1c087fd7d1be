//! Why a merchant does not let a consumer cancel: the two codes of Open Delivery's `denyCancellation`.
//!
//! Read by `acting`, told by `planning` in the metadata of `CCD`. What the merchant writes beside it is free text and gets into no
//! event; the words here are ours.

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    DishAlreadyDone,
    OutForDelivery,
}

impl Denial {
    const ALL: [Self; 2] = [Self::DishAlreadyDone, Self::OutForDelivery];

    /// The one that `text` names, in any case; `None` for anything else, which is no reason to refuse a merchant's no.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|denial| denial.code().eq_ignore_ascii_case(text))
    }

    /// The code on the wire.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::DishAlreadyDone => "DISH_ALREADY_DONE",
            Self::OutForDelivery => "OUT_FOR_DELIVERY",
        }
    }

    /// What it means, in Portuguese, as partners show it.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::DishAlreadyDone => "O pedido já está pronto",
            Self::OutForDelivery => "O pedido já saiu para entrega",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_codes_read_back_and_nothing_else_is_one() {
        for denial in Denial::ALL {
            assert_eq!(Denial::parse(&format!(" {} ", denial.code().to_lowercase())), Some(denial));
            assert!(!denial.description().is_empty());
        }
        for other in ["", "503", "because of Ana"] {
            assert_eq!(Denial::parse(other), None);
        }
    }
}
