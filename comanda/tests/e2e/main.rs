//! End to end: the real binary, the real AWS SDK, HTTP from outside. And the shape of the repository itself.

//mod canaries;
mod command_line;
//mod degraded_modes;
mod deployment;
mod first_order;
mod history;
mod kill;
mod platform;
mod proxy;
mod steady_stream;
mod suggestions;
mod tidy;
