//! The seams of SQS.

use aws_sdk_sqs::types::QueueAttributeName;

use crate::Fixture;

#[tokio::test]
async fn a_queue_is_created_once_however_often_and_however_its_redrive_policy_is_written() {
    let fixture = Fixture::start();
    let (_, dead_letters) = fixture.queue("orders-dlq").await;
    let policies = [
        format!(r#"{{"maxReceiveCount":"1000","deadLetterTargetArn":"{dead_letters}"}}"#),
        format!(r#"{{"deadLetterTargetArn":"{dead_letters}","maxReceiveCount":1000}}"#),
    ];
    let mut urls = Vec::new();
    for policy in policies {
        let create = fixture.sqs.create_queue().queue_name("orders");
        let created = create.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
        urls.push(created.queue_url.unwrap());
    }
    assert_eq!(urls[0], urls[1]);
    assert!(urls[0].starts_with(&fixture.aws.endpoint()), "{}", urls[0]);
}

#[tokio::test]
async fn simultaneous_creations_make_one_queue() {
    let fixture = Fixture::start();
    let create = || fixture.sqs.create_queue().queue_name("same").send();
    let created = futures::future::join_all((0..16).map(|_| create())).await;
    let url = created[0].as_ref().unwrap().queue_url.clone().unwrap();
    fixture.sqs.send_message().queue_url(&url).message_body("kept").send().await.unwrap();
    futures::future::join_all((0..16).map(|_| create())).await;
    assert_eq!(fixture.received(&url).await.len(), 1);
}

#[tokio::test]
async fn an_unknown_queue_is_the_error_that_the_sdk_knows() {
    let fixture = Fixture::start();
    let refused = fixture.sqs.get_queue_url().queue_name("absent").send().await.unwrap_err();
    assert!(refused.into_service_error().is_queue_does_not_exist());
}
