//! A transport whose errors have one concrete type.
//!
//! `proto::transport::Transport` fails with a boxed `dyn Error`; a future that calls a generated client over it is not
//! accepted as `Send` by the compiler ("implementation of `From` is not general enough", rust-lang/rust#64552). Over
//! this one it is. Used by every client of the feed and of presence.

use proto::transport::Transport;
use tonic::body::Body;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// What went wrong below gRPC.
#[derive(Debug, thiserror::Error)]
#[error("the peer could not be reached")]
pub(crate) struct ChannelError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// A way to reach one service; cheap to clone.
pub(crate) type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, ChannelError>;

/// The same peer, with errors of one type.
pub(crate) fn channel(transport: Transport) -> Channel {
    BoxCloneSyncService::new(transport.map_err(|error| ChannelError(error.into())))
}
