//! A node's TLS over the life of its process: files are looked at every few seconds, new ones are used for new
//! connections, bad ones are reported and the last good ones stay.

use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::gauge;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::files::{Contents, Loaded, TlsConfig, TlsError, load};
use super::handshake::{ClientTls, ServerTls};
use crate::transport::limits::RELOAD_INTERVAL;
use crate::transport::session::chain;

/// The certificates of this node. Cheap to clone; clones share what was read last.
#[derive(Clone)]
pub struct NodeTls {
    config: Arc<TlsConfig>,
    loaded: Arc<ArcSwap<Loaded>>,
    /// The failure last logged.
    failure: Arc<Mutex<Option<String>>>,
}

/// What a look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// Nothing new.
    Unchanged,
    /// New files, used from now on.
    Changed,
}

impl NodeTls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be used; the text names the file and what was expected in it.
    pub async fn load(config: TlsConfig) -> Result<Self, TlsError> {
        let loaded = load(&config, &Contents::read(&config.files).await?)?;
        warn_of_expiry(&loaded);
        let loaded = Arc::new(ArcSwap::from_pointee(loaded));
        Ok(Self { config: Arc::new(config), loaded, failure: Arc::default() })
    }

    /// For connections of others to us.
    pub fn server(&self) -> ServerTls {
        ServerTls { loaded: Arc::clone(&self.loaded) }
    }

    /// For our connections to others.
    pub fn client(&self) -> ClientTls {
        ClientTls { loaded: Arc::clone(&self.loaded) }
    }

    /// Looks at the files once.
    ///
    /// # Errors
    /// When they cannot be used; what was read before stays in use.
    pub async fn reload(&self) -> Result<Reloaded, TlsError> {
        let contents = Contents::read(&self.config.files).await?;
        if contents.fingerprint() == self.loaded.load().fingerprint {
            return Ok(Reloaded::Unchanged);
        }
        let loaded = load(&self.config, &contents)?;
        warn_of_expiry(&loaded);
        self.loaded.store(Arc::new(loaded));
        Ok(Reloaded::Changed)
    }

    /// Follows the files until `shutdown`. While they are bad, the gauge `comanda_grid_certificates_bad` is 1.
    pub async fn follow(&self, shutdown: CancellationToken) {
        let mut looks = tokio::time::interval(RELOAD_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            let outcome = self.reload().await;
            self.report(outcome);
        }
    }

    /// Logs each failure once, and the end of it.
    fn report(&self, outcome: Result<Reloaded, TlsError>) {
        let mut failure = self.failure.lock();
        gauge!("comanda_grid_certificates_bad").set(if outcome.is_err() { 1.0 } else { 0.0 });
        match outcome {
            Ok(reloaded) => {
                let ended = failure.take().is_some();
                if reloaded == Reloaded::Changed || ended {
                    tracing::info!(identity = %self.config.identity, "certificates are good and in use");
                }
            }
            Err(error) => {
                let text = chain(&error);
                if failure.as_ref() != Some(&text) {
                    tracing::error!(error = %text, "new certificates are bad; the old ones stay in use");
                    *failure = Some(text);
                }
            }
        }
    }
}

fn warn_of_expiry(loaded: &Loaded) {
    gauge!("comanda_grid_certificate_expires_soon").set(if loaded.expires_soon { 1.0 } else { 0.0 });
    if loaded.expires_soon {
        tracing::warn!("the certificate of this process expires within 30 days");
    }
}
