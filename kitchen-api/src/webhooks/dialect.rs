//! The forms in which events are pushed, and what each asks of a webhook.
//!
//! Pure. Used by [`super::subscription`], which refuses what a form does not know, and wherever a request is made or judged.

use std::borrow::Cow;

use event_feed::Dialect as Words;
use order_model::EventCode;

use crate::modules::Module;
use crate::open_delivery::OpenDeliveryVersion;

/// What Open Delivery adds to the base URL of a POS (PARTNER_API, 4).
pub const NEW_EVENT_PATH: &str = "/v1/newEvent";

/// How requests look and are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The event as polls show it, under `X-IFood-Signature`.
    IFood,
    /// Standard Webhooks.
    Standard,
    /// Open Delivery's `newEvent`.
    OpenDelivery,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::IFood, Self::Standard, Self::OpenDelivery];

    /// Its name to partners and operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IFood => "IFOOD",
            Self::Standard => "STANDARD",
            Self::OpenDelivery => "OPEN_DELIVERY",
        }
    }

    /// Reads a name, in any case, also with a dash.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.replace('-', "_");
        Self::ALL.into_iter().find(|dialect| dialect.name().eq_ignore_ascii_case(&text))
    }

    /// Whether events of `code` are sent: those that a poll in the same words shows an application that knows this Open Delivery.
    pub fn has(self, code: EventCode, version: OpenDeliveryVersion) -> bool {
        match self {
            Self::IFood | Self::Standard => Words::Merchant.has(code),
            Self::OpenDelivery => version.has(code),
        }
    }

    /// The module that an application needs to be sent anything: that of the polls that show the same.
    pub const fn module(self) -> Module {
        match self {
            Self::IFood | Self::Standard => Module::Events,
            Self::OpenDelivery => Module::OpenDelivery,
        }
    }

    /// Where requests go when a webhook is set to `url`.
    pub fn target(self, url: &str) -> Cow<'_, str> {
        match self {
            Self::IFood | Self::Standard => Cow::Borrowed(url),
            Self::OpenDelivery => Cow::Owned(format!("{}{NEW_EVENT_PATH}", url.trim_end_matches('/'))),
        }
    }

    /// Whether the receiver's answer is the acknowledgment, whatever the webhook asks for.
    pub const fn answers_acknowledge(self) -> bool {
        match self {
            Self::IFood | Self::Standard => false,
            Self::OpenDelivery => true,
        }
    }

    /// Whether there is a request that asks a receiver who is online.
    pub const fn has_keepalives(self) -> bool {
        match self {
            Self::IFood | Self::Standard => true,
            Self::OpenDelivery => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert!(Dialect::ALL.iter().all(|dialect| Dialect::parse(&dialect.name().to_lowercase()) == Some(*dialect)));
        assert_eq!((Dialect::parse("open-delivery"), Dialect::parse("")), (Some(Dialect::OpenDelivery), None));
    }

    #[test]
    fn each_sends_what_its_polls_show() {
        let sends_to = |version, code| Dialect::ALL.map(|dialect| dialect.has(code, version));
        let sends = |code| sends_to(OpenDeliveryVersion::V1_7, code);
        assert_eq!(sends(EventCode::Placed), [true, true, true]);
        assert_eq!(sends(EventCode::Delivered), [false, false, true], "an event of Open Delivery alone");
        assert_eq!(sends(EventCode::AssignDriver), [true, true, false], "it has no word for it");
        assert_eq!(sends(EventCode::PreparationStarted), [true, true, true]);
        let older = sends_to(OpenDeliveryVersion::V1_3, EventCode::PreparationStarted);
        assert_eq!(older, [true, true, false], "it came later");
    }

    #[test]
    fn each_takes_the_module_of_the_polls_that_show_the_same() {
        assert_eq!(Dialect::ALL.map(Dialect::module), [Module::Events, Module::Events, Module::OpenDelivery]);
    }

    #[test]
    fn open_deliverys_requests_go_below_the_base_url() {
        for url in ["https://pos.example.com/od", "https://pos.example.com/od/"] {
            assert_eq!(Dialect::OpenDelivery.target(url), "https://pos.example.com/od/v1/newEvent");
            assert_eq!(Dialect::IFood.target(url), url);
        }
    }
}
