//! Scripted peers: order-events in this process, and connection-polling, gateway-core and merchant-connection behind
//! their real gRPC services. One file for each; what each of them holds is put there by tests.

mod connection_polling;
mod events;
mod gateway_core;
mod history;
mod merchant_connection;
mod order_events;
mod replays;
mod submissions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proto::connection_polling::connection_polling_server::ConnectionPollingServer;
use proto::gateway_core::gateway_core_server::GatewayCoreServer;
use proto::merchant_connection::merchant_connection_server::MerchantConnectionServer;
use proto::transport::{Transport, local};

use crate::peers::connection_polling::Fallback;
pub use crate::peers::events::{event, event_at, event_id_key};
use crate::peers::gateway_core::Core;
use crate::peers::merchant_connection::Merchants;
use crate::peers::order_events::Feed;

/// The scripted peers in one place.
#[derive(Default, Clone)]
pub struct Peers {
    pub feed: Arc<Feed>,
    pub fallback: Arc<Fallback>,
    pub core: Arc<Core>,
    pub merchants: Arc<Merchants>,
}

/// What a gRPC service is implemented on; tests hold the same.
struct Served<T>(Arc<T>);

impl Peers {
    pub fn fallback_transport(&self) -> Transport {
        local(ConnectionPollingServer::new(Served(self.fallback.clone())))
    }

    pub fn core_transport(&self) -> Transport {
        local(GatewayCoreServer::new(Served(self.core.clone())))
    }

    pub fn merchants_transport(&self) -> Transport {
        local(MerchantConnectionServer::new(Served(self.merchants.clone())))
    }
}

/// Takes one of what is left; whether there was one.
fn count_down(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
