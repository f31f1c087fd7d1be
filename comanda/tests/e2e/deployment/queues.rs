//! The queues and topics of a deployment, past the proxy: what apps send, what was published, and what was given up.

use super::Deployment;

impl Deployment {
    /// Sends bodies to the queue `orders`, past the proxy, ten at a time as producers do.
    pub async fn send(&self, bodies: &[String]) {
        let queue = self.queue_url("orders").await;
        for batch in bodies.chunks(10) {
            let entries = batch.iter().enumerate().map(|(index, body)| {
                let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder();
                entry.id(index.to_string()).message_body(body).build().unwrap()
            });
            let sent =
                self.aws.sqs.send_message_batch().queue_url(&queue).set_entries(Some(entries.collect())).send().await;
            assert!(sent.unwrap().failed().is_empty(), "the queue took every message");
        }
    }

    async fn queue_url(&self, name: &str) -> String {
        let found = self.aws.sqs.get_queue_url().queue_name(name).send().await.unwrap();
        found.queue_url().unwrap().to_owned()
    }

    /// Whether no message lies in a queue, be it visible, in somebody's hands or delayed.
    pub async fn is_empty(&self, queue: &str) -> bool {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let counts = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let url = self.queue_url(queue).await;
        let asked = self.aws.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(counts.to_vec()));
        let found = asked.send().await.unwrap();
        let count = |name| found.attributes().and_then(|all| all.get(name)).unwrap().parse::<u64>().unwrap();
        counts.iter().map(count).sum::<u64>() == 0
    }

    /// A queue of its own that gets everything published to `topic` from now on; its URL.
    pub async fn observe(&self, topic: &str) -> String {
        let settings = message_bus::admin::QueueSettings::default();
        let name = format!("observer-of-{topic}");
        let (queue, _) = message_bus::admin::create_queue(&self.aws.sqs, "", &name, &settings).await.unwrap();
        let topic = message_bus::admin::create_topic(&self.aws.sns, "", topic).await.unwrap();
        message_bus::admin::subscribe(&self.aws.sns, &self.aws.sqs, &topic, &queue).await.unwrap();
        queue.url
    }

    /// Takes what lies in a queue: each message with all of its attributes.
    pub async fn drain(&self, queue_url: &str) -> Vec<aws_sdk_sqs::types::Message> {
        let mut all = Vec::new();
        loop {
            let received = self.aws.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
            let received = received.message_attribute_names("All").wait_time_seconds(0).send().await.unwrap();
            if received.messages().is_empty() {
                return all;
            }
            for message in received.messages() {
                let receipt = message.receipt_handle().unwrap();
                self.aws.sqs.delete_message().queue_url(queue_url).receipt_handle(receipt).send().await.unwrap();
                all.push(message.clone());
            }
        }
    }

    /// Takes the dead letters of a queue.
    pub async fn dead_letters(&self, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
        self.drain(&self.queue_url(&format!("{queue}-dlq")).await).await
    }

    /// Every dead letter of every queue, in words; empty when nothing was given up.
    pub async fn given_up(&self) -> Vec<String> {
        let mut all = Vec::new();
        for queue in ["orders", "order-events-feed", "connection-polling-feed", "webhooks-feed"] {
            for message in self.dead_letters(queue).await {
                let attribute = |name: &str| {
                    let attributes = message.message_attributes();
                    attributes.and_then(|all| all.get(name)?.string_value()).unwrap_or("-").to_owned()
                };
                all.push(format!(
                    "{queue}: {} {} {}",
                    attribute("reason"),
                    attribute("detail"),
                    message.body().unwrap_or("")
                ));
            }
        }
        all
    }
}
