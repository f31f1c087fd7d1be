//! DynamoDB as merchant-connection reaches it: a model beneath the SDK, at the place of its HTTP client.
//!
//! One table, and the operations of presence alone. What is under the calls (delays, outages, answers that are lost) is the
//! feed's [`Cloud`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, HttpClient, IdentityCache, Region, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::{Value, json};

use super::expressions::{Item, Scope};
use crate::feed::cloud::Cloud;
use crate::machine::Machine;

/// The items of the table `merchants`, by key.
#[derive(Debug, Default)]
pub struct MerchantsTable {
    items: BTreeMap<(String, String), Item>,
}

type Answer = Result<Value, Value>;

/// The client of `machine`. It does not try again: the SDK's pauses would be no function of the seed.
pub fn client(cloud: &Arc<Cloud<MerchantsTable>>, machine: &Arc<Machine>) -> Client {
    let model = Model { cloud: Arc::clone(cloud), machine: Arc::clone(machine) };
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .identity_cache(IdentityCache::no_cache())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url("http://dynamodb:8000")
        .http_client(model)
        .build();
    Client::from_conf(config)
}

#[derive(Clone)]
struct Model {
    cloud: Arc<Cloud<MerchantsTable>>,
    machine: Arc<Machine>,
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the DynamoDB of machine {}", self.machine.number)
    }
}

impl HttpClient for Model {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Model {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let model = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body = request.body().bytes().unwrap_or_default();
            let body: Value = serde_json::from_slice(body).map_err(|error| ConnectorError::user(error.into()))?;
            let called = model.cloud.call(&model.machine, |table, _| table.carry_out(&operation, &body)).await;
            match called.map_err(|unreachable| ConnectorError::io(unreachable.into()))? {
                Ok(answer) => response(200, &answer),
                Err(refusal) => response(400, &refusal),
            }
        })
    }
}

fn response(status: u16, body: &Value) -> Result<HttpResponse, ConnectorError> {
    let status = status
        .try_into()
        .map_err(|error: aws_smithy_runtime_api::http::HttpError| ConnectorError::other(error.into(), None))?;
    Ok(HttpResponse::new(status, body.to_string().into()))
}

impl MerchantsTable {
    fn carry_out(&mut self, operation: &str, body: &Value) -> Answer {
        match operation {
            "GetItem" => {
                let item = self.items.get(&key(&body["Key"]));
                Ok(item.map_or_else(|| json!({}), |item| json!({ "Item": item })))
            }
            "UpdateItem" => {
                if !self.may(body, &body["Key"]) {
                    return Err(refusal("ConditionalCheckFailedException"));
                }
                self.update(body);
                Ok(json!({}))
            }
            "TransactWriteItems" => self.transact(body["TransactItems"].as_array().map_or(&[], Vec::as_slice)),
            "Scan" => Ok(self.scan(body)),
            _ => Err(refusal("UnknownOperationException")),
        }
    }

    /// Whether the condition of a request holds, if it has one.
    fn may(&self, request: &Value, of: &Value) -> bool {
        let item = self.items.get(&key(of));
        request["ConditionExpression"].as_str().is_none_or(|condition| Scope(request).holds(condition, item))
    }

    fn update(&mut self, request: &Value) {
        let (of, expression) = (&request["Key"], request["UpdateExpression"].as_str().unwrap_or_default());
        let new = || of.as_object().cloned().unwrap_or_default();
        let item = self.items.entry(key(of)).or_insert_with(new);
        Scope(request).update(expression, item);
    }

    fn transact(&mut self, items: &[Value]) -> Answer {
        let may = |one: &Value| {
            let (update, put) = (&one["Update"], &one["Put"]);
            if update.is_null() { self.may(put, &put["Item"]) } else { self.may(update, &update["Key"]) }
        };
        let verdicts: Vec<bool> = items.iter().map(may).collect();
        if verdicts.contains(&false) {
            let reason = |may: &bool| json!({ "Code": if *may { "None" } else { "ConditionalCheckFailed" } });
            let mut refusal = refusal("TransactionCanceledException");
            refusal["CancellationReasons"] = verdicts.iter().map(reason).collect();
            return Err(refusal);
        }
        for one in items {
            if one["Update"].is_null() {
                let item = &one["Put"]["Item"];
                self.items.insert(key(item), item.as_object().cloned().unwrap_or_default());
            } else {
                self.update(&one["Update"]);
            }
        }
        Ok(json!({}))
    }

    /// All of a segment on one page.
    fn scan(&self, request: &Value) -> Value {
        let (segment, segments) = (request["Segment"].as_u64(), request["TotalSegments"].as_u64().unwrap_or(1).max(1));
        let of = |key: &str| key.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)) % segments;
        let here = self.items.iter().filter(|((partition, _), _)| segment.is_none_or(|one| one == of(partition)));
        let here: Vec<&Item> = here.map(|(_, item)| item).collect();
        let is_wanted = |item: &&&Item| {
            request["FilterExpression"].as_str().is_none_or(|filter| Scope(request).holds(filter, Some(item)))
        };
        let found: Vec<&Item> = here.iter().filter(is_wanted).copied().collect();
        json!({ "Count": found.len(), "ScannedCount": here.len(), "Items": found })
    }
}

/// The key within a key or an item.
fn key(of: &Value) -> (String, String) {
    let part = |name: &str| of[name]["S"].as_str().unwrap_or_default().to_owned();
    (part("pk"), part("sk"))
}

fn refusal(kind: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "refused by the model" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(sequence: u32) -> Value {
        json!({ "Update": {
            "Key": {"pk": {"S": "m#1"}, "sk": {"S": "presence"}},
            "UpdateExpression": "SET #sequence = :sequence",
            "ConditionExpression": "attribute_not_exists(#sequence) OR #sequence < :sequence",
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {":sequence": {"N": sequence.to_string()}},
        }})
    }

    fn put(sequence: u32) -> Value {
        json!({ "Put": { "Item": {"pk": {"S": "m#1"}, "sk": {"S": format!("t#{sequence}")}} } })
    }

    #[test]
    fn a_transaction_is_all_or_nothing() {
        let mut table = MerchantsTable::default();
        let write = |sequence| json!({ "TransactItems": [update(sequence), put(sequence)] });
        assert_eq!(table.carry_out("TransactWriteItems", &write(2)), Ok(json!({})));
        let refused = table.carry_out("TransactWriteItems", &write(1)).unwrap_err();
        assert_eq!(refused["CancellationReasons"], json!([{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]));
        let get = |sk: &str| json!({ "Key": {"pk": {"S": "m#1"}, "sk": {"S": sk}} });
        assert_eq!(table.carry_out("GetItem", &get("t#1")), Ok(json!({})));
        assert_eq!(table.carry_out("GetItem", &get("presence")).unwrap()["Item"]["sequence"], json!({"N": "2"}));
    }

    #[test]
    fn the_segments_of_a_scan_are_the_whole_table() {
        let mut table = MerchantsTable::default();
        for number in 0..20 {
            let item = json!({"pk": {"S": format!("m#{number}")}, "sk": {"S": "presence"}});
            table.carry_out("TransactWriteItems", &json!({ "TransactItems": [{ "Put": { "Item": item } }] })).unwrap();
        }
        let count = |segment| table.scan(&json!({"Segment": segment, "TotalSegments": 4}))["Count"].as_u64().unwrap();
        assert_eq!((0..4).map(count).sum::<u64>(), 20);
    }
}
