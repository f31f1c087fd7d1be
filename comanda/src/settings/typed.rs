//! The settings as values the program can use, checked all together.
//!
//! Called after [`super::layers`]. A value that is out of range is a [`Problem`] like any other; nothing stops at the first.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use order_model::EventIdKey;
use secrecy::SecretString;

use super::grid::GridSettings;
use super::layers::{Layers, Problem};

/// The event id key of `dev`; `run` refuses it.
pub const DEV_EVENT_ID_KEY: &str = "6465762d6576656e742d69642d6b6579";

/// Every setting, read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public HTTP listener.
    pub http_addr: SocketAddr,
    /// Certificate and key files of the public listener.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Operations listener.
    pub ops_addr: SocketAddr,
    /// Proxies whose forwarded addresses count.
    pub trusted_proxies: Vec<kitchen_api::Network>,
    /// Whether requests are limited; where nothing is said, `dev` does not and production does.
    pub limits_requests: Option<bool>,
    /// Whether strikes pause polling.
    pub pauses_on_strikes: bool,
    /// The public listener as clients see it; as it is bound when absent.
    pub public_url: Option<String>,
    /// Where the Open Delivery paths are mounted.
    pub open_delivery_prefix: kitchen_api::OpenDeliveryPrefix,
    /// What the platform's couriers cost; `None`: it offers none.
    pub courier_tariff: Option<kitchen_api::CourierTariff>,
    /// Most public connections.
    pub connections_max: usize,
    /// Most public connections of one address.
    pub connections_per_address_max: Option<usize>,
    /// In-process AWS.
    pub local_aws_addr: SocketAddr,
    /// Where `dev` keeps its DynamoDB.
    pub data_dir: Option<PathBuf>,
    /// How many merchants `dev` seeds.
    pub dev_merchants: u32,
    /// Silence after which a merchant is OFFLINE.
    pub offline_after: Duration,
    /// How often presence is judged.
    pub sweep_interval: Duration,
    /// Segments of an export.
    pub export_segments: NonZeroU8,
    /// Time to confirm.
    pub confirm_deadline: Duration,
    /// When an order is concluded by itself.
    pub conclude_after: Duration,
    /// How long events live.
    pub event_retention: Duration,
    /// How long order details live.
    pub order_retention: Duration,
    /// Time to drain.
    pub drain_timeout: Duration,
    /// Shadow reads, 0 to 1000 in a thousand.
    pub shadow_reads_per_mille: u16,
    /// Whether webhooks may go to this machine.
    pub webhooks_allow_loopback: bool,
    /// Prefix of AWS names.
    pub aws_prefix: String,
    /// Endpoint of AWS.
    pub aws_endpoint: Option<String>,
    /// Internal listeners, by role.
    pub internal: InternalAddresses,
    /// The grid.
    pub grid: GridSettings,
    /// Event ids.
    pub event_id_key: Option<EventIdKey>,
    /// Signs tokens.
    pub token_signing_key: Option<SecretString>,
    /// Verifies older tokens.
    pub token_previous_key: Option<SecretString>,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

/// Where each role with internal RPC listens and is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InternalAddresses {
    /// gateway-core.
    pub gateway_core: SocketAddr,
    /// order-events.
    pub order_events: SocketAddr,
    /// merchant-connection.
    pub merchant_connection: SocketAddr,
    /// connection-polling.
    pub connection_polling: SocketAddr,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Reads every value.
    ///
    /// # Errors
    /// With every value that is missing, malformed or out of range.
    pub fn from_layers(layers: &Layers) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { layers, problems: Vec::new() };
        let settings = Self::read(&mut reader);
        if reader.problems.is_empty() { Ok(settings) } else { Err(reader.problems) }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let tls = match (reader.path("tls_cert_file"), reader.path("tls_key_file")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => reader.refuse("tls_key_file", "is needed because tls_cert_file is set"),
            (None, Some(_)) => reader.refuse("tls_cert_file", "is needed because tls_key_file is set"),
        };
        let grid = GridSettings::read(reader);
        let internal = grid.reach();
        let hour = Duration::from_secs(3600);
        let day = 24 * hour;
        Self {
            http_addr: reader.address("http_addr", Reach::Everybody),
            tls,
            ops_addr: reader.address("ops_addr", Reach::ThisMachine),
            trusted_proxies: reader.networks("trusted_proxies"),
            limits_requests: reader.rate_limits(),
            pauses_on_strikes: reader.strikes(),
            public_url: reader.url("public_url", "expected a URL such as https://api.example.com"),
            open_delivery_prefix: reader.path_prefix("open_delivery_prefix"),
            courier_tariff: super::courier::read(reader),
            connections_max: reader.number("connections_max", 1, 1_000_000).try_into().unwrap_or(usize::MAX),
            connections_per_address_max: reader.optional_number("connections_per_address_max", 1, 1_000_000),
            local_aws_addr: reader.address("local_aws_addr", Reach::ThisMachine),
            data_dir: reader.path("data_dir"),
            dev_merchants: reader.number("dev_merchants", 1, 1_000_000).try_into().unwrap_or(u32::MAX),
            offline_after: reader.duration("offline_after", Duration::from_secs(1), day),
            sweep_interval: reader.duration("sweep_interval", Duration::from_millis(100), hour),
            export_segments: reader.export_segments(),
            confirm_deadline: reader.duration("confirm_deadline", Duration::from_secs(1), day),
            conclude_after: reader.duration("conclude_after", Duration::from_secs(1), 30 * day),
            event_retention: reader.duration("event_retention", Duration::from_secs(1), 7 * day),
            order_retention: reader.duration("order_retention", hour, 365 * day),
            drain_timeout: reader.duration("drain_timeout", Duration::from_millis(100), hour),
            shadow_reads_per_mille: reader.number("shadow_reads_per_mille", 0, 1000).try_into().unwrap_or(u16::MAX),
            webhooks_allow_loopback: reader.flag("webhooks_allow_loopback"),
            aws_prefix: reader.prefix(),
            aws_endpoint: reader.url("aws_endpoint", "expected a URL such as http://127.0.0.1:4566"),
            internal: InternalAddresses {
                gateway_core: reader.address("gateway_core_addr", internal),
                order_events: reader.address("order_events_addr", internal),
                merchant_connection: reader.address("merchant_connection_addr", internal),
                connection_polling: reader.address("connection_polling_addr", internal),
            },
            grid,
            event_id_key: reader.event_id_key(),
            token_signing_key: reader.text("token_signing_key").map(SecretString::from),
            token_previous_key: reader.text("token_previous_key").map(SecretString::from),
            log: reader.text("log").unwrap_or_default(),
            log_format: reader.log_format(),
        }
    }
}

/// Who can connect to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whoever reaches the address, whatever it is.
    Everybody,
    /// Processes of this machine: nobody is asked who they are.
    ThisMachine,
    /// The same, until there are certificates.
    ThisMachineWithoutCertificates,
}

impl Reach {
    /// Why an address other than loopback is refused, if it is.
    fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Everybody => None,
            Self::ThisMachine => {
                Some("must be a loopback address (127.0.0.0/8 or [::1]): it is served without authentication or TLS")
            }
            Self::ThisMachineWithoutCertificates => Some(
                "must be a loopback address (127.0.0.0/8 or [::1]): without certificates it is served without \
                 authentication or TLS; grid_ca_file, grid_cert_file and grid_key_file make it mutual TLS, and any \
                 address is allowed",
            ),
        }
    }
}

/// Reads values one by one and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.layers.get(key).map(|value| value.text.clone())
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    pub(super) fn refuse<T>(&mut self, key: &str, message: &str) -> Option<T> {
        let origin = self.layers.get(key).map_or(super::Origin::Default, |value| value.origin.clone());
        self.problems.push(Problem { origin, key: key.to_owned(), message: message.to_owned() });
        None
    }

    pub(super) fn address(&mut self, key: &str, reach: Reach) -> SocketAddr {
        let unspecified = SocketAddr::from(([127, 0, 0, 1], 0));
        let Ok(address) = self.text(key).unwrap_or_default().parse::<SocketAddr>() else {
            return self
                .refuse(key, "expected an IP address and a port, such as 127.0.0.1:8080")
                .unwrap_or(unspecified);
        };
        match reach.refusal() {
            Some(message) if !address.ip().is_loopback() => self.refuse(key, message).unwrap_or(unspecified),
            _ => address,
        }
    }

    fn networks(&mut self, key: &str) -> Vec<kitchen_api::Network> {
        let text = self.text(key).unwrap_or_default();
        let networks: Option<Vec<_>> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse_network).collect();
        networks.unwrap_or_else(|| {
            let message = "expected addresses or networks separated by commas, such as 10.0.0.0/8, 192.0.2.7";
            self.refuse(key, message).unwrap_or_default()
        })
    }

    pub(super) fn number(&mut self, key: &str, min: u64, max: u64) -> u64 {
        match self.text(key).unwrap_or_default().parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => number,
            Ok(_) | Err(_) => self.refuse(key, &format!("expected a whole number from {min} to {max}")).unwrap_or(min),
        }
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.text(key).unwrap_or_default().as_str() {
            "true" => true,
            "false" => false,
            _ => self.refuse(key, "expected true or false").unwrap_or(false),
        }
    }

    fn export_segments(&mut self) -> NonZeroU8 {
        let number = self.number("export_segments", 1, 64);
        u8::try_from(number).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
    }

    pub(super) fn optional_number(&mut self, key: &str, min: u64, max: u64) -> Option<usize> {
        self.layers.get(key)?;
        usize::try_from(self.number(key, min, max)).ok()
    }

    pub(super) fn duration(&mut self, key: &str, min: Duration, max: Duration) -> Duration {
        match parse_duration(&self.text(key).unwrap_or_default()) {
            Some(duration) if (min..=max).contains(&duration) => duration,
            Some(_) => {
                let message = format!("must be from {} to {}", print_duration(min), print_duration(max));
                self.refuse(key, &message).unwrap_or(min)
            }
            None => {
                let message = "expected a whole number and a unit, ms, s, min or h, such as 90s";
                self.refuse(key, message).unwrap_or(min)
            }
        }
    }

    fn prefix(&mut self) -> String {
        let text = self.text("aws_prefix").unwrap_or_default();
        let fits = text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !fits {
            self.refuse::<()>("aws_prefix", "expected at most 40 letters, digits, dashes and underscores");
        }
        text
    }

    fn url(&mut self, key: &str, expected: &str) -> Option<String> {
        let text = self.text(key)?;
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        if is_http && text.parse::<http::Uri>().is_ok() { Some(text) } else { self.refuse(key, expected) }
    }

    fn path_prefix(&mut self, key: &str) -> kitchen_api::OpenDeliveryPrefix {
        let text = self.text(key).unwrap_or_default();
        text.parse().unwrap_or_else(|error: kitchen_api::InvalidPrefix| {
            self.refuse::<()>(key, &error.to_string());
            kitchen_api::OpenDeliveryPrefix::default()
        })
    }

    fn rate_limits(&mut self) -> Option<bool> {
        match self.text("rate_limits")?.as_str() {
            "published" => Some(true),
            "none" => Some(false),
            _ => self.refuse("rate_limits", "expected published or none"),
        }
    }

    fn strikes(&mut self) -> bool {
        match self.text("strikes").unwrap_or_default().as_str() {
            "pause" => true,
            "count" => false,
            _ => self.refuse("strikes", "expected count or pause").unwrap_or(false),
        }
    }

    fn event_id_key(&mut self) -> Option<EventIdKey> {
        let text = self.text("event_id_key")?;
        let mut bytes = [0; 16];
        match hex::decode_to_slice(text.trim(), &mut bytes) {
            Ok(()) => Some(EventIdKey::from_bytes(bytes)),
            Err(_) => self.refuse("event_id_key", "expected exactly 32 hexadecimal digits"),
        }
    }

    fn log_format(&mut self) -> LogFormat {
        match self.text("log_format").unwrap_or_default().as_str() {
            "auto" => LogFormat::Auto,
            "pretty" => LogFormat::Pretty,
            "json" => LogFormat::Json,
            _ => self.refuse("log_format", "expected auto, pretty or json").unwrap_or(LogFormat::Auto),
        }
    }
}

/// Reads an address, or an address and the number of its leading bits.
fn parse_network(text: &str) -> Option<kitchen_api::Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: std::net::IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some(kitchen_api::Network { address, prefix_bits })
}

/// Reads a whole number and `ms`, `s`, `min` or `h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// The shortest text that [`parse_duration`] reads back.
pub fn print_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0 => "0s".to_owned(),
        _ if milliseconds.is_multiple_of(3_600_000) => format!("{}h", milliseconds / 3_600_000),
        _ if milliseconds.is_multiple_of(60_000) => format!("{}min", milliseconds / 60_000),
        _ if milliseconds.is_multiple_of(1000) => format!("{}s", milliseconds / 1000),
        _ => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::layers::Sources;

    fn read_environment(variables: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let of = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: BTreeMap<_, _> = variables.iter().map(of).collect();
        let sources = Sources {
            file: None,
            environment: &environment,
            flags: &BTreeMap::new(),
            read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        };
        Settings::from_layers(&Layers::read(&sources)?)
    }

    #[test]
    fn what_the_public_api_is_told_of_its_surroundings_is_read() {
        let settings = read_environment(&[
            ("COMANDA_STRIKES", "pause"),
            ("COMANDA_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,2001:db8::/32"),
            ("COMANDA_PUBLIC_URL", "https://api.example.com"),
            ("COMANDA_RATE_LIMITS", "published"),
        ])
        .unwrap();
        assert!(settings.pauses_on_strikes);
        assert_eq!(
            (settings.limits_requests, settings.public_url.as_deref()),
            (Some(true), Some("https://api.example.com"))
        );
        let trusted =
            |address: &str| settings.trusted_proxies.iter().any(|network| network.contains(address.parse().unwrap()));
        assert!(["10.1.2.3", "192.0.2.7", "2001:db8::1"].into_iter().all(trusted));
        assert!(!["11.1.2.3", "192.0.2.8", "2001:db9::1"].into_iter().any(trusted));
        let none = read_environment(&[("COMANDA_RATE_LIMITS", "none")]).unwrap();
        assert_eq!((none.limits_requests, none.public_url, none.trusted_proxies.len()), (Some(false), None, 0));
        assert_eq!(read(&[("rate_limits", "published")]).unwrap().limits_requests, Some(true));
        assert_eq!(read(&[]).unwrap().limits_requests, None, "`dev` and `run` differ");
        for (name, wrong, key) in [
            ("COMANDA_STRIKES", "yes", "strikes"),
            ("COMANDA_TRUSTED_PROXIES", "10.0.0.0/33", "trusted_proxies"),
            ("COMANDA_TRUSTED_PROXIES", "proxy.example.com", "trusted_proxies"),
            ("COMANDA_PUBLIC_URL", "api.example.com", "public_url"),
            ("COMANDA_RATE_LIMITS", "600", "rate_limits"),
        ] {
            let problems = read_environment(&[(name, wrong)]).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key], "{wrong}");
        }
    }

    fn read(flags: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let flags: BTreeMap<_, _> = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let sources = Sources {
            file: None,
            environment: &BTreeMap::new(),
            flags: &flags,
            read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        };
        Settings::from_layers(&Layers::read(&sources)?)
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.http_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.confirm_deadline, Duration::from_secs(480));
        assert_eq!(settings.order_retention, Duration::from_secs(14 * 24 * 3600));
        assert_eq!((settings.dev_merchants, settings.event_id_key), (3, None));
        assert!(!settings.pauses_on_strikes && read(&[("strikes", "pause")]).unwrap().pauses_on_strikes);
    }

    #[test]
    fn every_bad_value_is_named_together_with_what_was_expected() {
        let problems = read(&[
            ("http_addr", "nowhere"),
            ("ops_addr", "0.0.0.0:9090"),
            ("offline_after", "500ms"),
            ("sweep_interval", "5 seconds"),
            ("event_id_key", "xyz"),
            ("strikes", "true"),
            ("tls_cert_file", "cert.pem"),
        ])
        .unwrap_err();
        let mut keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["event_id_key", "http_addr", "offline_after", "ops_addr", "strikes", "sweep_interval", "tls_key_file"]
        );
        let strikes = problems.iter().find(|problem| problem.key == "strikes").unwrap();
        assert_eq!(strikes.to_string(), "strikes (flag --strikes): expected count or pause");
        let offline = problems.iter().find(|problem| problem.key == "offline_after").unwrap();
        assert_eq!(offline.to_string(), "offline_after (flag --offline-after): must be from 1s to 24h");
    }

    const INTERNAL: [&str; 5] =
        ["gateway_core_addr", "order_events_addr", "merchant_connection_addr", "connection_polling_addr", "grid_addr"];
    const CERTIFICATES: [(&str, &str); 3] =
        [("grid_ca_file", "ca.pem"), ("grid_cert_file", "node.pem"), ("grid_key_file", "node-key.pem")];

    #[test]
    fn internal_listeners_leave_the_machine_with_certificates_only() {
        let everywhere = INTERNAL.map(|key| (key, "0.0.0.0:7000"));
        let problems = read(&everywhere).unwrap_err();
        assert_eq!(problems.len(), INTERNAL.len());
        for problem in &problems {
            assert!(INTERNAL.contains(&problem.key.as_str()), "{problem}");
            assert!(problem.message.contains("loopback") && problem.message.contains("grid_ca_file"), "{problem}");
        }
        let settings = read(&[&everywhere[..], &CERTIFICATES].concat()).unwrap();
        let (internal, any) = (settings.internal, "0.0.0.0:7000".parse().unwrap());
        assert_eq!([internal.gateway_core, internal.connection_polling, settings.grid.listen], [any; 3]);
        assert_eq!([internal.order_events, internal.merchant_connection], [any; 2]);
        assert!(!settings.grid.is_cluster() && settings.grid.tls.is_some(), "certificates need no cluster");
        let two = read(&[&everywhere[..], &CERTIFICATES[..2]].concat()).unwrap_err();
        assert!(two.iter().any(|problem| problem.key == "grid_key_file"));
        let ops = read(&[&CERTIFICATES[..], &[("ops_addr", "0.0.0.0:9090")]].concat()).unwrap_err();
        assert!(!ops[0].message.contains("grid_ca_file"), "certificates change nothing: {}", ops[0]);
    }

    #[test]
    fn a_tariff_is_set_by_its_two_fees_and_not_by_one() {
        assert_eq!(read(&[]).unwrap().courier_tariff, None);
        let tariff =
            read(&[("courier_base_fee", "7.5"), ("courier_fee_per_km", "0"), ("courier_distance_max_km", "4")]);
        let tariff = tariff.unwrap().courier_tariff.unwrap();
        assert_eq!((tariff.base_fee_cents, tariff.fee_per_km_cents, tariff.distance_max_km), (750, 0, 4));
        assert_eq!(tariff.quote_validity, Duration::from_secs(24 * 3600));
        for (flags, key) in [
            (vec![("courier_base_fee", "7.50")], "courier_fee_per_km"),
            (vec![("courier_fee_per_km", "7.50")], "courier_base_fee"),
            (vec![("courier_base_fee", "7,50"), ("courier_fee_per_km", "1")], "courier_base_fee"),
            (vec![("courier_base_fee", "1"), ("courier_fee_per_km", "1000.01")], "courier_fee_per_km"),
            (vec![("courier_distance_max_km", "0")], "courier_distance_max_km"),
            (vec![("courier_minutes_per_km", "-1")], "courier_minutes_per_km"),
            (vec![("courier_quote_validity", "1s")], "courier_quote_validity"),
        ] {
            let problems = read(&flags).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key], "{flags:?}");
        }
    }

    #[test]
    fn durations_read_back() {
        for text in ["1ms", "90s", "8min", "4h"] {
            assert_eq!(print_duration(parse_duration(text).unwrap()), text);
        }
        for bad in ["", "5", "5 s", "-1s", "1d", "18446744073709551615h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
