//! Presentations in the table, each an item beside its profile.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt};
use order_model::MerchantId;

use super::{Item, Store, StoreError, number, read_flag, read_number, read_optional, read_text, text};
use crate::profile::{Address, Presentation};

/// Presentations read at the same time.
const READS_AT_ONCE: usize = 16;
/// The format of what is written here.
const FORMAT_VERSION: u32 = 1;

impl Store {
    /// Writes what is given of how a merchant presents itself; the rest stays as it is. One write, so that two of them at once
    /// are both kept.
    pub async fn present(&self, merchant: MerchantId, given: &Presentation) -> Result<(), StoreError> {
        let attributes = attributes(given);
        if attributes.is_empty() {
            return Ok(());
        }
        let mut update = self.client.update_item().table_name(&self.table);
        update = update.key("pk", text(format!("m#{merchant}"))).key("sk", text("presentation"));
        let mut assignments = vec!["formatVersion = :format".to_owned()];
        // Numbered: some of the names are words of DynamoDB's own.
        for (place, (name, value)) in attributes.into_iter().enumerate() {
            update = update.expression_attribute_names(format!("#f{place}"), name);
            update = update.expression_attribute_values(format!(":v{place}"), value);
            assignments.push(format!("#f{place} = :v{place}"));
        }
        let update = update.update_expression(format!("SET {}", assignments.join(", ")));
        let update = update.expression_attribute_values(":format", number(FORMAT_VERSION));
        self.call("UpdateItem", update.send()).await.map_err(StoreError::from)?;
        Ok(())
    }

    /// How each of `merchants` presents itself, in their order.
    pub async fn presentations(&self, merchants: &[MerchantId]) -> Result<Vec<Presentation>, StoreError> {
        let reads = futures::stream::iter(merchants.to_vec()).map(|merchant| self.presentation(merchant));
        reads.buffered(READS_AT_ONCE).try_collect().await
    }

    /// How a merchant presents itself, as far as anybody said so.
    pub async fn presentation(&self, merchant: MerchantId) -> Result<Presentation, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("pk", text(format!("m#{merchant}"))).key("sk", text("presentation"));
        let answer = self.call("GetItem", get.send()).await.map_err(StoreError::from)?;
        answer.item().map_or_else(|| Ok(Presentation::default()), from_item)
    }
}

pub(super) fn attributes(given: &Presentation) -> Vec<(&'static str, AttributeValue)> {
    let texts = given.texts().into_iter().filter_map(|(name, value)| Some((name, text(value.as_ref()?))));
    let cents = given.average_ticket_cents.map(|cents| ("averageTicketCents", number(cents)));
    let exclusive = given.exclusive.map(|exclusive| ("exclusive", AttributeValue::Bool(exclusive)));
    texts.chain(cents).chain(exclusive).collect()
}

pub(super) fn from_item(item: &Item) -> Result<Presentation, StoreError> {
    let words = |name| item.contains_key(name).then(|| read_text(item, name).map(str::to_owned)).transpose();
    let cents = item.contains_key("averageTicketCents").then(|| read_number(item, "averageTicketCents"));
    Ok(Presentation {
        description: words("description")?,
        average_ticket_cents: cents.transpose()?,
        exclusive: read_optional(item, "exclusive", read_flag)?,
        address: Address {
            country: words("country")?,
            state: words("state")?,
            city: words("city")?,
            district: words("district")?,
            street: words("street")?,
            number: words("number")?,
            postal_code: words("postalCode")?,
        },
    })
}
