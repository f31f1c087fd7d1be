//! The command line from outside: help, exit codes, one clear message, the commands that `dev` suggests.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::platform::{Dev, FREE_PORTS, eventually, run};

const MERCHANT: &str = "00000000-0000-4000-8000-000000000001";

#[test]
fn help_is_held() {
    let mut all = String::new();
    let commands: &[&[&str]] = &[
        &[],
        &["dev"],
        &["run"],
        &["aws"],
        &["aws", "local"],
        &["aws", "init"],
        &["app"],
        &["app", "create"],
        &["app", "grant"],
        &["app", "revoke"],
        &["app", "approve"],
        &["app", "authorizations"],
        &["app", "revoke-authorization"],
        &["app", "rotate"],
        &["app", "revoke-token"],
        &["app", "modules"],
        &["app", "open-delivery"],
        &["merchant"],
        &["merchant", "add"],
        &["merchant", "portal-key"],
        &["merchant", "show"],
        &["order"],
        &["order", "place"],
        &["order", "update"],
        &["order", "show"],
        &["order", "erase"],
        &["pos"],
        &["check"],
        &["bench"],
        &["bench", "poll"],
        &["bench", "ingest"],
        &["completions"],
    ];
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let (code, stdout, stderr) = run(&arguments, &[("COLUMNS", "120")]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{command:?}");
        let is_leaf = !stdout.contains("Commands:");
        assert!(!is_leaf || stdout.contains("Example: "), "{command:?} shows no example");
        all.push_str(&format!("$ comanda {}\n{stdout}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn usage_and_configuration_have_their_exit_codes() {
    assert_eq!(run(&["nonsense"], &[]).0, 2);
    assert_eq!(run(&["order", "show", "not-a-uuid"], &[]).0, 2);
    // Nothing listens there; a secret that begins like a flag is taken for what it is.
    let pos = ["pos", "--url", "http://127.0.0.1:1", "--client-secret", "-0aB", "--once"];
    let (code, _, stderr) = run(&pos, &[]);
    assert!(code != 0 && code != 2 && !stderr.contains("unexpected argument"), "{code}: {stderr}");
    let (code, stdout, stderr) =
        run(&["check", "--offline-after", "1", "--ops-addr", "0.0.0.0:9090"], &[("COMANDA_HTP_ADDR", "x")]);
    assert_eq!((code, stdout.as_str()), (64, ""), "{stderr}");
    assert!(
        stderr.contains("htp_addr (environment COMANDA_HTP_ADDR): is not a setting; did you mean http_addr?"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&["check", "--offline-after", "1", "--ops-addr", "0.0.0.0:9090"], &[]);
    assert_eq!(code, 64);
    assert!(
        stderr.contains("offline_after (flag --offline-after)") && stderr.contains("must be a loopback address"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&["run", "kitchen-api"], &[]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("event_id_key") && stderr.contains("token_signing_key"), "both at once: {stderr}");
}

#[test]
fn a_port_in_use_and_a_bad_data_directory_say_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--http-addr", "--ops-addr", "--local-aws-addr"] {
        let mut arguments = [&["dev"][..], &FREE_PORTS].concat();
        let place = arguments.iter().position(|argument| *argument == flag).unwrap() + 1;
        arguments[place] = &address;
        let (code, stdout, stderr) = run(&arguments, &[]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains(&address) && stderr.contains(flag), "{stderr}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    let keeping = ["--data-dir", inside.to_str().unwrap()];
    let (code, _, stderr) = run(&[&["dev"][..], &FREE_PORTS, &keeping].concat(), &[]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("--data-dir"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_work_beside_a_running_platform() {
    let dev = Dev::start(&[], &[]);
    let endpoint = format!("http://{}", dev.process.address("aws"));
    let url = format!("http://{}", dev.process.address("http"));
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let json = |arguments: &[&str]| -> Value {
        let (code, stdout, stderr) = run(arguments, &environment);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        serde_json::from_str(stdout.lines().next().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{arguments:?}: {stdout}"))
    };
    let order = json(&["order", "place", "--merchant", MERCHANT, "--json"])["orderId"].as_str().unwrap().to_owned();
    let shown = eventually("order show", Duration::from_secs(20), async || {
        let (code, stdout, _) = run(&["order", "show", &order, "--json"], &environment);
        (code == 0).then_some(stdout)
    })
    .await;
    assert!(shown.contains("\"code\":\"PLC\"") && shown.contains("\"state\":\"PLACED\""), "{shown}");

    let created = json(&["app", "create", "vendor", "--json"]);
    let secret = created["clientSecret"].as_str().unwrap();
    assert_eq!(json(&["app", "grant", "vendor", MERCHANT, "--json"])["granted"], 1);
    // The API learns of a new application within seconds; hammering it before that would lock the application out.
    let mut pause = tokio::time::interval(Duration::from_secs(2));
    pause.tick().await;
    let polled = eventually("the new application polls", Duration::from_secs(20), async || {
        pause.tick().await;
        let (code, stdout, stderr) = run(
            &[
                "pos",
                "--url",
                &url,
                "--client-id",
                "vendor",
                "--client-secret",
                secret,
                "--merchant",
                MERCHANT,
                "--once",
                "--json",
            ],
            &environment,
        );
        eprintln!("exit code {code}: {stdout}{stderr}");
        // What was shown is acknowledged and comes only once, whatever becomes of the acknowledgment's answer.
        stdout.contains(&order).then_some(stdout)
    })
    .await;
    assert!(polled.contains("PLACED"), "{polled}");

    let credentials = format!("grantType=client_credentials&clientId=vendor&clientSecret={secret}");
    let granted = post_form(&url, "/authentication/v1.0/oauth/token", &credentials).await;
    let token = granted["accessToken"].as_str().unwrap();
    assert_eq!(json(&["app", "revoke-token", "vendor", token, "--json"])["clientId"], "vendor");
    let (code, _, stderr) = run(&["app", "revoke-token", "other", token], &environment);
    assert!(code == 2 && stderr.contains("is of vendor"), "{code}: {stderr}");

    modules_of_an_application(&environment, &json);
    distributed_application(&url, &environment, &json).await;

    let merchant = "11111111-1111-4111-8111-111111111111";
    assert_eq!(json(&["merchant", "add", merchant, "--name", "Nova", "--json"])["created"], true);
    assert_eq!(json(&["merchant", "show", merchant, "--json"])["name"], "Nova");
    assert_eq!(json(&["merchant", "add", merchant, "--name", "Outra", "--json"])["created"], false);
    assert_eq!(json(&["merchant", "show", merchant, "--json"])["name"], "Outra");
    merchant_presents_itself(&dev, &json).await;
    assert_eq!(json(&["order", "erase", &order, "--json"])["alreadyErased"], false);
    assert_eq!(json(&["order", "erase", &order, "--json"])["alreadyErased"], true);
    let (code, _, stderr) = run(&["app", "revoke", "vendor"], &environment);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(run(&["aws", "init"], &environment).0, 0, "what exists is left as it is");
}

/// What an operator says about a merchant, part by part, is what its POS reads; a POS that closes its store changes none of it.
async fn merchant_presents_itself(dev: &Dev, json: &impl Fn(&[&str]) -> Value) {
    let add = ["merchant", "add", MERCHANT, "--name", "Cantina", "--json"];
    let address = ["--country", "BR", "--state", "SP", "--city", "São Paulo", "--district", "Centro"];
    let first = ["--corporate-name", "Cantina Ltda", "--description", "Massas", "--average-ticket", "45.50"];
    assert_eq!(json(&[&add[..], &first, &["--exclusive"], &address].concat())["created"], false);
    json(&[&add[..], &["--street", "Rua A", "--number", "1", "--postal-code", "01000000"]].concat());
    let shown = json(&["merchant", "show", MERCHANT, "--json"]);
    assert_eq!((&shown["corporateName"], &shown["presentation"]["street"]), (&"Cantina Ltda".into(), &"Rua A".into()));
    let pos = dev.pos().await;
    let path = format!("/merchant/v1.0/merchants/{MERCHANT}");
    let hours = r#"{"shifts":[{"dayOfWeek":"MONDAY","start":"09:00:00","duration":60}]}"#;
    for change in ["", hours] {
        if !change.is_empty() {
            let put = pos.call(Method::PUT, &format!("{path}/opening-hours"), &[], Bytes::from(change)).await.unwrap();
            assert_eq!(put.status, StatusCode::CREATED);
        }
        let details = pos.call(Method::GET, &path, &[], Bytes::new()).await.unwrap().json();
        let text = |pointer: &str| details.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        for (pointer, expected) in [
            ("/corporateName", "Cantina Ltda"),
            ("/description", "Massas"),
            ("/address/country", "BR"),
            ("/address/state", "SP"),
            ("/address/city", "São Paulo"),
            ("/address/district", "Centro"),
            ("/address/street", "Rua A"),
            ("/address/number", "1"),
            ("/address/postalCode", "01000000"),
        ] {
            assert_eq!(text(pointer), expected, "{pointer}");
        }
        assert_eq!((&details["averageTicket"], &details["exclusive"]), (&Value::from(45.5), &Value::from(true)));
        assert!(details["address"]["latitude"].is_number(), "where it is stays: {details}");
    }
}

/// All at first; taken away and granted by name, whatever else was said; a name that is none is refused beside those that are.
fn modules_of_an_application(environment: &[(&str, &str)], json: &impl Fn(&[&str]) -> Value) {
    let all = ["events", "order", "merchant", "catalog", "logistics", "shipping", "open-delivery"];
    let modules =
        |more: &[&str]| json(&[&["app", "modules", "vendor", "--json"][..], more].concat())["modules"].clone();
    assert_eq!(modules(&[]), Value::from(all.to_vec()));
    assert_eq!(modules(&["--revoke", "catalog,shipping"]), Value::from([&all[..3], &all[4..5], &all[6..]].concat()));
    assert_eq!(modules(&["--grant", "catalog"]), Value::from([&all[..5], &all[6..]].concat()));
    let (code, stdout, _) = run(&["app", "modules", "vendor"], environment);
    assert!(code == 0 && stdout.contains("has not: shipping"), "{code}: {stdout}");
    for (flag, named) in [("--grant", "review"), ("--revoke", "catalog,review"), ("--grant", "")] {
        let (code, _, stderr) = run(&["app", "modules", "vendor", flag, named], environment);
        assert!(code == 2 && stderr.contains(flag) && stderr.contains(&all.join(", ")), "{code}: {stderr}");
    }
    assert_eq!(run(&["app", "modules", "vendor", "--grant", "order", "--revoke", "order"], environment).0, 2);
    let (code, _, stderr) = run(&["app", "modules", "nobody", "--revoke", "order"], environment);
    assert!(code == 1 && stderr.contains("nobody"), "{code}: {stderr}");
    assert_eq!(modules(&["--grant", "shipping"]), Value::from(all.to_vec()), "as at first");
}

/// A flow that an operator approves, and its end.
async fn distributed_application(url: &str, environment: &[(&str, &str)], json: &impl Fn(&[&str]) -> Value) {
    let secret =
        json(&["app", "create", "tablet", "--distributed", "--json"])["clientSecret"].as_str().unwrap().to_owned();
    assert!(json(&["merchant", "portal-key", MERCHANT, "--json"])["portalKey"].as_str().unwrap().starts_with("cpk-"));
    let (code, _, stderr) = run(&["merchant", "portal-key", "99999999-9999-4999-8999-999999999999"], environment);
    assert_eq!(code, 1, "{stderr}");
    let (code, _, stderr) = run(&["app", "grant", "tablet", MERCHANT], environment);
    assert!(code == 1 && stderr.contains("distributed"), "{stderr}");
    let post = async |path: &str, form: &[(&str, &str)]| -> Value {
        let body = form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        post_form(url, &format!("/authentication/v1.0/oauth/{path}"), &body).await
    };
    let opened = post("userCode", &[("clientId", "tablet")]).await;
    let user_code = opened["userCode"].as_str().unwrap();
    let approved = json(&["app", "approve", user_code, "--merchant", MERCHANT, "--json"]);
    let (code, _, stderr) = run(&["app", "approve", user_code, "--merchant", MERCHANT], environment);
    assert!(code == 1 && stderr.contains("approved before"), "{stderr}");
    let granted = post(
        "token",
        &[
            ("grantType", "authorization_code"),
            ("clientId", "tablet"),
            ("clientSecret", secret.as_str()),
            ("authorizationCode", approved["authorizationCode"].as_str().unwrap()),
            ("authorizationCodeVerifier", opened["authorizationCodeVerifier"].as_str().unwrap()),
        ],
    )
    .await;
    assert!(granted["refreshToken"].is_string(), "{granted}");
    let listed = json(&["app", "authorizations", "tablet", "--json"]);
    assert_eq!(
        (&listed["authorizationId"], &listed["merchants"][0]),
        (&approved["authorizationId"], &Value::from(MERCHANT))
    );
    let id = approved["authorizationId"].as_str().unwrap();
    assert_eq!(json(&["app", "revoke-authorization", "tablet", id, "--json"])["authorizationId"], id);
    assert_eq!(run(&["app", "revoke-authorization", "tablet", id], environment).0, 1, "it is gone");
}

/// Posts a form on a connection of its own; the JSON it answers.
async fn post_form(url: &str, path: &str, body: &str) -> Value {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(json).unwrap_or_else(|_| panic!("{path}: {answer}"))
}
