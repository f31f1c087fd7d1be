//! The processes of a deployment: what each is started with, and how it is killed, hung, stopped and started again.

use std::path::PathBuf;

use super::addresses::flag_of;
use super::{Deployment, NODE_ROLES, blocking, borrowed};
use crate::platform::{Process, run};

impl Deployment {
    /// Starts a role that is down, on its old addresses; returns once it says that it is ready.
    pub fn restart(&self, role: &'static str) {
        blocking(|| self.spawn(role));
    }

    pub(super) fn spawn(&self, role: &'static str) {
        let arguments = self.arguments(role);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(&arguments, &borrowed(&self.environment));
        assert!(self.running.lock().insert(role, process).is_none(), "{role} was running");
    }

    /// Starts a role that must refuse to run: its exit code, and what it said on standard error.
    pub fn start_refused(&self, role: &'static str) -> (i32, String) {
        let arguments = self.arguments(role);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, _, stderr) = blocking(|| run(&arguments, &borrowed(&self.environment)));
        (code, stderr)
    }

    /// kill -9.
    pub fn kill(&self, role: &'static str) {
        let mut process = self.take(role);
        blocking(|| process.kill());
        self.ended.lock().push_str(&process.log());
    }

    /// Sends a signal to a running role, such as `STOP`, with which it hangs, and `CONT`.
    pub fn signal(&self, role: &'static str, name: &str) {
        let pid = self.running.lock().get(role).unwrap_or_else(|| panic!("{role} is not running")).pid();
        crate::platform::signal(pid, name);
    }

    /// Ctrl-C: it drains and must exit 0.
    pub fn stop(&self, role: &'static str) {
        let mut process = self.take(role);
        let code = blocking(|| process.interrupt());
        assert_eq!(code, Some(0), "{role} drains\n{}", process.log());
        self.ended.lock().push_str(&process.log());
    }

    fn take(&self, role: &str) -> Process {
        self.running.lock().remove(role).unwrap_or_else(|| panic!("{role} is not running"))
    }

    /// Where a node keeps everything.
    pub fn directory(&self, node: &str) -> PathBuf {
        self.data.path().join(node)
    }

    /// Takes a node's disk away for good; the node is down.
    pub fn lose_disk(&self, node: &str) {
        std::fs::remove_dir_all(self.data.path().join(node)).unwrap();
    }

    fn arguments(&self, role: &'static str) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "--json".to_owned()];
        let is_node = self.addresses.nodes.contains_key(role);
        let roles = if is_node { NODE_ROLES.to_vec() } else { vec![role] };
        arguments.extend(roles.into_iter().map(str::to_owned));
        if !self.addresses.nodes.is_empty() {
            arguments.extend(["--grid-seeds".to_owned(), self.seeds()]);
        }
        if let Some(address) = self.addresses.nodes.get(role) {
            let (id, directory) = (role.trim_start_matches("node-"), self.data.path().join(role));
            arguments.extend(["--grid-addr".to_owned(), address.clone()]);
            if !self.is_volatile {
                arguments.extend(["--node-id".to_owned(), id.to_owned()]);
                arguments.extend(["--data-dir".to_owned(), directory.display().to_string()]);
            }
            arguments.extend(["--grid-advertised-addr".to_owned(), self.advertised(role).to_owned()]);
            arguments.extend(self.certificate(role));
        } else {
            arguments.extend(self.certificate(&format!("client-{role}")));
        }
        arguments.extend(["--http-addr".to_owned(), self.addresses.http.clone()]);
        arguments.extend(["--ops-addr".to_owned(), self.addresses.ops[role].clone()]);
        for (flag, address) in &self.addresses.internal {
            let listens_everywhere = self.is_tls_mutual && *flag == flag_of(role);
            let address = if listens_everywhere { address.replace("127.0.0.1", "0.0.0.0") } else { address.clone() };
            arguments.extend([format!("--{flag}"), address]);
        }
        arguments.extend(self.flags.iter().cloned());
        arguments
    }

    /// Everything that any process of ours logged so far.
    pub fn logs(&self) -> String {
        let mut all = self.ended.lock().clone();
        all.push_str(&self.aws_process.log());
        self.running.lock().values().for_each(|process| all.push_str(&process.log()));
        all
    }
}
