//! Prints `docs/LIFECYCLE.md`: `cargo run -p order-model --example lifecycle_table > docs/LIFECYCLE.md`.

fn main() {
    print!("{}", order_model::lifecycle::transition_table_markdown());
}
