//! Schemas of replays and of the history of presence.

use utoipa::openapi::Type;

use super::shapes::{Named, array, object, one_of, text, typed};

pub(super) fn schemas() -> Vec<Named> {
    let flag = || typed(Type::Boolean);
    vec![
        (
            "ReplayedEvents",
            object(&[("events", array("Event")), ("cursor", text()), ("hasMore", flag()), ("restarted", flag())]),
        ),
        ("PresenceHistory", object(&[("transitions", array("PresenceTransition")), ("nextTo?", text())])),
        (
            "PresenceTransition",
            object(&[
                ("status", one_of(&["ONLINE", "OFFLINE"])),
                ("reason", text()),
                ("changedAt", text()),
                ("lastHeartbeatAt?", text()),
                ("silentForSeconds?", typed(Type::Integer)),
                ("sequence", typed(Type::Integer)),
            ]),
        ),
    ]
}
