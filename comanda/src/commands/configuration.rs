//! Reads the configuration of a command from where a command line finds it: file, environment, flags.
//!
//! The only code that reads the environment.

use std::collections::BTreeMap;

use crate::cli::SettingFlags;
use crate::failure::Failure;
use crate::settings::layers::Sources;
use crate::settings::{Layers, Origin, Problem, Settings};

/// The environment as it is.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Lays all layers over each other.
///
/// # Errors
/// With every problem of the file, the environment and the flags.
pub fn layers(flags: &SettingFlags) -> Result<Layers, Failure> {
    let environment = environment();
    let file = match &flags.config {
        None => None,
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) => {
                let origin = Origin::File(path.display().to_string());
                let message = format!("cannot be read: {error}");
                return Err(Failure::Configuration(vec![Problem { origin, key: "--config".to_owned(), message }]));
            }
        },
    };
    Layers::read(&Sources {
        file: file.as_ref().map(|(path, text)| (path.as_str(), text.as_str())),
        environment: &environment,
        flags: &flags.values,
        read_file: &|path| std::fs::read_to_string(path),
    })
    .map_err(Failure::Configuration)
}

/// All settings, checked.
///
/// # Errors
/// With every problem found.
pub fn settings(flags: &SettingFlags) -> Result<Settings, Failure> {
    Settings::from_layers(&layers(flags)?).map_err(Failure::Configuration)
}
