//! Tests of real servers and client libraries through the proxy; see docs/realworld.md. `make test` installs
//! the packages. If that is impossible, these tests are skipped with a note.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The client without a proxy, with few settings and with default.toml.
const DIRECT_AND_PROXIES: usize = 3;

/// Runs a script that starts its server and the proxy, and prints a line for each result: for each of `scenarios`.
#[track_caller]
fn run(name: &str, scenarios: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/realworld");
    if !installed(root, &modules) {
        // Written directly to standard error, because the test runner captures `println!`.
        let skipped = format!("realworld: SKIPPED: {name}: its npm packages are missing, see `make test`\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let output = Command::new("node")
        .arg(script(root, name))
        .envs(chromium().map(|path| ("REALWORLD_CHROMIUM", path)))
        .env("TOWLINE", env!("CARGO_BIN_EXE_towline"))
        .env("REALWORLD_MODULES", &modules)
        .stdin(Stdio::null())
        .output()
        .expect("node starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let passed = printed.lines().filter(|line| line.starts_with("PASS ")).count();
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{printed}", output.status);
    assert!(passed >= scenarios, "{name}: {passed} of {scenarios}\n{printed}");
}

fn script(root: &Path, name: &str) -> PathBuf {
    root.join("integration/realworld").join(format!("{name}.mjs"))
}

/// Whether install.sh has installed the packages of the current lock file.
fn installed(root: &Path, modules: &Path) -> bool {
    let lock = std::fs::read(root.join("integration/realworld/package-lock.json")).unwrap();
    std::fs::read(modules.join("node_modules/.installed")).is_ok_and(|installed| installed == lock)
}

/// The browser, if there is one.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// Runs a script that drives the browser. It prints a line for each of `scenarios`.
#[track_caller]
pub fn run_in_chromium(name: &str, scenarios: usize) {
    if chromium().is_none() {
        let skipped = format!("realworld: SKIPPED: {name}: Chromium is not installed\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    run(name, scenarios);
}

/// Pages of a browser authenticate in each way that they have; see docs/auth.md.
#[test]
fn chromium_authenticates_over_tls() {
    run_in_chromium("chromium_auth", 13);
}

/// The script runs a client with one subscription while its server restarts.
#[test]
fn a_graphql_ws_client_recovers_as_fast_as_without_a_proxy() {
    run("graphql", DIRECT_AND_PROXIES);
}

#[test]
fn an_mqtt_client_gets_its_messages_despite_a_loss() {
    run("mqtt", DIRECT_AND_PROXIES);
}

#[test]
fn a_socket_io_client_connects_sends_5_mb_and_reconnects() {
    // One more with larger messages, and two whose polling is forwarded.
    run("socketio", DIRECT_AND_PROXIES + 3);
}

/// In the scripts of `recovery`, a client keeps its subscriptions while its server is killed twice. Its library must
/// not notice, and what is in flight has one error in the protocol's own shape.
fn recovers(name: &str, scenarios: usize) {
    run(&format!("recovery/{name}"), scenarios);
}

#[test]
fn a_graphql_ws_client_keeps_its_subscriptions_over_two_restarts() {
    recovers("graphql_ws", 2);
}

#[test]
fn a_subscriptions_transport_ws_client_keeps_its_subscriptions_over_two_restarts() {
    recovers("subscriptions_transport_ws", 1);
}

#[test]
fn an_ethers_client_keeps_its_subscriptions_over_two_restarts() {
    recovers("ethers", 1);
}

#[test]
fn mqtt_clients_of_both_versions_keep_their_subscriptions_over_two_restarts() {
    recovers("mqtt", 2);
}

#[test]
fn a_phoenix_client_keeps_or_rejoins_its_channels_over_two_restarts() {
    recovers("phoenix", 2);
}

#[test]
fn a_stomp_client_keeps_its_subscriptions_over_two_restarts() {
    recovers("stomp", 1);
}

#[test]
fn an_action_cable_client_keeps_its_subscriptions_over_two_restarts() {
    recovers("action_cable", 1);
}

#[test]
fn an_openai_client_keeps_its_configured_session_over_two_restarts() {
    recovers("openai", 1);
}
