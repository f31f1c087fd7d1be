//! Black-box tests of the lifecycle, in one binary: against a reference model written from the documents, by random
//! histories, by brute force over every reachable state, and of the generated documentation.
//!
//! `cfg(test)` tells clippy that these modules are tests throughout.

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod reachability;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod scenarios;
