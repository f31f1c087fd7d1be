//! How this process takes part in the grid, or reaches it.

pub mod link;
