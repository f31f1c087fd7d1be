//! A platform for one test: the real binary on free ports, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use comanda::kitchen_client::KitchenClient;
use comanda::platform::aws::AwsClients;
use serde_json::Value;

/// Starting takes under two seconds on a quiet machine; test machines are not.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Lines of each log that a failing test shows.
const LOG_LINES_SHOWN: usize = 60;

/// A running process of `comanda`, its ready line and what it logged.
pub struct Process {
    child: Child,
    pub ready: Value,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `comanda` with `arguments` and `environment`, waits for its ready line.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_comanda"))
            .args(arguments)
            .env_remove("AWS_ENDPOINT_URL")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("stderr is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let gather = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = gather.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = sender.send(line);
            let _ = reader.read_to_end(&mut Vec::new());
        });
        let line = receiver.recv_timeout(READY_TIMEOUT).unwrap_or_default();
        let Ok(ready) = serde_json::from_str(&line) else {
            let _ = child.kill();
            panic!("comanda {arguments:?} is not ready: {line:?}\n{}", log.lock().unwrap());
        };
        Self { child, ready, log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL; nothing is drained.
    pub fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it can be waited for");
    }

    /// SIGINT, as Ctrl-C sends it; gives the exit code.
    pub fn interrupt(&mut self) -> Option<i32> {
        signal(self.pid(), "INT");
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end after SIGINT\n{}", self.log());
    }

    /// The address under `key` of the ready line.
    pub fn address(&self, key: &str) -> String {
        self.ready[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.ready)).to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the last lines of the process's log\n{}", tail.join("\n"));
        }
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// Runs `comanda` to its end: exit code, stdout, stderr.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_comanda"))
        .args(arguments)
        .env_remove("AWS_ENDPOINT_URL")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Has `comanda dev` listen on free ports alone.
pub const FREE_PORTS: [&str; 6] =
    ["--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--local-aws-addr", "127.0.0.1:0"];

/// `comanda dev` on free ports.
pub struct Dev {
    pub process: Process,
}

impl Dev {
    /// With further arguments and environment.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let all = [&["dev", "--json"][..], &FREE_PORTS, arguments].concat();
        Self { process: Process::start(&all, environment) }
    }

    /// A client of `dev-pos` with a token.
    pub async fn pos(&self) -> KitchenClient {
        client(&self.process.address("http"), "dev-pos", "dev-pos-secret").await
    }

    /// AWS clients of its endpoint.
    pub async fn aws(&self) -> AwsClients {
        AwsClients::local(&format!("http://{}", self.process.address("aws"))).await
    }
}

/// A client with a token.
pub async fn client(http: &str, client_id: &str, secret: &str) -> KitchenClient {
    let client = KitchenClient::new(&format!("http://{http}"), client_id, secret).unwrap();
    client.authenticate().await.unwrap();
    client
}

/// Waits until `probe` answers something, at most `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
