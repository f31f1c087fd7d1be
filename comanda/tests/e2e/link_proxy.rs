//! A TCP proxy in front of a node of the grid, which loses what is sent one way, the other way, or both ways.
//!
//! What is sent while a direction is cut waits, as it does in TCP while packets are lost, and arrives once the link is
//! healed. Every connection through it is of a caller to this node: cutting requests makes the node hear nobody while it
//! is heard by everybody it calls itself.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// What callers send to the node.
    pub requests: bool,
    /// What the node answers.
    pub answers: bool,
}

/// A running proxy; ends with the test.
pub struct LinkProxy {
    /// Where callers find it.
    pub address: String,
    cut: watch::Sender<Cut>,
    accepting: JoinHandle<()>,
}

impl LinkProxy {
    /// In front of `node`, e.g. `127.0.0.1:7075`, which need not run.
    pub async fn start(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, node) = (listener.local_addr().unwrap().to_string(), Arc::<str>::from(node));
        let cut = watch::Sender::new(Cut::default());
        let watched = cut.subscribe();
        let accepting = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(carry(caller, Arc::clone(&node), watched.clone()));
            }
        });
        Self { address, cut, accepting }
    }

    /// Changes what gets lost, from this moment on.
    pub fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

impl Drop for LinkProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(caller: TcpStream, node: Arc<str>, cut: watch::Receiver<Cut>) {
    let Ok(called) = TcpStream::connect(&*node).await else { return };
    // Without it the proxy itself would add delays of 40 ms.
    let _ = (caller.set_nodelay(true), called.set_nodelay(true));
    let (from_caller, to_caller) = caller.into_split();
    let (from_called, to_called) = called.into_split();
    tokio::select! {
        () = pump(from_caller, to_called, cut.clone(), |cut| cut.requests) => {}
        () = pump(from_called, to_caller, cut.clone(), |cut| cut.answers) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cut: watch::Receiver<Cut>,
    is_cut: impl Fn(&Cut) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // The end of a connection is as lost as its bytes.
        if cut.wait_for(|cut| !is_cut(cut)).await.is_err() {
            return;
        }
        match read {
            Ok(count @ 1..) if to.write_all(&buffer[..count]).await.is_ok() => {}
            _ => return,
        }
    }
}
