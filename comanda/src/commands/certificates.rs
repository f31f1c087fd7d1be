//! `comanda cluster certificates`: the files with which the processes of a cluster prove who they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use replicated_grid::NodeId;
use replicated_grid::transport::{ClusterName, Identity};
use serde_json::{Value, json};

use super::configuration;
use crate::cli::CertificatesArgs;
use crate::cluster_certificates::{self, CertificateAndKey};
use crate::failure::{Context, Failure};
use crate::system_clock::SystemClock;

/// Makes what is asked for and is not there yet; prints where everything is.
pub fn execute(arguments: &CertificatesArgs) -> Result<(), Failure> {
    let settings = configuration::settings(&arguments.rest.settings)?;
    let cluster = ClusterName::new(&settings.grid.cluster).context("reading the cluster's name")?;
    let directory = arguments.directory.as_path();
    std::fs::create_dir_all(directory).context(&format!("making {}", directory.display()))?;
    let nodes = arguments.nodes.iter().map(|id| Identity::Node(NodeId(*id)));
    let clients = arguments.clients.iter().map(|name| client(name)).collect::<Result<Vec<Identity>, Failure>>()?;
    let identities: Vec<Identity> = nodes.chain(clients).collect();
    if identities.is_empty() && !arguments.roles.is_empty() {
        return Err(Failure::Usage("--role is of a certificate: name one with --node or --client".to_owned()));
    }
    let roles: Vec<&str> = arguments.roles.iter().map(|role| role.name()).collect();
    let authority = authority(directory, &cluster)?;
    let now = SystemClock::shared().now();
    let mut made = Vec::new();
    for identity in &identities {
        let (certificate, key) = files(directory, &identity.to_string());
        let pair = cluster_certificates::issue(identity, &roles, &cluster, &authority, now);
        let pair = pair.context("making a certificate")?;
        cluster_certificates::write(&pair, &certificate, &key).context("writing a certificate")?;
        made.push((identity.to_string(), certificate, key));
    }
    report(arguments, directory, &made);
    Ok(())
}

fn client(name: &str) -> Result<Identity, Failure> {
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=40).contains(&name.len()) && name.bytes().all(is_label) {
        Ok(Identity::Client(Arc::from(name)))
    } else {
        Err(Failure::Usage(format!("--client {name:?}: expected 1 to 40 lower-case letters, digits and dashes")))
    }
}

fn files(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{name}.pem")), directory.join(format!("{name}-key.pem")))
}

/// The authority that the directory keeps, or a new one, which is kept there.
fn authority(directory: &Path, cluster: &ClusterName) -> Result<CertificateAndKey, Failure> {
    let (certificate, key) = files(directory, "ca");
    let read = |path: &Path| std::fs::read_to_string(path).context(&format!("reading {}", path.display()));
    if certificate.exists() || key.exists() {
        return Ok(CertificateAndKey { certificate_pem: read(&certificate)?, key_pem: read(&key)?.into() });
    }
    let made = cluster_certificates::authority(cluster, SystemClock::shared().now()).context("making the authority")?;
    cluster_certificates::write(&made, &certificate, &key).context("writing the authority")?;
    Ok(made)
}

fn report(arguments: &CertificatesArgs, directory: &Path, made: &[(String, PathBuf, PathBuf)]) {
    let (ca, _) = files(directory, "ca");
    if arguments.rest.output.json {
        let row = |(name, certificate, key): &(String, PathBuf, PathBuf)| json!({"name": name, "certificate": certificate, "key": key});
        println!("{}", json!({"ca": ca, "made": made.iter().map(row).collect::<Vec<Value>>()}));
        return;
    }
    println!("authority: {} (keep its key away from the nodes)", ca.display());
    for (name, certificate, key) in made {
        println!(
            "{name}: COMANDA_GRID_CA_FILE={} COMANDA_GRID_CERT_FILE={} COMANDA_GRID_KEY_FILE={}",
            ca.display(),
            certificate.display(),
            key.display()
        );
    }
}
