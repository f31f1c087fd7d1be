//! A TCP proxy that cuts links the ways links are cut: at once, or silently in one direction or both.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the network is. A connection that lost bytes stays lost, as one would behind a firewall that forgot it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// What the caller sends gets lost.
    pub loses_requests: bool,
    /// What the called side sends gets lost.
    pub loses_answers: bool,
    /// Connections are closed, new ones as well.
    pub closed: bool,
}

pub struct Proxy {
    pub address: String,
    network: Arc<watch::Sender<Network>>,
}

impl Proxy {
    /// In front of `to`.
    pub async fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
        let network = Arc::new(watch::Sender::new(Network::default()));
        let watched = Arc::downgrade(&network);
        tokio::spawn(async move {
            while let (Ok((caller, _)), Some(network)) = (listener.accept().await, watched.upgrade()) {
                tokio::spawn(carry(caller, to.clone(), network.subscribe()));
            }
        });
        Self { address, network }
    }

    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    pub fn heal(&self) {
        self.set(Network::default());
    }
}

async fn carry(caller: TcpStream, to: String, mut network: watch::Receiver<Network>) {
    let Ok(called) = TcpStream::connect(to).await else { return };
    let (from_caller, to_caller) = caller.into_split();
    let (from_called, to_called) = called.into_split();
    let requests = pump(from_caller, to_called, network.clone(), |network| network.loses_requests);
    let answers = pump(from_called, to_caller, network.clone(), |network| network.loses_answers);
    tokio::select! {
        _ = network.wait_for(|network| network.closed) => {}
        () = requests => {}
        () = answers => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: watch::Receiver<Network>,
    loses: impl Fn(&Network) -> bool,
) {
    let (mut buffer, mut lost) = (vec![0; 64 * 1024], false);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        lost |= loses(&network.borrow());
        if !lost && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The end of a connection gets lost like its bytes.
    if lost {
        std::future::pending().await
    }
}
