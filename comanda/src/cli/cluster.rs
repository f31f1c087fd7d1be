//! `comanda cluster …` as it can be typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Role, SettingsOnly};

/// `cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Form a cluster of the nodes named by --grid-seeds
    #[command(after_help = "Example: comanda cluster init --grid-seeds 10.0.0.1:7075,10.0.0.2:7075,10.0.0.3:7075")]
    Init(SettingsOnly),
    /// Take a running node in; partitions move to it while everything goes on
    #[command(after_help = "Example: comanda cluster add 10.0.0.4:7075 --grid-seeds 10.0.0.1:7075")]
    Add {
        /// host:port of the node
        address: String,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Move every partition off a node and take it out
    #[command(after_help = "Example: comanda cluster remove 4 --grid-seeds 10.0.0.1:7075")]
    Remove(ClusterNode),
    /// Show members, partitions, replicas and leaders
    #[command(after_help = "Example: comanda cluster status --grid-seeds 10.0.0.1:7075")]
    Status(SettingsOnly),
    /// Let a replica lead its partition
    #[command(after_help = "Example: comanda cluster transfer order-events 3 2 --grid-seeds 10.0.0.1:7075")]
    Transfer {
        /// order-events or merchant-connection
        grid: String,
        /// Partition
        partition: u16,
        /// Id of the node that is to lead
        node: u64,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        rest: SettingsOnly,
    },
    /// Hand over every leadership of a node, before it is stopped
    #[command(after_help = "Example: comanda cluster drain 2 --grid-seeds 10.0.0.1:7075")]
    Drain(ClusterNode),
    /// Make the cluster's own authority, and certificates signed by it
    #[command(after_help = "Example: comanda cluster certificates ./certificates --client core --role gateway-core")]
    Certificates(CertificatesArgs),
}

/// A node of the cluster.
#[derive(Debug, Args)]
pub struct ClusterNode {
    /// Id of the node
    pub node: u64,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}

/// `cluster certificates`.
#[derive(Debug, Args)]
pub struct CertificatesArgs {
    /// Directory of ca.pem and ca-key.pem, made when they are missing, and of the certificates
    pub directory: PathBuf,
    /// Id of a node to make a certificate for
    #[arg(long = "node", value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub nodes: Vec<u64>,
    /// Name of a process that is no grid node, such as kitchen-api
    #[arg(long = "client", value_name = "NAME")]
    pub clients: Vec<String>,
    /// Role that the processes with these certificates answer as to others, such as gateway-core; of all certificates made at once
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    pub roles: Vec<Role>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub rest: SettingsOnly,
}
