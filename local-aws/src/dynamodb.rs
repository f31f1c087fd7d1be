//! DynamoDB: `dynoxide`'s engine behind our listener.
//!
//! Called by [`crate::endpoints`]. The engine is called directly rather than through its own HTTP server, which would
//! need a port of its own and logs bodies at `trace`; what is lost are DynamoDB's exact words for malformed requests,
//! which no SDK sends. Deliberately absent: Streams' and PartiQL's operations.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Error;
use crate::endpoints::{Answer, answer};

const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
const FILE_NAME: &str = "dynamodb.sqlite";

/// The tables.
#[derive(Clone)]
pub(crate) struct DynamoDb {
    database: Database,
    /// Whether calls wait for a disk, so that they must not run on the threads of the runtime.
    on_disk: bool,
}

impl DynamoDb {
    /// Opens the file in `data_dir`, or an empty database in memory.
    pub(crate) fn open(data_dir: Option<&Path>) -> Result<Self, Error> {
        let Some(directory) = data_dir else {
            let database = Database::memory().map_err(|source| database_error(":memory:".into(), source))?;
            return Ok(Self { database, on_disk: false });
        };
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::DataDirectory { path: directory.to_owned(), source })?;
        let path = directory.join(FILE_NAME);
        // SQLite's own message for a directory that cannot be written to does not name it.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|source| Error::DataDirectory { path: directory.to_owned(), source })?;
        let database = Database::new(&path.to_string_lossy()).map_err(|source| database_error(path.clone(), source))?;
        Ok(Self { database, on_disk: true })
    }

    /// Answers one operation, e.g. `PutItem`.
    pub(crate) async fn answer(&self, operation: &str, body: Bytes) -> Answer {
        let result = if self.on_disk {
            let (database, operation) = (self.database.clone(), operation.to_owned());
            let running = tokio::task::spawn_blocking(move || run(&database, &operation, &body));
            running.await.unwrap_or_else(|error| Err(DynoxideError::InternalServerError(error.to_string())))
        } else {
            // In memory an operation takes tens of microseconds: less than the way to another thread and back.
            run(&self.database, operation, &body)
        };
        match result {
            Ok(body) => answer(StatusCode::OK, MEDIA_TYPE, body),
            Err(error) => {
                let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                answer(status, MEDIA_TYPE, error.to_json())
            }
        }
    }

    /// Deletes items past their time to live; answers how many.
    pub(crate) async fn sweep_expired(&self) -> u64 {
        let database = self.database.clone();
        // A sweep reads whole tables and waits for others between pages: never on the runtime's threads.
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(deleted)) => deleted as u64,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the sweep of expired DynamoDB items failed");
                0
            }
            // The runtime is ending.
            Err(_) => 0,
        }
    }
}

fn database_error(path: PathBuf, source: DynoxideError) -> Error {
    Error::Database { path, source: Box::new(source) }
}

/// Runs one operation on the calling thread.
fn run(db: &Database, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
    match operation {
        "PutItem" => call(body, |request| db.put_item(request)),
        "GetItem" => call(body, |request| db.get_item(request)),
        "UpdateItem" => call(body, |request| db.update_item(request)),
        "DeleteItem" => call(body, |request| db.delete_item(request)),
        "Query" => call(body, |request| db.query(request)),
        "Scan" => call(body, |request| db.scan(request)),
        "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
        "BatchWriteItem" => call(body, |request| db.batch_write_item(request)),
        "TransactWriteItems" => call(body, |request| db.transact_write_items(without_token(request))),
        "TransactGetItems" => call(body, |request| db.transact_get_items(request)),
        "CreateTable" => call(body, |request| db.create_table(request)),
        "DescribeTable" => call(body, |request| db.describe_table(request)),
        "UpdateTable" => call(body, |request| db.update_table(request)),
        "DeleteTable" => call(body, |request| db.delete_table(request)),
        "ListTables" => call(body, |request| db.list_tables(request)),
        "UpdateTimeToLive" => call(body, |request| db.update_time_to_live(request)),
        "DescribeTimeToLive" => call(body, |request| db.describe_time_to_live(request)),
        "TagResource" => call(body, |request| db.tag_resource(request)),
        "UntagResource" => call(body, |request| db.untag_resource(request)),
        "ListTagsOfResource" => call(body, |request| db.list_tags_of_resource(request)),
        _ => Err(DynoxideError::ValidationException(format!("local-aws does not offer the operation {operation}"))),
    }
}

/// The request without its `ClientRequestToken`, which the SDK puts on every transaction. `dynoxide` keeps tokens for ten
/// minutes and walks all of them at each call: at 500 transactions a second that would soon be all it does. A repeated
/// transaction is judged by its conditions instead, and callers must be able to live with that on AWS as well, where a
/// token is forgotten after ten minutes.
fn without_token(request: TransactWriteItemsRequest) -> TransactWriteItemsRequest {
    TransactWriteItemsRequest { client_request_token: None, ..request }
}

fn call<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Result<Vec<u8>, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| refusal(&error))?;
    let response = operation(request)?;
    serde_json::to_vec(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// DynamoDB's error for a body that cannot be read. `dynoxide` marks the reason of its own checks with a prefix.
fn refusal(error: &serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    for marker in ["VALIDATION_REQUEST:", "VALIDATION_AS_READ:", "VALIDATION:"] {
        if let Some(reason) = message.strip_prefix(marker) {
            return DynoxideError::ValidationException(reason.to_owned());
        }
    }
    if error.is_syntax() || error.is_eof() {
        return DynoxideError::SerializationException(String::new());
    }
    DynoxideError::ValidationException(message)
}
