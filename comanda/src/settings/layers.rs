//! Reads each layer as text and lays one over the other, remembering where each value came from.
//!
//! Called by the command line. Pure: the file's text, the environment and the flags are arguments, and reading a secret
//! from a file goes through a function that is passed in.

use std::collections::BTreeMap;
use std::fmt;

use super::catalogue::{self, SETTINGS, Setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// A key of the configuration file.
    File(String),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Something wrong with the settings: where, which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands.
    pub origin: Origin,
    /// The setting's key, or what stood in its place.
    pub key: String,
    /// What was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.origin, self.message)
    }
}

/// One value as text.
#[derive(Debug, Clone)]
pub struct Value {
    /// The text as written.
    pub text: String,
    /// Where it was written.
    pub origin: Origin,
}

/// All values after laying the layers over each other.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, Value>,
}

/// What the layers are read from.
pub struct Sources<'a> {
    /// Path and text of the configuration file, when there is one.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Flags by key, e.g. `http_addr`.
    pub flags: &'a BTreeMap<String, String>,
    /// Reads a file that a `*_FILE` variable names.
    pub read_file: &'a dyn Fn(&str) -> Result<String, std::io::Error>,
}

impl Layers {
    /// Reads every layer.
    ///
    /// # Errors
    /// With every problem found: unreadable file, unknown keys (with the nearest known one), unreadable secrets.
    pub fn read(sources: &Sources<'_>) -> Result<Self, Vec<Problem>> {
        let mut layers = Self::default();
        let mut problems = Vec::new();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                layers.set(setting, default.to_owned(), Origin::Default);
            }
        }
        if let Some((path, text)) = sources.file {
            layers.read_file_layer(path, text, &mut problems);
        }
        layers.read_environment(sources, &mut problems);
        for (key, text) in sources.flags {
            match catalogue::find(key) {
                Some(setting) => {
                    layers.set(setting, text.clone(), Origin::Flag(format!("--{}", key.replace('_', "-"))))
                }
                None => problems.push(unknown(key, Origin::Flag(format!("--{}", key.replace('_', "-"))))),
            }
        }
        if problems.is_empty() { Ok(layers) } else { Err(problems) }
    }

    fn set(&mut self, setting: &'static Setting, text: String, origin: Origin) {
        self.values.insert(setting.key, Value { text, origin });
    }

    fn read_file_layer(&mut self, path: &str, text: &str, problems: &mut Vec<Problem>) {
        let origin = || Origin::File(path.to_owned());
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let message = format!("is not TOML: {}", error.message());
                problems.push(Problem { origin: origin(), key: path.to_owned(), message });
                return;
            }
        };
        for (key, value) in table {
            let Some(setting) = catalogue::find(&key) else {
                problems.push(unknown(&key, origin()));
                continue;
            };
            match value {
                toml::Value::String(text) => self.set(setting, text, origin()),
                toml::Value::Integer(number) => self.set(setting, number.to_string(), origin()),
                toml::Value::Boolean(flag) => self.set(setting, flag.to_string(), origin()),
                toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                    problems.push(Problem {
                        origin: origin(),
                        key,
                        message: "expected a string or an integer".to_owned(),
                    });
                }
            }
        }
    }

    fn read_environment(&mut self, sources: &Sources<'_>, problems: &mut Vec<Problem>) {
        for setting in SETTINGS {
            let file_variable = format!("{}_FILE", setting.environment);
            if let Some(path) = sources.environment.get(&file_variable).filter(|_| setting.secret) {
                let origin = Origin::Environment(file_variable);
                match (sources.read_file)(path) {
                    Ok(text) => self.set(setting, text.trim_end().to_owned(), origin),
                    Err(error) => problems.push(Problem {
                        origin,
                        key: setting.key.to_owned(),
                        message: format!("cannot read the file it names: {error}"),
                    }),
                }
            }
            if let Some(text) = sources.environment.get(setting.environment) {
                self.set(setting, text.clone(), Origin::Environment(setting.environment.to_owned()));
            }
        }
        for name in sources.environment.keys().filter(|name| name.starts_with("COMANDA_")) {
            if !is_known_variable(name) {
                let key = name.trim_start_matches("COMANDA_").to_ascii_lowercase();
                problems.push(unknown(&key, Origin::Environment(name.clone())));
            }
        }
    }

    /// The value of a setting; `None` when it is unset or empty.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.text.is_empty())
    }

    /// Every setting with its value and origin, secrets hidden, one line each.
    pub fn printed(&self) -> Vec<String> {
        let line = |setting: &Setting| match self.get(setting.key) {
            Some(value) if setting.secret => format!("{} = (secret)  # {}", setting.key, value.origin),
            Some(value) => format!("{} = {:?}  # {}", setting.key, value.text, value.origin),
            None => format!("# {} is unset", setting.key),
        };
        SETTINGS.iter().map(line).collect()
    }
}

/// Variables of ours that are not settings: the file itself, where a child was started from, and secrets of single commands.
const OTHER_VARIABLES: &[&str] =
    &["COMANDA_CONFIG", "COMANDA_TEST_AWS_ENDPOINT", "COMANDA_CLIENT_SECRET", "COMANDA_WEBHOOK_SECRET"];

fn is_known_variable(name: &str) -> bool {
    let of_setting = |setting: &Setting| {
        setting.environment == name
            || (setting.secret && name.strip_suffix("_FILE").is_some_and(|stem| stem == setting.environment))
    };
    OTHER_VARIABLES.contains(&name) || SETTINGS.iter().any(of_setting)
}

fn unknown(key: &str, origin: Origin) -> Problem {
    let nearest = catalogue::nearest(key);
    Problem { origin, key: key.to_owned(), message: format!("is not a setting; did you mean {nearest}?") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Layers, Vec<Problem>> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        Layers::read(&Sources {
            file: Some(("comanda.toml", file)),
            environment: &owned(environment),
            flags: &owned(flags),
            read_file: &|path| {
                if path == "key" { Ok("00ff\n".to_owned()) } else { Err(std::io::ErrorKind::NotFound.into()) }
            },
        })
    }

    #[test]
    fn a_later_layer_wins_and_says_where_it_came_from() {
        let layers =
            read("http_addr = \"a:1\"\ndev_merchants = 7", &[("COMANDA_HTTP_ADDR", "b:2")], &[("ops_addr", "c:3")]);
        let layers = layers.unwrap();
        let text = |key: &str| layers.get(key).map(|value| format!("{} from {}", value.text, value.origin));
        assert_eq!(text("http_addr").unwrap(), "b:2 from environment COMANDA_HTTP_ADDR");
        assert_eq!(text("dev_merchants").unwrap(), "7 from file comanda.toml");
        assert_eq!(text("ops_addr").unwrap(), "c:3 from flag --ops-addr");
        assert_eq!(text("sweep_interval").unwrap(), "5s from default");
        assert_eq!(text("data_dir"), None);
    }

    #[test]
    fn every_unknown_key_is_reported_at_once_with_the_nearest_known_one() {
        let problems = read("htp_addr = \"a:1\"\nlog = 1.5", &[("COMANDA_OFFLINE_AFTR", "1s")], &[]).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "htp_addr (file comanda.toml): is not a setting; did you mean http_addr?",
                "log (file comanda.toml): expected a string or an integer",
                "offline_aftr (environment COMANDA_OFFLINE_AFTR): is not a setting; did you mean offline_after?",
            ]
        );
    }

    #[test]
    fn the_secrets_of_single_commands_are_no_unknown_settings() {
        for name in ["COMANDA_CLIENT_SECRET", "COMANDA_WEBHOOK_SECRET"] {
            let layers = read("", &[(name, "hidden")], &[]).unwrap();
            assert!(layers.printed().iter().all(|line| !line.contains("hidden")), "{name}");
        }
    }

    #[test]
    fn secrets_come_from_files_and_are_never_printed() {
        let layers = read("", &[("COMANDA_EVENT_ID_KEY_FILE", "key")], &[]).unwrap();
        assert_eq!(layers.get("event_id_key").unwrap().text, "00ff");
        assert!(layers.printed().iter().all(|line| !line.contains("00ff")));
        assert!(
            layers.printed().contains(&"event_id_key = (secret)  # environment COMANDA_EVENT_ID_KEY_FILE".to_owned())
        );
        assert_eq!(read("", &[("COMANDA_EVENT_ID_KEY_FILE", "gone")], &[]).unwrap_err().len(), 1);
    }
}
