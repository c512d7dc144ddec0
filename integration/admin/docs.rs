//! Runs the commands in docs/admin.md.

use std::{path::Path, process::Command};

use super::*;

const DOCUMENT: &str = include_str!("../../docs/admin.md");

/// The commands in the code blocks, without the one that makes a token.
fn commands() -> Vec<&'static str> {
    let lines = DOCUMENT.lines().filter_map(|line| line.strip_prefix("$ "));
    lines.filter(|line| line.starts_with("towline ") || line.starts_with("curl ")).collect()
}

#[test]
fn the_commands_of_the_document_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: no curl");
        return;
    }
    let upstream = TestUpstream::silent();
    let (proxy, operator) = operated(&upstream);
    let mut proxy = proxy.expect_restarts().expect("no endpoint takes connections");
    let mut client = failed_once(&proxy, &upstream);
    let admin = operator.addr().to_string();
    let commands = commands();
    assert!(commands.len() >= 15, "{commands:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_towline"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let is_empty = |proxy: &Proxy| Operator::new(proxy.admin()).json("/api/sessions")["total"] == 0;
    for command in commands {
        let line = command.replace("127.0.0.1:9140", &admin);
        let line = line.replace("/etc/towline/admin.token", token_file().to_str().unwrap());
        // The route of these settings has no name.
        let line = line.replace("--route chat", "--route 'route[1]'");
        let shell = Command::new("sh")
            .args(["-c", &line])
            .env("PATH", &path)
            .env("TOWLINE_ADMIN", format!("http://{admin}"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&shell.stdout).into_owned();
        assert!(
            shell.status.success() && !text.is_empty(),
            "{line}\n{}",
            String::from_utf8_lossy(&shell.stderr)
        );
        if command.contains("close 1:0") {
            assert_eq!(client.expect_closed(4001), "see you later");
            wait_for("the end of the session", PATIENCE, || is_empty(&proxy));
        } else if command.contains("sessions/close") {
            assert!(text.starts_with(r#"{"matched":0"#), "{text}");
        }
    }
    assert_eq!(proxy.exit_code(), Some(0));
}
