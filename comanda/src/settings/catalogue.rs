//! Every setting there is: its key, its environment variable, its default and what it means.
//!
//! The one list from which the file's keys, the environment, the flags, `--print` and the documentation are made. What
//! a value means once it is read stands in [`super::typed`].

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Key in `comanda.toml`, e.g. `http_addr`. The flag is the same with dashes.
    pub key: &'static str,
    /// Environment variable.
    pub environment: &'static str,
    /// Default as text; `None` when it is unset by default.
    pub default: Option<&'static str>,
    /// One line for `--help` and the documentation.
    pub help: &'static str,
    /// Whether its value is a secret: never printed, and also taken from the file that `<ENVIRONMENT>_FILE` names.
    pub secret: bool,
}

const fn plain(
    key: &'static str,
    environment: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, environment, default, help, secret: false }
}

const fn secret(key: &'static str, environment: &'static str, help: &'static str) -> Setting {
    Setting { key, environment, default: None, help, secret: true }
}

/// All settings, in the order they are printed.
pub const SETTINGS: &[Setting] = &[
    plain("http_addr", "COMANDA_HTTP_ADDR", Some("127.0.0.1:8080"), "Public HTTP listener; port 0 binds any free port"),
    plain(
        "tls_cert_file",
        "COMANDA_TLS_CERT_FILE",
        None,
        "PEM certificate chain of the public listener; with tls_key_file makes it HTTPS",
    ),
    plain("tls_key_file", "COMANDA_TLS_KEY_FILE", None, "PEM private key of the public listener"),
    plain(
        "ops_addr",
        "COMANDA_OPS_ADDR",
        Some("127.0.0.1:9090"),
        "Operations listener: /metrics, /livez, /readyz; loopback only",
    ),
    plain(
        "trusted_proxies",
        "COMANDA_TRUSTED_PROXIES",
        None,
        "Proxies whose forwarded addresses count, as addresses or networks separated by commas",
    ),
    plain(
        "public_url",
        "COMANDA_PUBLIC_URL",
        None,
        "The public listener's address as clients see it, for links; unset: as it is bound, and links in events are paths",
    ),
    plain(
        "open_delivery_prefix",
        "COMANDA_OPEN_DELIVERY_PREFIX",
        None,
        "Where the Open Delivery paths are mounted, such as /v4/opendelivery; unset: at the root",
    ),
    plain(
        "rate_limits",
        "COMANDA_RATE_LIMITS",
        None,
        "published: 429 above the published requests per minute of an application; none; unset: none in `dev`, else published",
    ),
    plain(
        "strikes",
        "COMANDA_STRIKES",
        Some("count"),
        "count: events delivered 50 times and not acknowledged are counted; pause: 100 of an application within an hour also pause its polling for 5 minutes",
    ),
    plain(
        "courier_base_fee",
        "COMANDA_COURIER_BASE_FEE",
        None,
        "What each delivery by the platform's couriers costs, such as 4.99; unset: there are none, and in `dev` 4.99",
    ),
    plain(
        "courier_fee_per_km",
        "COMANDA_COURIER_FEE_PER_KM",
        None,
        "What each kilometre costs beside it, such as 1.50; needed with courier_base_fee; unset: 1.50 in `dev`",
    ),
    plain(
        "courier_distance_max_km",
        "COMANDA_COURIER_DISTANCE_MAX_KM",
        Some("10"),
        "Longest way of the platform's couriers, 1 to 200",
    ),
    plain("courier_minutes_base", "COMANDA_COURIER_MINUTES_BASE", Some("15"), "Minutes that each delivery takes"),
    plain(
        "courier_minutes_per_km",
        "COMANDA_COURIER_MINUTES_PER_KM",
        Some("3"),
        "Minutes that each kilometre takes beside it",
    ),
    plain(
        "courier_quote_validity",
        "COMANDA_COURIER_QUOTE_VALIDITY",
        Some("24h"),
        "How long a quote for a courier holds, 1min to 168h",
    ),
    plain("connections_max", "COMANDA_CONNECTIONS_MAX", Some("10000"), "Most public connections at once"),
    plain(
        "connections_per_address_max",
        "COMANDA_CONNECTIONS_PER_ADDRESS_MAX",
        None,
        "Most public connections of one address; unset: no cap, because chains sit behind one NAT",
    ),
    plain(
        "local_aws_addr",
        "COMANDA_LOCAL_AWS_ADDR",
        Some("127.0.0.1:4566"),
        "In-process SQS, SNS and DynamoDB of `dev` and `aws local`",
    ),
    plain(
        "data_dir",
        "COMANDA_DATA_DIR",
        None,
        "Directory of `dev`'s DynamoDB and of a grid node's log; unset: everything in memory",
    ),
    plain("dev_merchants", "COMANDA_DEV_MERCHANTS", Some("3"), "How many merchants `dev` seeds, 1 to 1000000"),
    plain(
        "offline_after",
        "COMANDA_OFFLINE_AFTER",
        Some("120s"),
        "A merchant is OFFLINE this long after its last beat, at least 1s",
    ),
    plain("sweep_interval", "COMANDA_SWEEP_INTERVAL", Some("5s"), "How often presence is judged, at least 100ms"),
    plain(
        "export_segments",
        "COMANDA_EXPORT_SEGMENTS",
        Some("8"),
        "Segments of DynamoDB's table that rebuilding scans at once; 1 where the store knows none",
    ),
    plain("confirm_deadline", "COMANDA_CONFIRM_DEADLINE", Some("8min"), "An order not confirmed by then is cancelled"),
    plain(
        "conclude_after",
        "COMANDA_CONCLUDE_AFTER",
        Some("4h"),
        "An order nobody concludes is concluded this long after its delivery time",
    ),
    plain(
        "event_retention",
        "COMANDA_EVENT_RETENTION",
        Some("8h"),
        "Events expire this long after the promised delivery",
    ),
    plain("order_retention", "COMANDA_ORDER_RETENTION", Some("336h"), "Order details are kept this long"),
    plain(
        "drain_timeout",
        "COMANDA_DRAIN_TIMEOUT",
        Some("10s"),
        "How long each role may take to finish what it holds when the process ends",
    ),
    plain(
        "shadow_reads_per_mille",
        "COMANDA_SHADOW_READS_PER_MILLE",
        Some("10"),
        "Polls in a thousand that are also read from the fallback and compared, 0 to 1000",
    ),
    plain(
        "webhooks_allow_loopback",
        "COMANDA_WEBHOOKS_ALLOW_LOOPBACK",
        Some("false"),
        "For development: webhooks may go to loopback addresses, any port and http; `run` refuses it",
    ),
    plain("aws_prefix", "COMANDA_AWS_PREFIX", Some(""), "Prefix of every queue, topic and table name"),
    plain("aws_endpoint", "AWS_ENDPOINT_URL", None, "Endpoint of all three AWS services; unset: AWS itself"),
    plain(
        "gateway_core_addr",
        "COMANDA_GATEWAY_CORE_ADDR",
        Some("127.0.0.1:7071"),
        "Internal gRPC of gateway-core: where it listens and where others find it; other than loopback needs grid_ca_file",
    ),
    plain(
        "order_events_addr",
        "COMANDA_ORDER_EVENTS_ADDR",
        Some("127.0.0.1:7072"),
        "Internal gRPC of order-events without grid_seeds; other than loopback needs grid_ca_file",
    ),
    plain(
        "merchant_connection_addr",
        "COMANDA_MERCHANT_CONNECTION_ADDR",
        Some("127.0.0.1:7073"),
        "Internal gRPC of merchant-connection without grid_seeds; other than loopback needs grid_ca_file",
    ),
    plain(
        "connection_polling_addr",
        "COMANDA_CONNECTION_POLLING_ADDR",
        Some("127.0.0.1:7074"),
        "Internal gRPC of connection-polling; other than loopback needs grid_ca_file",
    ),
    plain(
        "grid_addr",
        "COMANDA_GRID_ADDR",
        Some("127.0.0.1:7075"),
        "Listener of a grid node for its peers, kitchen-api and `cluster`; other than loopback needs grid_ca_file",
    ),
    plain(
        "grid_advertised_addr",
        "COMANDA_GRID_ADVERTISED_ADDR",
        None,
        "host:port at which others reach this grid node; unset: its listener",
    ),
    plain(
        "grid_seeds",
        "COMANDA_GRID_SEEDS",
        None,
        "host:port of some grid nodes, separated by commas; unset: order-events and merchant-connection are one process each",
    ),
    plain(
        "node_id",
        "COMANDA_NODE_ID",
        None,
        "Id of this grid node, from 1; unset: made up, and kept in data_dir if there is one",
    ),
    plain(
        "cluster",
        "COMANDA_CLUSTER",
        Some("comanda"),
        "Name of the cluster, also within certificates; whoever is of another one is refused",
    ),
    plain(
        "grid_segment_mib",
        "COMANDA_GRID_SEGMENT_MIB",
        Some("64"),
        "Length of the files of a grid node's log in MiB, 1 to 2048; a disk should hold at least eight",
    ),
    plain("replication_factor", "COMANDA_REPLICATION_FACTOR", Some("3"), "Copies of each partition: 1, 3 or 5"),
    plain(
        "order_events_partitions",
        "COMANDA_ORDER_EVENTS_PARTITIONS",
        Some("16"),
        "Partitions of order-events, 1 to 64; fixed for the life of a cluster",
    ),
    plain(
        "merchant_connection_partitions",
        "COMANDA_MERCHANT_CONNECTION_PARTITIONS",
        Some("4"),
        "Partitions of merchant-connection, 1 to 64; fixed for the life of a cluster",
    ),
    plain(
        "grid_ca_file",
        "COMANDA_GRID_CA_FILE",
        None,
        "PEM certificate of the cluster's own authority; with grid_cert_file and grid_key_file makes all internal traffic mutual TLS",
    ),
    plain(
        "grid_cert_file",
        "COMANDA_GRID_CERT_FILE",
        None,
        "PEM certificate of this process, signed by that authority",
    ),
    plain("grid_key_file", "COMANDA_GRID_KEY_FILE", None, "PEM private key of that certificate"),
    secret(
        "event_id_key",
        "COMANDA_EVENT_ID_KEY",
        "32 hexadecimal digits under which event ids are made and checked; fixed for the life of a cluster",
    ),
    secret("token_signing_key", "COMANDA_TOKEN_SIGNING_KEY", "PKCS#8 PEM key that signs access tokens"),
    secret(
        "token_previous_key",
        "COMANDA_TOKEN_PREVIOUS_KEY",
        "PKCS#8 PEM key whose tokens are still accepted after a rotation",
    ),
    plain("log", "COMANDA_LOG", Some("info,openraft=error"), "Log filter, e.g. info or kitchen_api=debug,info"),
    plain(
        "log_format",
        "COMANDA_LOG_FORMAT",
        Some("auto"),
        "auto (pretty on a terminal, JSON otherwise), pretty or json",
    ),
];

/// The setting named `key`.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The known key that looks most like `key`, for "did you mean".
pub fn nearest(key: &str) -> &'static str {
    let distance = |setting: &&Setting| strsim::damerau_levenshtein(setting.key, key);
    SETTINGS.iter().min_by_key(distance).map_or("http_addr", |setting| setting.key)
}
