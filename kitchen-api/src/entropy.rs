//! The seam through which randomness enters: token ids, salts, secrets, trace ids.
//!
//! The binary passes the system's generator, tests and the simulation a counted one.

use std::sync::Arc;

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// A source of random bytes, as it is handed around. Fit for secrets when the binary passes the system's.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

impl Entropy {
    /// Random bytes come from `fill`, which overwrites the whole slice.
    pub fn new(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// The operating system's generator.
    pub fn system() -> Self {
        Self::new(|bytes| {
            use rand::RngCore;
            rand::rng().fill_bytes(bytes);
        })
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.0)(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}
