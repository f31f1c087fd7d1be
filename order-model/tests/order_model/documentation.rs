//! `docs/LIFECYCLE.md` is what the code says.

use std::path::Path;

use order_model::lifecycle::transition_table_markdown;

#[test]
fn the_document_is_generated_from_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/LIFECYCLE.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == transition_table_markdown(),
        "docs/LIFECYCLE.md is out of date: run\n  cargo run -p order-model --example lifecycle_table > docs/LIFECYCLE.md"
    );
}
