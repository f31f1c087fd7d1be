//! One flag for each setting, made from the catalogue, so that a new setting has its flag by itself.
//!
//! Secrets have none: a command line is visible to every process of the machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::settings::catalogue::SETTINGS;

/// The settings that were given as flags, by key, and the configuration file.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// By key, e.g. `http_addr`.
    pub values: BTreeMap<String, String>,
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("PATH").value_parser(value_parser!(PathBuf));
        let config = config.env("COMANDA_CONFIG").help("Configuration file (TOML)").help_heading("Settings");
        SETTINGS.iter().filter(|setting| !setting.secret).fold(command.arg(config), |command, setting| {
            let flag = Arg::new(setting.key).long(flag_name(setting.key)).value_name("VALUE");
            let default = setting.default.filter(|text| !text.is_empty()).map(|text| format!(" [default: {text}]"));
            let help = format!("{}{} [env: {}]", setting.help, default.unwrap_or_default(), setting.environment);
            command.arg(flag.help(help).help_heading("Settings").hide_short_help(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
            if let Some(text) = matches.get_one::<String>(setting.key) {
                self.values.insert(setting.key.to_owned(), text.clone());
            }
        }
        Ok(())
    }
}

/// `http_addr` as `http-addr`. The names live as long as the program, which is what clap asks for.
fn flag_name(key: &'static str) -> &'static str {
    static NAMES: std::sync::LazyLock<BTreeMap<&'static str, String>> = std::sync::LazyLock::new(|| {
        SETTINGS.iter().map(|setting| (setting.key, setting.key.replace('_', "-"))).collect()
    });
    NAMES.get(key).map_or(key, String::as_str)
}
