//! The cluster of a deployment: the commands that form, ask and grow it, and the certificates that its processes have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::addresses::{Addresses, flag_of};
use super::{Deployment, ROLES, STARTED_LIMIT, blocking, typed};
use crate::platform::run;

/// Whose certificate `cluster` commands are typed with.
const OPERATOR: &str = "operator";

/// Makes a private authority below `data`, and what every node and role has of it.
pub(super) fn make_certificates(addresses: &Addresses, data: &Path) {
    let directory = data.join("certificates").display().to_string();
    let nodes = addresses.nodes.keys().flat_map(|node| ["--node", node.trim_start_matches("node-")]);
    let made = ["cluster", "certificates", &directory, "--client", OPERATOR];
    typed(&made.into_iter().chain(nodes).collect::<Vec<_>>(), &[]);
    for role in ROLES {
        let called = addresses.internal.iter().any(|(flag, _)| flag_of(role) == *flag);
        let answers_as = if called { vec!["--role", role] } else { Vec::new() };
        let made = ["cluster", "certificates", &directory, "--client", role];
        typed(&made.into_iter().chain(answers_as).collect::<Vec<_>>(), &[]);
    }
}

impl Deployment {
    /// Types `cluster init` until every node answers.
    pub fn form_cluster(&self) {
        let deadline = Instant::now() + STARTED_LIMIT;
        loop {
            let (code, _, stderr) = self.try_cluster(&["init"]);
            if code == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "the cluster is not formed: {stderr}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types a `cluster` command that asks the nodes of the deployment; what it printed.
    pub fn cluster(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.try_cluster(arguments);
        assert_eq!(code, 0, "comanda cluster {arguments:?}\n{stderr}");
        stdout
    }

    /// The same, whatever becomes of it: exit code, standard output, standard error.
    pub fn try_cluster(&self, arguments: &[&str]) -> (i32, String, String) {
        self.try_cluster_as(&format!("client-{OPERATOR}"), &self.seeds(), arguments)
    }

    /// The same under the certificate of `who`, and asking only the nodes at `seeds`.
    pub fn try_cluster_as(&self, who: &str, seeds: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["cluster".to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        all.extend(["--grid-seeds".to_owned(), seeds.to_owned()]);
        all.extend(self.certificate(who));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        blocking(|| run(&all, &[]))
    }

    /// Starts the node that is no member yet, and takes it in; returns once it is ready.
    pub fn add_node(&self, node: &'static str) {
        blocking(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| self.spawn(node));
                let deadline = Instant::now() + STARTED_LIMIT;
                while self.try_cluster(&["add", self.advertised(node)]).0 != 0 {
                    assert!(Instant::now() < deadline, "{node} is not taken in");
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        });
    }

    /// Where others reach a node.
    pub fn advertised(&self, node: &str) -> &str {
        self.links.get(node).map_or_else(|| self.addresses.nodes[node].as_str(), |link| &link.address)
    }

    pub(super) fn seeds(&self) -> String {
        let members = self.addresses.nodes.keys().filter(|node| self.roles.contains(node));
        members.map(|node| self.advertised(node).to_owned()).collect::<Vec<_>>().join(",")
    }

    /// The flags that say who a process is, if it has to.
    pub(super) fn certificate(&self, name: &str) -> Vec<String> {
        if !self.is_tls_mutual {
            return Vec::new();
        }
        let [ca, certificate, key] = self.certificate_files(name).map(|path| path.display().to_string());
        let files = [("ca", ca), ("cert", certificate), ("key", key)];
        files.into_iter().flat_map(|(flag, path)| [format!("--grid-{flag}-file"), path]).collect()
    }

    /// The authority's certificate, and certificate and key of `name`, such as `node-1` or `client-gateway-core`.
    pub fn certificate_files(&self, name: &str) -> [PathBuf; 3] {
        let directory = self.data.path().join("certificates");
        ["ca.pem".to_owned(), format!("{name}.pem"), format!("{name}-key.pem")].map(|file| directory.join(file))
    }
}
