//! Every limit of the transport and its reason, in one place. Both sides use the same values.

use std::time::Duration;

/// Frames of one message: enough to share the cost of a message among a burst, few enough to decode at once.
pub const FRAMES_PER_MESSAGE_MAX: usize = 256;
/// A message is closed at this size, so that a burst of large frames does not wait for its last one.
pub const MESSAGE_BYTES_TARGET: usize = 1024 * 1024;
/// The largest request or answer: an append of 256 full batches of 64 events is 6.8 MB. Snapshots come in chunks.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a message can be at most: the target, passed by one payload, and the frames around the payloads.
pub const MESSAGE_BYTES_MAX: usize = MESSAGE_BYTES_TARGET + PAYLOAD_BYTES_MAX + 256 * 1024;
/// What calls of one lane to one node may hold in memory, requests that wait for answers included.
pub const BYTES_IN_FLIGHT_MAX: usize = 64 * 1024 * 1024;
/// How many of them there may be: a raft group has a few under way, so that is far beyond what a healthy link needs.
pub const CALLS_IN_FLIGHT_MAX: usize = 1024;
/// A refusal's text on the wire: a sentence, not a dump.
pub const REFUSAL_BYTES_MAX: usize = 1024;
/// HTTP/2 flow control of a stream and of its connection, which carries nothing else: a payload's worth, because a
/// smaller window would cost a round trip inside one append.
pub const WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// HTTP/2 frames: larger than the default 16 KiB, because chunks of snapshots are.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 256 * 1024;

/// A TCP connection between two machines of one site is made in a millisecond; a cut one never.
pub const DIAL_TIMEOUT: Duration = Duration::from_millis(300);
/// TLS, HTTP/2 and the opening of the stream: a few ms of CPU, more when both machines are busy. With the
/// longest backoff it stays below the second within which a healed link has to work.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(600);
/// How often the caller of a link asks whether the other side is there when nothing else arrives.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(300);
/// How long it waits for that answer: longer than a pause that should not cost a connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(600);
/// The called side pings less often: it only frees memory when a caller is gone.
pub const SERVER_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// How long the called side waits for the answer to a ping.
pub const SERVER_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A link without calls is given up after one to two of these: snapshots are rare, and a removed node is called no more.
pub const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// The first pause after a failure.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// The longest: after a handshake that timed out it leaves a healed link its second.
pub const BACKOFF_LONGEST: Duration = Duration::from_millis(250);

/// Handshakes under way at once: a cluster reconnecting after a restart, not a flood.
pub const HANDSHAKES_MAX: usize = 64;
/// Connections at once of all peers: three lanes and some services for each of about a hundred nodes.
pub const CONNECTIONS_MAX: usize = 1024;
/// HTTP/2 streams of a connection: one between nodes, many of a service that calls another one.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1024;
/// Streams admitted and not yet attended to: that takes microseconds.
pub const OPENINGS_WAITING_MAX: usize = 64;
/// How long answers under way may take once the server was told to stop.
pub const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often certificate files are looked at.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// A certificate file is a few KiB; anything larger is the wrong file.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A node certificate that expires sooner than this is warned about: it takes people days to notice.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a call holds of [`BYTES_IN_FLIGHT_MAX`]: at least its share of the number of calls, so that one figure bounds
/// both.
pub(super) fn cost(payload_bytes: usize) -> usize {
    payload_bytes.max(BYTES_IN_FLIGHT_MAX / CALLS_IN_FLIGHT_MAX)
}
