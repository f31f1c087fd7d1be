//! What `dev` suggests is pasted into a shell, line by line, as a newcomer would.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::platform::FREE_PORTS;

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_line_that_dev_prints_works_when_pasted() {
    let child = Command::new(env!("CARGO_BIN_EXE_comanda"))
        .arg("dev")
        .args(FREE_PORTS)
        .env_remove("AWS_ENDPOINT_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut suggestions = Vec::new();
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if line.contains("is cancelled 8min after it was placed") {
            break;
        }
        suggestions.extend(line.strip_prefix("  ").filter(|line| !line.starts_with('#')).map(str::to_owned));
    }
    assert!(suggestions.len() >= 5, "{suggestions:#?}");
    // curl is not part of the toolchain; where it is missing its lines are left out.
    let has_curl =
        Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    let script: Vec<String> = suggestions
        .iter()
        .filter(|line| has_curl || !line.contains("curl"))
        // A terminal runs until Ctrl-C; here it ends after one poll.
        .map(|line| if line.contains(" pos ") { format!("{line} --once") } else { line.clone() })
        .collect();
    let output = Command::new("sh").args(["-ec", &script.join("\n")]).stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script:#?}\n{stdout}\n{stderr}");
    assert!(stdout.contains("placed order "), "{stdout}");
    if has_curl {
        assert!(stdout.contains("HTTP/1.1 20"), "a poll by hand answers 200 or 204: {stdout}");
        assert!(stdout.contains("\"ready\":true"), "{stdout}");
    }
}
