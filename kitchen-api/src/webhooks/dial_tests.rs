//! The table of URLs that must and must not be dialled (RELIABILITY, API7), with what their names resolve to.

use std::net::IpAddr;

use super::{DialRules, Host, Refusal};

const STRICT: DialRules = DialRules { allow_loopback: false };
const DEVELOPMENT: DialRules = DialRules { allow_loopback: true };
/// What every name of the table resolves to unless it says otherwise.
const PUBLIC: &str = "93.184.215.14";

/// What would be connected to: nothing, or these addresses.
fn dialled(rules: DialRules, url: &str, resolved: &[&str]) -> Result<Vec<String>, Refusal> {
    let target = rules.check_url(url)?;
    let addresses: Vec<IpAddr> = match target.host {
        Host::Address(address) => vec![address],
        Host::Name(_) => resolved.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let sockets = rules.check_resolved(&addresses, target.port)?;
    Ok(sockets.iter().map(ToString::to_string).collect())
}

#[rustfmt::skip]
const REFUSED_URLS: &[(&str, Refusal)] = &[
    // Schemes and shapes.
    ("http://pos.example.com/hook", Refusal::Scheme),
    ("ftp://pos.example.com/", Refusal::Scheme),
    ("gopher://127.0.0.1:6379/_FLUSHALL", Refusal::Scheme),
    ("ws://pos.example.com/", Refusal::Scheme),
    ("file:///etc/passwd", Refusal::Malformed),
    ("//pos.example.com/hook", Refusal::Malformed),
    ("/hook", Refusal::Malformed),
    ("pos.example.com", Refusal::Malformed),
    ("", Refusal::Malformed),
    ("https://", Refusal::Malformed),
    ("https:///hook", Refusal::Malformed),
    ("javascript:alert(1)", Refusal::Malformed),
    ("https://pos.example.com/a b", Refusal::Malformed),
    ("https://pos.example.com/\r\nHost: x", Refusal::Malformed),
    ("https://pos.example.com\\@127.0.0.1/", Refusal::Malformed),
    ("https://pos.example.com/#@127.0.0.1", Refusal::Malformed),
    // User names.
    ("https://user@pos.example.com/", Refusal::UserInfo),
    ("https://user:secret@pos.example.com/", Refusal::UserInfo),
    ("https://pos.example.com@127.0.0.1/", Refusal::UserInfo),
    ("https://pos.example.com:443@169.254.169.254/", Refusal::UserInfo),
    // Ports.
    ("https://pos.example.com:80/", Refusal::Port),
    ("https://pos.example.com:22/", Refusal::Port),
    ("https://pos.example.com:6379/", Refusal::Port),
    ("https://pos.example.com:0/", Refusal::Port),
    ("https://pos.example.com:/", Refusal::Port),
    // Names of this machine or network.
    ("https://localhost/", Refusal::Host),
    ("https://LOCALHOST:8443/", Refusal::Host),
    ("https://a.localhost/", Refusal::Host),
    ("https://printer.local/", Refusal::Host),
    ("https://metadata.google.internal/computeMetadata/v1/", Refusal::Host),
    ("https://intranet/", Refusal::Host),
    ("https://1.0.0.127.in-addr.arpa/", Refusal::Host),
    // Addresses in other clothes.
    ("https://2130706433/", Refusal::Host),
    ("https://0177.0.0.1/", Refusal::Host),
    ("https://0x7f.0.0.1/", Refusal::Host),
    ("https://0x7f000001/", Refusal::Host),
    ("https://127.1/", Refusal::Host),
    ("https://127.0.1/", Refusal::Host),
    ("https://017700000001/", Refusal::Host),
    ("https://127.0.0.0x1/", Refusal::Host),
    ("https://127.0.0.1./", Refusal::Host),
    ("https://pos.example.com./", Refusal::Host),
    ("https://pos..example.com/", Refusal::Host),
    ("https://256.256.256.256/", Refusal::Host),
    ("https://[fe80::1%25eth0]/", Refusal::Host),
    ("https://127%2e0%2e0%2e1/", Refusal::Malformed),
    ("https://１２７.０.０.１/", Refusal::Malformed),
    ("https://loja①.example.com/", Refusal::Malformed),
    // Plain addresses that are not public.
    ("https://0.0.0.0/", Refusal::Address),
    ("https://0.1.2.3/", Refusal::Address),
    ("https://127.0.0.1/", Refusal::Address),
    ("https://127.255.255.254:8443/", Refusal::Address),
    ("https://10.0.0.1/", Refusal::Address),
    ("https://172.16.0.1/", Refusal::Address),
    ("https://172.31.255.255/", Refusal::Address),
    ("https://192.168.1.1/", Refusal::Address),
    ("https://100.64.0.1/", Refusal::Address),
    ("https://100.100.100.200/latest/meta-data/", Refusal::Address),
    ("https://169.254.169.254/latest/meta-data/", Refusal::Address),
    ("https://169.254.170.2/v2/credentials", Refusal::Address),
    ("https://168.63.129.16/", Refusal::Address),
    ("https://192.0.0.192/opc/v2/", Refusal::Address),
    ("https://192.0.2.1/", Refusal::Address),
    ("https://192.88.99.1/", Refusal::Address),
    ("https://198.18.0.1/", Refusal::Address),
    ("https://198.51.100.1/", Refusal::Address),
    ("https://203.0.113.1/", Refusal::Address),
    ("https://224.0.0.1/", Refusal::Address),
    ("https://240.0.0.1/", Refusal::Address),
    ("https://255.255.255.255/", Refusal::Address),
    ("https://[::]/", Refusal::Address),
    ("https://[::1]/", Refusal::Address),
    ("https://[::ffff:127.0.0.1]/", Refusal::Address),
    ("https://[::ffff:a9fe:a9fe]/", Refusal::Address),
    ("https://[::ffff:93.184.215.14]/", Refusal::Address),
    ("https://[::127.0.0.1]/", Refusal::Address),
    ("https://[64:ff9b::7f00:1]/", Refusal::Address),
    ("https://[100::1]/", Refusal::Address),
    ("https://[fc00::1]/", Refusal::Address),
    ("https://[fd00:ec2::254]/latest/meta-data/", Refusal::Address),
    ("https://[fe80::1]/", Refusal::Address),
    ("https://[fec0::1]/", Refusal::Address),
    ("https://[ff02::1]/", Refusal::Address),
    ("https://[2001::1]/", Refusal::Address),
    ("https://[2001:db8::1]/", Refusal::Address),
    ("https://[2002:7f00:1::1]/", Refusal::Address),
    ("https://[3fff::1]/", Refusal::Address),
    ("https://[5f00::1]/", Refusal::Address),
];

#[test]
fn nothing_of_the_table_is_dialled() {
    assert!(REFUSED_URLS.len() >= 60);
    for (url, refusal) in REFUSED_URLS {
        assert_eq!(dialled(STRICT, url, &[PUBLIC]), Err(*refusal), "{url}");
    }
}

#[test]
fn a_name_is_judged_by_what_it_resolves_to() {
    let url = "https://innocent.example.com/hook";
    for resolved in [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.7.7",
        "192.168.0.9",
        "::1",
        "::ffff:10.0.0.1",
        "fd12::1",
        "fe80::2",
        "ff0e::1",
        "64:ff9b::a00:1",
        "224.1.1.1",
        "203.0.113.9",
    ] {
        assert_eq!(dialled(STRICT, url, &[resolved]), Err(Refusal::Address), "{resolved}");
        assert_eq!(dialled(STRICT, url, &[PUBLIC, resolved]), Err(Refusal::Address), "a mixed answer with {resolved}");
    }
    assert_eq!(dialled(STRICT, url, &[]), Err(Refusal::Address), "no address");
}

#[test]
fn the_public_internet_is_dialled_at_the_address_that_was_judged() {
    for (url, resolved, expected) in [
        ("https://pos.example.com/hook?a=b", PUBLIC, "93.184.215.14:443"),
        ("HTTPS://POS.Example.com/hook", PUBLIC, "93.184.215.14:443"),
        ("https://pos.example.com:8443/", PUBLIC, "93.184.215.14:8443"),
        ("https://xn--lj-qia.example.com.br/", PUBLIC, "93.184.215.14:443"),
        ("https://under_score.example.com/", PUBLIC, "93.184.215.14:443"),
        (
            "https://pos.example.com/",
            "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
            "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443",
        ),
        ("https://8.8.8.8/", PUBLIC, "8.8.8.8:443"),
        ("https://172.32.0.1/", PUBLIC, "172.32.0.1:443"),
        ("https://100.128.0.1/", PUBLIC, "100.128.0.1:443"),
        ("https://[2606:4700::1111]:8443/", PUBLIC, "[2606:4700::1111]:8443"),
    ] {
        assert_eq!(dialled(STRICT, url, &[resolved]), Ok(vec![expected.to_owned()]), "{url}");
    }
}

#[test]
fn a_url_has_a_longest() {
    let url = |bytes: usize| format!("https://pos.example.com/{}", "a".repeat(bytes - 24));
    assert!(STRICT.check_url(&url(250)).is_ok());
    assert_eq!(STRICT.check_url(&url(251)), Err(Refusal::TooLong));
}

#[test]
fn development_allows_loopback_and_nothing_else() {
    assert_eq!(dialled(DEVELOPMENT, "http://127.0.0.1:3000/h", &[]), Ok(vec!["127.0.0.1:3000".to_owned()]));
    assert_eq!(dialled(DEVELOPMENT, "http://localhost/h", &["::1"]), Ok(vec!["[::1]:80".to_owned()]));
    for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://[fe80::1]/", "http://[::ffff:127.0.0.1]/"] {
        assert_eq!(dialled(DEVELOPMENT, url, &[PUBLIC]), Err(Refusal::Address), "{url}");
    }
    assert_eq!(dialled(DEVELOPMENT, "http://pos.example.com/", &["10.0.0.1"]), Err(Refusal::Address));
}
