//! End to end: the real binary, the real AWS SDK, HTTP from outside. And the shape of the repository itself.

mod canaries;
mod command_line;
mod first_order;
mod history;
mod kill;
mod platform;
mod steady_stream;
mod tidy;
