//! Which module an operation belongs to: an application without it is refused before anything else of the request is looked at.
//!
//! Pure; `routes` asks for each path as it is mounted, `openapi` says it in the documents. In the Merchant API the first segment of the
//! path is the module's name (PARTNER_API, section 1); Open Delivery is one module; what is ours alone belongs to the module whose thing
//! it serves. What takes no token belongs to none.

use super::{Document, Row};
use crate::modules::Module;

/// Polling and acknowledgment where they were before they had a prefix of their own: `events`, as the published table says.
const EVENTS_OF_BEFORE: &str = "/order/v1.0/events";

impl Row {
    /// The module that an application needs for this at `path`, which is one of its own; `None` where no token is taken.
    pub(crate) fn module(&self, path: &str) -> Option<Module> {
        if !self.takes_token {
            return None;
        }
        match self.document {
            Document::Merchant => by_prefix(path),
            Document::OpenDelivery => Some(Module::OpenDelivery),
            Document::Comanda => by_tag(self.tag),
        }
    }
}

fn by_prefix(path: &str) -> Option<Module> {
    if path.starts_with(EVENTS_OF_BEFORE) {
        return Some(Module::Events);
    }
    Module::parse(path.strip_prefix('/')?.split('/').next()?)
}

/// Of what is ours alone.
fn by_tag(tag: &str) -> Option<Module> {
    match tag {
        // The same events in other ways, and how many there are. A webhook is set here whatever its dialect; what is sent to it
        // takes the dialect's own module (`webhooks::Dialect::module`).
        "events" | "webhook" => Some(Module::Events),
        "merchant" => Some(Module::Merchant),
        "simulator" => Some(Module::Order),
        // The document that Open Delivery's onboarding has read.
        "menu" => Some(Module::OpenDelivery),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    #[test]
    fn every_path_that_takes_a_token_belongs_to_a_module_and_no_other_does() {
        for row in all() {
            for path in row.paths {
                assert_eq!(row.module(path).is_some(), row.takes_token, "{} at {path}", row.id);
            }
        }
    }

    #[test]
    fn the_merchant_apis_operations_belong_where_their_paths_say() {
        let of = |id: &str, path: &str| {
            let row = all().find(|row| row.id == id && row.paths.contains(&path));
            row.unwrap_or_else(|| panic!("{id} at {path}")).module(path)
        };
        for (id, path, module) in [
            ("poll", "/events/v1.0/events:polling", Module::Events),
            ("poll", "/order/v1.0/events:polling", Module::Events),
            ("acknowledge", "/order/v1.0/events/acknowledgment", Module::Events),
            ("get_order", "/order/v1.0/orders/{id}", Module::Order),
            ("logistics_order", "/logistics/v1.0/orders/{id}", Module::Logistics),
            ("cancel_request_driver", "/shipping/v1.0/orders/{id}/cancelRequestDriver", Module::Shipping),
            ("cancel_request_driver", "/order/v1.0/orders/{id}/cancelRequestDriver", Module::Order),
            ("list_merchants", "/merchant/v1.0/merchants", Module::Merchant),
            ("get_batch", "/catalog/v2.0/merchants/{id}/batch/{batchId}", Module::Catalog),
        ] {
            assert_eq!(of(id, path), Some(module), "{id} at {path}");
        }
    }

    #[test]
    fn what_is_ours_alone_belongs_to_the_module_whose_thing_it_serves() {
        let of = |id: &str| {
            let row = all().find(|row| row.id == id).unwrap_or_else(|| panic!("{id}"));
            row.module(row.paths[0])
        };
        for id in ["event_stream", "unacknowledged_events", "replay_events", "webhook", "redeliver_webhooks"] {
            assert_eq!(of(id), Some(Module::Events), "{id}");
        }
        assert_eq!(of("presence_history"), Some(Module::Merchant));
        assert_eq!((of("simulate_order"), of("simulate_step")), (Some(Module::Order), Some(Module::Order)));
        assert_eq!((of("pos_menu"), of("od_poll")), (Some(Module::OpenDelivery), Some(Module::OpenDelivery)));
        assert_eq!((of("token"), of("od_token"), of("od_versions"), of("catalog_image")), (None, None, None, None));
    }
}
