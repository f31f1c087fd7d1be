//! Compiles `proto/*.proto` with protox, so that no `protoc` is needed on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The shared messages first, by themselves: the services name them by their module in this crate.
    let shared = protox::compile(["proto/feed.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(shared)?;
    let services =
        ["order_events", "connection_polling", "gateway_core", "merchant_connection", "grid_admin", "grid_transport"]
            .map(|name| format!("proto/{name}.proto"));
    let descriptors = protox::compile(services, ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_transport(false)
        .extern_path(".comanda.feed.v1", "crate::feed")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
