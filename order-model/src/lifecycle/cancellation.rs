//! The codes by which merchants cancel (PARTNER_API 1.4), and which of them are offered when.
//!
//! What is *offered* (`cancellationReasons`) is the short list that makes sense where the order stands; what is
//! *accepted* (`requestCancellation`) is every known code, legacy ones included, wherever the order can be cancelled.
//! Open Delivery's codes are mapped to these at the HTTP edge and are deliberately absent.

use crate::lifecycle::kind::Route;
use crate::lifecycle::state::Lifecycle;
use crate::lifecycle::status::OrderStatus;

macro_rules! cancellation_codes {
    ($($(#[$docs:meta])* $variant:ident = $number:literal, $text:literal, $description:literal;)*) => {
        /// Why a merchant cancels.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CancellationCode {
            $($(#[$docs])* $variant,)*
        }

        impl CancellationCode {
            /// Every accepted code, current ones first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number, also the one it is stored under.
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The code on the wire, e.g. `501`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What it means, in Portuguese, as partners show it.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            /// The code stored under `number`.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

cancellation_codes! {
    /// The merchant's system does not work.
    SystemProblem = 501, "501", "Problemas de sistema na loja";
    /// The same order twice.
    DuplicateOrder = 502, "502", "O pedido está duplicado";
    /// An item is sold out.
    ItemUnavailable = 503, "503", "Item indisponível";
    /// No courier.
    NoCourier = 504, "504", "A loja está sem entregadores disponíveis";
    /// The menu is out of date.
    MenuOutdated = 505, "505", "O cardápio está desatualizado";
    /// The address is too far.
    OutsideArea = 506, "506", "O pedido está fora da área de entrega";
    /// Fraud or a prank.
    Fraud = 507, "507", "Suspeita de golpe ou trote";
    /// Outside the opening hours.
    OutsideHours = 508, "508", "O pedido está fora do horário de funcionamento";
    /// Something went wrong at the merchant.
    InternalDifficulty = 509, "509", "A loja está passando por dificuldades internas";
    /// Too dangerous a place.
    RiskArea = 511, "511", "A entrega é em uma área de risco";
    /// The merchant opens later today.
    OpensLater = 512, "512", "A loja só abrirá mais tarde";
    /// The merchant closed earlier today.
    ClosedEarly = 513, "513", "A loja fechou mais cedo";
    /// Legacy: other.
    Legacy801 = 801, "801", "Outro motivo";
    /// Legacy: the menu is not available.
    Legacy803 = 803, "803", "Cardápio indisponível";
    /// Legacy: the customer's data is incomplete.
    Legacy804 = 804, "804", "Cadastro do cliente incompleto";
    /// Legacy, its meaning is not published.
    Legacy805 = 805, "805", "Motivo informado pela loja (código legado 805)";
    /// Legacy, its meaning is not published.
    Legacy807 = 807, "807", "Motivo informado pela loja (código legado 807)";
    /// Legacy, its meaning is not published.
    Legacy808 = 808, "808", "Motivo informado pela loja (código legado 808)";
    /// Legacy, its meaning is not published.
    Legacy809 = 809, "809", "Motivo informado pela loja (código legado 809)";
    /// Legacy, its meaning is not published.
    Legacy815 = 815, "815", "Motivo informado pela loja (código legado 815)";
    /// Legacy: the delivery fee is wrong.
    Legacy818 = 818, "818", "Taxa de entrega inconsistente";
    /// Legacy, its meaning is not published.
    Legacy820 = 820, "820", "Motivo informado pela loja (código legado 820)";
}

impl CancellationCode {
    /// The code that `text` names, with or without blanks around it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.iter().copied().find(|code| code.code() == text)
    }

    /// Whether it is one of the old numbering: accepted, never offered.
    pub const fn is_legacy(self) -> bool {
        self.number() >= 800
    }

    /// Whether it is offered for an order of this route that stands at `status`.
    const fn fits(self, route: Route, status: OrderStatus) -> bool {
        let has_left = matches!(status, OrderStatus::Dispatched);
        match self {
            Self::SystemProblem | Self::Fraud | Self::InternalDifficulty => true,
            Self::DuplicateOrder
            | Self::ItemUnavailable
            | Self::MenuOutdated
            | Self::OutsideHours
            | Self::OpensLater
            | Self::ClosedEarly => !has_left,
            Self::NoCourier => matches!(route, Route::MerchantCourier) && !has_left,
            Self::OutsideArea | Self::RiskArea => route.has_courier(),
            Self::Legacy801
            | Self::Legacy803
            | Self::Legacy804
            | Self::Legacy805
            | Self::Legacy807
            | Self::Legacy808
            | Self::Legacy809
            | Self::Legacy815
            | Self::Legacy818
            | Self::Legacy820 => false,
        }
    }
}

/// The codes to offer for this order now: none once it is final or a request of the merchant is already open.
pub fn offered(lifecycle: &Lifecycle) -> Vec<CancellationCode> {
    if lifecycle.status.is_final() || lifecycle.merchant_request.is_some() {
        return Vec::new();
    }
    let route = lifecycle.kind.route();
    CancellationCode::ALL.iter().copied().filter(|code| code.fits(route, lifecycle.status)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_have_words() {
        for &code in CancellationCode::ALL {
            assert_eq!(CancellationCode::parse(code.code()), Some(code));
            assert_eq!(CancellationCode::from_number(code.number()), Some(code));
            assert_eq!(code.number().to_string(), code.code());
            assert!(!code.description().is_empty());
        }
        assert_eq!(CancellationCode::parse(" 503 "), Some(CancellationCode::ItemUnavailable));
        assert_eq!(CancellationCode::parse("510"), None);
        assert_eq!(CancellationCode::ALL.iter().filter(|code| !code.is_legacy()).count(), 12);
    }
}
