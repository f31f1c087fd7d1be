//! Schemas of replays.

use utoipa::openapi::Type;

use super::shapes::{Named, array, object, text, typed};

pub(super) fn schemas() -> Vec<Named> {
    let flag = || typed(Type::Boolean);
    vec![
        (
            "ReplayedEvents",
            object(&[("events", array("Event")), ("cursor", text()), ("hasMore", flag()), ("restarted", flag())]),
        ),
    ]
}
