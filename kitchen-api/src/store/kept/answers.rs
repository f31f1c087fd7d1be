//! What is remembered under an Idempotency-Key: that a request is being answered, and then its answer.
//!
//! Every write is conditional on who held the item when it was read, so that of two requests at a time one is answered and
//! the other one sees it. What to do with what was read is `crate::idempotency`'s to say.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use order_model::Timestamp;

use super::{FORMAT, RequestTable, RequestTableError};
use crate::store::StoreError;
use crate::store::records::{Item, key, number, read_number, read_text, text};
use crate::store::requests::{send, send_or_unavailable, unavailable};
use crate::store::table::EXPIRES_AT;

/// The sort key of what is remembered.
const REQUEST_SK: &str = "request";

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptAnswer {
    pub(crate) status: u16,
    /// Empty when it has no body.
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Somebody answers it, and has until then.
    Held { until: Timestamp },
    /// It was answered so.
    Answered(KeptAnswer),
}

/// What is remembered under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Which request it was.
    pub(crate) fingerprint: [u8; 32],
    /// What its caller could see then.
    pub(crate) scope: [u8; 32],
    /// What its effects are made under; the same for whoever answers it.
    pub(crate) effect: [u8; 16],
    /// Who answers it, or did.
    pub(crate) holder: [u8; 16],
    pub(crate) progress: Progress,
    /// From then on nothing of it counts.
    pub(crate) kept_until: Timestamp,
}

impl RequestTable {
    /// What is remembered under this key.
    pub(crate) async fn remembered(&self, under: &[u8; 32]) -> Result<Option<Remembered>, RequestTableError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(key(request_pk(under), REQUEST_SK)));
        let found = send_or_unavailable("GetItem", get.send()).await?.item;
        Ok(found.as_ref().map(read).transpose()?)
    }

    /// Remembers `what` where there is still what was read before, known by its holder; answers whether there was.
    pub(crate) async fn remember(
        &self,
        under: &[u8; 32],
        what: &Remembered,
        before: Option<[u8; 16]>,
    ) -> Result<bool, RequestTableError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item(under, what)));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(holder) => put
                .condition_expression("holder = :holder")
                .expression_attribute_values(":holder", AttributeValue::B(Blob::new(holder))),
        };
        match send("PutItem", put.send()).await? {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }
}

fn request_pk(under: &[u8; 32]) -> AttributeValue {
    text(&format!("request#{}", hex::encode(under)))
}

pub(super) fn item(under: &[u8; 32], what: &Remembered) -> Item {
    let binary = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    let mut item = key(request_pk(under), REQUEST_SK);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("fingerprint".to_owned(), binary(&what.fingerprint)),
        ("scope".to_owned(), binary(&what.scope)),
        ("effect".to_owned(), binary(&what.effect)),
        ("holder".to_owned(), binary(&what.holder)),
        ("kept_until_ms".to_owned(), number(what.kept_until.unix_ms())),
        (EXPIRES_AT.to_owned(), number(what.kept_until.unix_s_ceil())),
    ]);
    match &what.progress {
        Progress::Held { until } => {
            item.insert("held_until_ms".to_owned(), number(until.unix_ms()));
        }
        Progress::Answered(answer) => item.extend([
            ("status".to_owned(), number(answer.status)),
            ("content_type".to_owned(), text(&answer.content_type)),
            ("body".to_owned(), binary(&answer.body)),
        ]),
    }
    item
}

pub(super) fn read(item: &Item) -> Result<Remembered, StoreError> {
    if read_number::<u64>(item, "format")? != FORMAT {
        return Err(StoreError::Malformed { field: "format" });
    }
    let progress = if item.contains_key("status") {
        Progress::Answered(KeptAnswer {
            status: read_number(item, "status")?,
            content_type: read_text(item, "content_type")?.to_owned(),
            body: bytes(item, "body")?.to_vec(),
        })
    } else {
        Progress::Held { until: Timestamp::from_unix_ms(read_number(item, "held_until_ms")?) }
    };
    Ok(Remembered {
        fingerprint: fixed(item, "fingerprint")?,
        // Written before scopes were: equal to no caller's.
        scope: if item.contains_key("scope") { fixed(item, "scope")? } else { [0; 32] },
        effect: fixed(item, "effect")?,
        holder: fixed(item, "holder")?,
        progress,
        kept_until: Timestamp::from_unix_ms(read_number(item, "kept_until_ms")?),
    })
}

fn bytes<'a>(item: &'a Item, field: &'static str) -> Result<&'a [u8], StoreError> {
    let blob = item.get(field).and_then(|value| value.as_b().ok());
    blob.map(AsRef::as_ref).ok_or(StoreError::Malformed { field })
}

fn fixed<const N: usize>(item: &Item, field: &'static str) -> Result<[u8; N], StoreError> {
    bytes(item, field)?.try_into().map_err(|_| StoreError::Malformed { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_survives_its_item() {
        let held = Remembered {
            fingerprint: [1; 32],
            scope: [4; 32],
            effect: [2; 16],
            holder: [3; 16],
            progress: Progress::Held { until: Timestamp::from_unix_ms(5) },
            kept_until: Timestamp::from_unix_ms(9_001),
        };
        let answer = KeptAnswer { status: 202, content_type: String::new(), body: Vec::new() };
        let answered = Remembered { progress: Progress::Answered(answer), ..held.clone() };
        for what in [held, answered] {
            let item = item(&[7; 32], &what);
            assert_eq!(item[EXPIRES_AT].as_n().unwrap(), "10", "not before it stops counting");
            assert_eq!(read(&item).unwrap(), what);
        }
    }
}
