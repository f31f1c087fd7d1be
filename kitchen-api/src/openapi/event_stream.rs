//! Schemas of events beyond polling.

use utoipa::openapi::Type;

use super::shapes::{Named, array, object, reference, text, typed};

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
                ("strikes?", count()),
                ("oldestAt?", text()),
                ("oldestAgeSeconds?", count()),
            ]),
        ),
        (
            "UnacknowledgedPage",
            object(&[
                ("page", count()),
                ("size", count()),
                ("total", count()),
                ("strikes", reference("Strikes")),
                ("merchants", array("Unacknowledged")),
            ]),
        ),
        (
            "Strikes",
            object(&[
                ("pausePolling", typed(Type::Boolean)),
                ("max", count()),
                ("counted?", count()),
                ("headroom?", count()),
                ("pausedForSeconds?", count()),
            ]),
        ),
    ]
}
