//! How a command fails: one clear message on stderr and the exit code that goes with it.
//!
//! 1 failed, 2 usage, 64 configuration (CONTRACT). Every command answers one of these; `main` reports it.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::settings::Problem;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Settings are missing or wrong: exit code 64.
    Configuration(Vec<Problem>),
    /// An argument makes no sense: exit code 2.
    Usage(String),
    /// It was tried and failed: exit code 1.
    Failed(String),
}

impl Failure {
    /// A failure of `step`, with the whole chain of causes behind it.
    pub fn of(step: &str, error: &(dyn Error + 'static)) -> Self {
        Self::Failed(format!("{step}: {}", chain(error)))
    }

    /// Prints it and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Configuration(problems) => {
                eprintln!("comanda: {} in the configuration:", count(problems.len()));
                for problem in problems {
                    eprintln!("  {problem}");
                }
                ExitCode::from(64)
            }
            Self::Usage(message) => {
                eprintln!("comanda: {message}");
                ExitCode::from(2)
            }
            Self::Failed(message) => {
                eprintln!("comanda: {message}");
                ExitCode::from(1)
            }
        }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// An error and its causes in one line, each said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    text
}

/// Turns an error of `step` into a [`Failure`].
pub trait Context<T> {
    /// Names the step that failed.
    ///
    /// # Errors
    /// Whatever failed, with the step's name before it.
    fn context(self, step: &str) -> Result<T, Failure>;
}

impl<T, E: Error + 'static> Context<T> for Result<T, E> {
    fn context(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(step, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_says_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot bind 127.0.0.1:1")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("address in use"));
        assert_eq!(chain(&error), "cannot bind 127.0.0.1:1: address in use");
    }
}
