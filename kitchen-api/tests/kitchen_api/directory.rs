//! The service over the real table: what an administrator does reaches a running API, and an outage takes nothing away.

use std::sync::Arc;
use std::time::Duration;

use kitchen_api::{Service, store::Rotation};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::applications::table;
use crate::client::Client;
use crate::peers::Peers;
use crate::rig::{config, dependencies, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

async fn until(client: &Client, path: &str, status: u16) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while client.get(path).await.status != status {
        assert!(tokio::time::Instant::now() < deadline, "not {status} within 5 s");
    }
}

#[tokio::test]
async fn administration_reaches_a_running_api_within_five_seconds() {
    let table = table().await;
    let application = "app".parse().unwrap();
    let secret = table.applications.create(&application, "").await.unwrap();
    table.applications.grant(&application, &[merchant(1)]).await.unwrap();
    let given = dependencies(&Peers::default(), Arc::new(table.applications.clone()), table.clock.clone());
    let service = Service::build(config(), given).await.unwrap();
    let handle = service.handle();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(shutdown.clone()));
    eventually("it is ready", || handle.readiness().is_ok()).await;

    let client = Client::new(handle.address());
    let token = client.ask_for_token("app", secret.expose_secret()).await.json();
    let app = client.with_token(token["accessToken"].as_str().unwrap());
    assert_eq!(app.get(POLL).await.status, 204);
    let status = format!("/merchant/v1.0/merchants/{}", merchant(2));
    assert_eq!(app.get(&status).await.status, 403);

    table.applications.revoke(&application).await.unwrap();
    until(&app, POLL, 401).await;
    let renewed = table.applications.rotate(&application, Rotation::Immediately).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    let app = loop {
        let answer = client.ask_for_token("app", renewed.expose_secret()).await;
        if answer.status == 200 {
            break client.with_token(answer.json()["accessToken"].as_str().unwrap());
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(600)).await;
    };
    until(&app, POLL, 204).await;

    table.aws.shutdown().await;
    for _ in 0..5 {
        assert_eq!(app.get(POLL).await.status, 204, "known tokens go on working without DynamoDB");
    }
    assert!(handle.readiness().is_ok());
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
