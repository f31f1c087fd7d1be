//! Catalogs: menus and batches of changes (PARTNER_API, 1.6).

use super::{Answers, Operation, Parameter, Row, Shape, Takes, Verb, get, header, query};
use crate::catalog::limits;

/// What is done to a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CatalogOperation {
    Catalogs,
    Categories,
    CreateCategory,
    GetCategory,
    ChangeCategory,
    RemoveCategory,
    CategoryItems,
    PutItem,
    GetItem,
    RemoveItem,
    ItemPrice,
    ItemStatus,
    OptionPrice,
    OptionStatus,
    Products,
    CreateProduct,
    GetProduct,
    PutProduct,
    RemoveProduct,
    UnsellableItems,
    GetBatch,
    UploadImage,
    RemoveImage,
}

const IF_MATCH: &[Parameter] = &[header(
    "if-match",
    "An `ETag` as it was answered, or `*`: anything else there now is a 412, and nothing is done.",
)
.shaped(Shape::Pattern(r#"^(\*|"r[0-9]{1,18}")$"#))];
const INCLUDE_ITEMS: &[Parameter] = &[
    query("include_items", "`true`: with the items of each category.").shaped(Shape::Flag),
    query("includeItems", "The same.").shaped(Shape::Flag),
];
const PAGE: &[Parameter] = &[
    query("page", "From 1.").shaped(Shape::Number(1, Some(limits::PRODUCTS_MAX))),
    query("limit", "1 to 100, by default 100.").shaped(Shape::Number(1, Some(limits::PAGE_MAX))),
];

const IF_NONE_MATCH: &[Parameter] =
    &[header("if-none-match", "The `ETag` of the picture: 304 without a body while it is there.")];

const CATEGORIES: &[&str] =
    &["/catalog/v2.0/merchants/{id}/categories", "/catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories"];
const CATEGORY: &[&str] = &[
    "/catalog/v2.0/merchants/{id}/categories/{categoryId}",
    "/catalog/v2.0/merchants/{id}/catalogs/{catalogId}/categories/{categoryId}",
];
const ITEM: &[&str] = &["/catalog/v2.0/merchants/{id}/items/{itemId}"];
const PRODUCTS: &[&str] = &["/catalog/v2.0/merchants/{id}/products"];
const IMAGE: &[&str] = &["/catalog/v2.0/images/{merchantId}/{file}"];
const PRODUCT: &[&str] = &["/catalog/v2.0/merchants/{id}/products/{productId}"];

const fn row(operation: CatalogOperation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row { tag: "catalog", ..get(Operation::Catalog(operation), id, paths) }
}

/// A price or a status, of one or of many.
const fn patch(operation: CatalogOperation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row {
        verb: Verb::Patch,
        parameters: IF_MATCH,
        errors: &[400, 404, 408, 412, 413, 429],
        ..row(operation, id, paths)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        summary: "The catalogs: every merchant has one, from the start.",
        answers: Answers::Many("Catalog"),
        ..row(CatalogOperation::Catalogs, "catalogs", &["/catalog/v2.0/merchants/{id}/catalogs"])
    },
    Row {
        summary: "The categories in their order, on demand with their items.",
        answers: Answers::Many("Category"),
        parameters: INCLUDE_ITEMS,
        errors: &[400, 404, 409],
        ..row(CatalogOperation::Categories, "categories", CATEGORIES)
    },
    Row {
        verb: Verb::Post,
        summary: "A new category. The same one again, with its id, is the same category.",
        takes: Takes::One("NewCategory"),
        answers: Answers::Created("Category"),
        errors: &[400, 404, 408, 409, 413],
        ..row(CatalogOperation::CreateCategory, "create_category", CATEGORIES)
    },
    Row {
        summary: "One category.",
        answers: Answers::One("Category"),
        errors: &[404],
        ..row(CatalogOperation::GetCategory, "get_category", CATEGORY)
    },
    Row {
        verb: Verb::Patch,
        summary: "Changes what is sent of a category; the rest stays.",
        takes: Takes::One("CategoryChange"),
        answers: Answers::One("Category"),
        parameters: IF_MATCH,
        errors: &[400, 404, 408, 412, 413],
        ..row(CatalogOperation::ChangeCategory, "change_category", CATEGORY)
    },
    Row {
        verb: Verb::Delete,
        summary: "Removes a category that has no items.",
        answers: Answers::Gone,
        parameters: IF_MATCH,
        errors: &[400, 404, 409, 412],
        ..row(CatalogOperation::RemoveCategory, "remove_category", CATEGORY)
    },
    Row {
        summary: "The items of one category, and their products.",
        answers: Answers::One("CategoryItems"),
        errors: &[404, 409],
        ..row(
            CatalogOperation::CategoryItems,
            "category_items",
            &["/catalog/v2.0/merchants/{id}/categories/{categoryId}/items"],
        )
    },
    Row {
        verb: Verb::Put,
        summary: "Creates or replaces an item with its products, option groups and options: all of it, or nothing.",
        takes: Takes::One("WholeItem"),
        answers: Answers::One("Item"),
        parameters: IF_MATCH,
        errors: &[400, 408, 409, 412, 413],
        ..row(CatalogOperation::PutItem, "put_item", &["/catalog/v2.0/merchants/{id}/items"])
    },
    Row {
        summary: "One item.",
        answers: Answers::One("Item"),
        errors: &[404],
        ..row(CatalogOperation::GetItem, "get_item", ITEM)
    },
    Row {
        verb: Verb::Delete,
        summary: "Removes an item; its product stays.",
        answers: Answers::Gone,
        parameters: IF_MATCH,
        errors: &[400, 404, 412],
        ..row(CatalogOperation::RemoveItem, "remove_item", ITEM)
    },
    Row {
        summary: "Changes the price of one item at once, or of many, in an array, as a batch.",
        takes: Takes::OneOrMany("ItemPrice"),
        answers: Answers::OneOrBatch("Item"),
        ..patch(CatalogOperation::ItemPrice, "item_price", &["/catalog/v2.0/merchants/{id}/items/price"])
    },
    Row {
        summary: "Puts one item on sale or pauses it at once, or many, in an array, as a batch.",
        takes: Takes::OneOrMany("ItemStatus"),
        answers: Answers::OneOrBatch("Item"),
        ..patch(CatalogOperation::ItemStatus, "item_status", &["/catalog/v2.0/merchants/{id}/items/status"])
    },
    Row {
        summary: "Changes the price of one option at once, or of many, in an array, as a batch.",
        takes: Takes::OneOrMany("OptionPrice"),
        answers: Answers::OneOrBatch("Option"),
        ..patch(CatalogOperation::OptionPrice, "option_price", &["/catalog/v2.0/merchants/{id}/options/price"])
    },
    Row {
        summary: "Puts one option on sale or pauses it at once, or many, in an array, as a batch.",
        takes: Takes::OneOrMany("OptionStatus"),
        answers: Answers::OneOrBatch("Option"),
        ..patch(CatalogOperation::OptionStatus, "option_status", &["/catalog/v2.0/merchants/{id}/options/status"])
    },
    Row {
        summary: "A page of the products, by their ids.",
        answers: Answers::Many("Product"),
        parameters: PAGE,
        errors: &[400],
        ..row(CatalogOperation::Products, "products", PRODUCTS)
    },
    Row {
        verb: Verb::Post,
        summary: "A new product. The same one again, with its id, is the same product.",
        takes: Takes::One("NewProduct"),
        answers: Answers::Created("Product"),
        errors: &[400, 408, 409, 413],
        ..row(CatalogOperation::CreateProduct, "create_product", PRODUCTS)
    },
    Row {
        summary: "One product.",
        answers: Answers::One("Product"),
        errors: &[404],
        ..row(CatalogOperation::GetProduct, "get_product", PRODUCT)
    },
    Row {
        verb: Verb::Put,
        summary: "Replaces a product.",
        takes: Takes::One("NewProduct"),
        answers: Answers::One("Product"),
        parameters: IF_MATCH,
        errors: &[400, 404, 408, 409, 412, 413],
        ..row(CatalogOperation::PutProduct, "put_product", PRODUCT)
    },
    Row {
        verb: Verb::Delete,
        summary: "Removes a product that no item and no option has.",
        answers: Answers::Gone,
        parameters: IF_MATCH,
        errors: &[400, 404, 409, 412],
        ..row(CatalogOperation::RemoveProduct, "remove_product", PRODUCT)
    },
    Row {
        summary: "What cannot be ordered as things stand, and why. Hours of sale are not looked at.",
        answers: Answers::One("Unsellable"),
        errors: &[404],
        ..row(
            CatalogOperation::UnsellableItems,
            "unsellable_items",
            // The other one was seen on the wire.
            &[
                "/catalog/v2.0/merchants/{id}/catalogs/{catalogId}/unsellableItems",
                "/catalog/v1.0/merchants/{id}/catalogs/{catalogId}/unsellableItems",
            ],
        )
    },
    Row {
        summary: "How far a batch is, with the result of each entry; for 7 days after it is finished.",
        answers: Answers::One("Batch"),
        errors: &[404],
        ..row(CatalogOperation::GetBatch, "get_batch", &["/catalog/v2.0/merchants/{id}/batch/{batchId}"])
    },
    Row {
        verb: Verb::Post,
        summary: "Keeps a PNG, a JPEG or a WebP of at most 190 KiB and says where it is served. The same one again is the same.",
        takes: Takes::One("NewImage"),
        answers: Answers::Created("ImagePath"),
        errors: &[400, 408, 413],
        ..row(CatalogOperation::UploadImage, "upload_image", &["/catalog/v2.0/merchants/{id}/image/upload"])
    },
    Row {
        verb: Verb::Delete,
        summary: "Gives the place of a picture back that no product has.",
        answers: Answers::Gone,
        errors: &[404, 409],
        ..row(CatalogOperation::RemoveImage, "remove_image", IMAGE)
    },
    Row {
        tag: "catalog",
        summary: "A picture of a menu, for everybody. What an address shows never changes.",
        answers: Answers::Picture,
        parameters: IF_NONE_MATCH,
        errors: &[404],
        takes_token: false,
        ..get(Operation::CatalogImage, "catalog_image", IMAGE)
    },
];
