//! Schemas of events beyond polling.

use utoipa::openapi::Type;

use super::shapes::{Named, array, object, text, typed};

pub(super) fn schemas() -> Vec<Named> {
    let count = || typed(Type::Integer);
    vec![
        (
            "Unacknowledged",
            object(&[
                ("merchantId", text()),
                ("pending", count()),
                ("isAtLeast", typed(Type::Boolean)),
                ("headroom", count()),
                ("oldestAt?", text()),
                ("oldestAgeSeconds?", count()),
            ]),
        ),
        (
            "UnacknowledgedPage",
            object(&[("page", count()), ("size", count()), ("total", count()), ("merchants", array("Unacknowledged"))]),
        ),
    ]
}
