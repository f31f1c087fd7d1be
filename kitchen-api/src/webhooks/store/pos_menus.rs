//! What is read of the POSes (`crate::pos_menu`): one head for each merchant, and its document in parts.
//!
//! It stands in this table because it is due and leased as deliveries are. A document is stored before the head names it; parts that no
//! head names are removed by whoever stores the next one.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use order_model::{MerchantId, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::item::{
    AT_MS, DUE_INDEX, FORMAT, Item, LANE, bytes, check_format, extend, instant, key, malformed, number, read_bytes,
    read_counter, read_instant, read_number, read_optional_instant, read_parsed, read_text, text,
};
use super::{WebhookStore, WebhookStoreError};
use crate::pos_menu::{PosEndpoints, PosMenu, Reading, StoredDocument};
use crate::store::requests::{send, send_or_unavailable, unavailable};

/// What the index lists reads under, by when they are due.
const READS: &str = "pos-menus";
const HEAD_SK: &str = "pos-menu";
/// A part of a document: an item has 400 KB.
const PART_BYTES: usize = 350 * 1024;

fn pk(merchant: MerchantId) -> String {
    format!("merchant#{merchant}")
}

fn part_sk(generation: &str, part: usize) -> String {
    format!("pos-document#{generation}#{part:03}")
}

impl WebhookStore {
    /// One merchant's.
    pub(crate) async fn pos_menu(&self, merchant: MerchantId) -> Result<Option<PosMenu>, WebhookStoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(pk(merchant), HEAD_SK)));
        let item = send_or_unavailable("GetItem", get.consistent_read(true).send()).await?.item;
        item.map(|item| read(&item)).transpose()
    }

    /// Writes it where the one there is has the version before; whether that was so.
    pub(crate) async fn put_pos_menu(&self, menu: &PosMenu) -> Result<bool, WebhookStoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(write(menu)));
        let put = match menu.version {
            1 => put.condition_expression("attribute_not_exists(pk)"),
            version => put
                .condition_expression("#version = :before")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":before", number(version - 1)),
        };
        match send("PutItem", put.send()).await? {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }

    /// The merchants whose document is to be read by `now`, the longest overdue first, at most `most`.
    pub(crate) async fn due_pos_menus(&self, now: Timestamp, most: i32) -> Result<Vec<MerchantId>, WebhookStoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#lane = :lane AND #at <= :now")
            .expression_attribute_names("#lane", LANE)
            .expression_attribute_names("#at", AT_MS)
            .expression_attribute_values(":lane", text(READS))
            .expression_attribute_values(":now", instant(now))
            .limit(most);
        let page = send_or_unavailable("Query", query.send()).await?;
        page.items().iter().map(merchant_of).collect()
    }

    /// Stores a document; nobody sees it before a head names it.
    pub(crate) async fn store_document(
        &self,
        merchant: MerchantId,
        generation: &str,
        document: &[u8],
        now: Timestamp,
    ) -> Result<StoredDocument, WebhookStoreError> {
        let mut parts = 0;
        for (index, part) in document.chunks(PART_BYTES).enumerate() {
            let mut item = key(pk(merchant), part_sk(generation, index));
            extend(&mut item, [("format", number(FORMAT)), ("part", bytes(part))]);
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
            send_or_unavailable("PutItem", put.send()).await?;
            parts += 1;
        }
        Ok(StoredDocument { generation: generation.to_owned(), parts, stored_at: now })
    }

    /// A stored document; `None` where a newer one has replaced it meanwhile.
    pub(crate) async fn document(
        &self,
        merchant: MerchantId,
        stored: &StoredDocument,
    ) -> Result<Option<Vec<u8>>, WebhookStoreError> {
        let mut document = Vec::new();
        for part in 0..usize::try_from(stored.parts).unwrap_or_default() {
            let key = key(pk(merchant), part_sk(&stored.generation, part));
            let get = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
            let Some(item) = send_or_unavailable("GetItem", get.send()).await?.item else { return Ok(None) };
            check_format(&item)?;
            document.extend_from_slice(read_bytes(&item, "part")?);
        }
        Ok(Some(document))
    }

    /// Removes the parts of every document but the one of `generation`.
    pub(crate) async fn drop_other_documents(
        &self,
        merchant: MerchantId,
        generation: &str,
    ) -> Result<(), WebhookStoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :parts)")
            .projection_expression("sk")
            .expression_attribute_values(":pk", text(pk(merchant)))
            .expression_attribute_values(":parts", text("pos-document#"));
        let kept = format!("pos-document#{generation}#");
        let page = send_or_unavailable("Query", query.send()).await?;
        for item in page.items() {
            let sk = read_text(item, "sk")?;
            if !sk.starts_with(&kept) {
                let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key(pk(merchant), sk)));
                send_or_unavailable("DeleteItem", delete.send()).await?;
            }
        }
        Ok(())
    }
}

fn merchant_of(item: &Item) -> Result<MerchantId, WebhookStoreError> {
    read_parsed(item, "pk", |text| text.strip_prefix("merchant#")?.parse().ok())
}

pub(super) fn write(menu: &PosMenu) -> Item {
    let mut item = key(pk(menu.merchant), HEAD_SK);
    extend(
        &mut item,
        [
            ("format", number(FORMAT)),
            ("application", text(menu.application.as_str())),
            ("base_url", text(menu.endpoints.base_url.as_str())),
            ("reading", text(menu.reading.name())),
            ("last_read_ms", instant(menu.last_read)),
            ("failures", number(menu.failures)),
            ("version", number(menu.version)),
        ],
    );
    let optional = [
        ("api_key", menu.endpoints.api_key.as_ref().map(|key| key.expose_secret().to_owned())),
        ("orders_webhook_url", menu.endpoints.orders_webhook_url.clone()),
        ("more_info", menu.more_info.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            extend(&mut item, [(name, text(value))]);
        }
    }
    if let Some(due_at) = menu.due_at {
        extend(&mut item, [(LANE, text(READS)), (AT_MS, instant(due_at))]);
    }
    if let Some(document) = &menu.document {
        let (generation, stored_at) = (text(document.generation.as_str()), instant(document.stored_at));
        extend(&mut item, [("generation", generation), ("parts", number(document.parts)), ("stored_at_ms", stored_at)]);
    }
    item
}

pub(super) fn read(item: &Item) -> Result<PosMenu, WebhookStoreError> {
    check_format(item)?;
    let optional = |field: &'static str| item.get(field).map(|_| read_text(item, field).map(str::to_owned)).transpose();
    let document = match read_optional_instant(item, "stored_at_ms")? {
        Some(stored_at) => {
            let generation = read_text(item, "generation")?.to_owned();
            Some(StoredDocument { generation, parts: read_number(item, "parts")?, stored_at })
        }
        None => None,
    };
    Ok(PosMenu {
        merchant: merchant_of(item)?,
        application: read_text(item, "application")?.parse().map_err(|_| malformed("application"))?,
        endpoints: PosEndpoints {
            base_url: read_text(item, "base_url")?.to_owned(),
            api_key: optional("api_key")?.map(SecretString::from),
            orders_webhook_url: optional("orders_webhook_url")?,
        },
        reading: read_parsed(item, "reading", Reading::parse)?,
        last_read: read_instant(item, "last_read_ms")?,
        more_info: optional("more_info")?,
        failures: read_number(item, "failures")?,
        due_at: read_optional_instant(item, AT_MS)?,
        document,
        version: read_counter(item, "version")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pos_menu::tests::onboarded;

    #[test]
    fn a_head_survives_its_item() {
        let mut menu = onboarded();
        let check = |menu: &PosMenu| {
            let read = read(&write(menu)).unwrap();
            assert_eq!(format!("{read:?}"), format!("{menu:?}"));
            let key = |menu: &PosMenu| menu.endpoints.api_key.as_ref().map(|key| key.expose_secret().to_owned());
            assert_eq!(key(&read), key(menu));
        };
        check(&menu);
        let at = Timestamp::from_unix_ms(9);
        menu.succeeded(StoredDocument { generation: "g".to_owned(), parts: 2, stored_at: at }, 500, at);
        check(&menu);
        menu.revoked("why".to_owned(), at);
        menu.endpoints.api_key = None;
        menu.endpoints.orders_webhook_url = Some("https://pos.example.com/".to_owned());
        check(&menu);
        assert!(!write(&menu).contains_key(LANE), "it is not due");
    }
}
