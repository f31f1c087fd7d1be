//! Settings: defaults, then `comanda.toml`, then the environment, then flags; every problem reported at once.
//!
//! Called by every command that starts or checks something. The services take plain `Config` values and know none of this.

pub mod catalogue;
pub mod courier;
pub mod grid;
pub mod layers;
pub mod typed;

pub use layers::{Layers, Origin, Problem};
pub use typed::Settings;
