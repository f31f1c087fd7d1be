//! The command line from outside: help, exit codes, one clear message, the commands that `dev` suggests.

use std::time::Duration;

use serde_json::Value;

use crate::platform::{Dev, eventually, run};

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
        &["app", "rotate"],
        &["merchant"],
        &["merchant", "add"],
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
        let mut arguments =
            vec!["dev", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--local-aws-addr", "127.0.0.1:0"];
        let place = arguments.iter().position(|argument| *argument == flag).unwrap() + 1;
        arguments[place] = &address;
        let (code, stdout, stderr) = run(&arguments, &[]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains(&address) && stderr.contains(flag), "{stderr}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    let (code, _, stderr) = run(
        &[
            "dev",
            "--http-addr",
            "127.0.0.1:0",
            "--ops-addr",
            "127.0.0.1:0",
            "--local-aws-addr",
            "127.0.0.1:0",
            "--data-dir",
            inside.to_str().unwrap(),
        ],
        &[],
    );
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

    let merchant = "11111111-1111-4111-8111-111111111111";
    assert_eq!(json(&["merchant", "add", merchant, "--name", "Nova", "--json"])["created"], true);
    assert_eq!(json(&["merchant", "show", merchant, "--json"])["name"], "Nova");
    assert_eq!(json(&["merchant", "add", merchant, "--name", "Outra", "--json"])["created"], false);
    assert_eq!(json(&["merchant", "show", merchant, "--json"])["name"], "Outra");
    assert_eq!(json(&["order", "erase", &order, "--json"])["alreadyErased"], false);
    assert_eq!(json(&["order", "erase", &order, "--json"])["alreadyErased"], true);
    let (code, _, stderr) = run(&["app", "revoke", "vendor"], &environment);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(run(&["aws", "init"], &environment).0, 0, "what exists is left as it is");
}
