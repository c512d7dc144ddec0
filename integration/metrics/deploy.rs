//! The dashboard and the alerts in `deploy/`, and the linter of Prometheus.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::harness::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Whether `promtool` of Prometheus can be run. Debian's package `prometheus` has it.
fn has_promtool() -> bool {
    let found =
        Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        std::io::stderr().write_all(b"metrics: SKIPPED: no promtool\n").unwrap();
    }
    found.is_ok()
}

/// The names of metrics in a text, without the suffixes of histograms.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("towline_") || word.starts_with("process_"));
    let histogram = |name: &str| {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
        base.filter(|base| base.ends_with("_seconds")).map(str::to_owned)
    };
    names.map(|name| histogram(name).unwrap_or_else(|| name.to_owned())).collect()
}

#[track_caller]
fn expect_known(name: &str, text: &str) {
    let known: BTreeSet<_> = towline::metrics::ALL.iter().map(|family| family.name.to_owned()).collect();
    let used = metrics_in(text);
    assert!(used.len() > 5, "{name} names only {used:?}");
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "{name}: {unknown:?}");
}

/// The expressions of a dashboard.
fn expressions(of: &Value, found: &mut Vec<String>) {
    match of {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_uses_metrics_that_exist() {
    let text = std::fs::read_to_string(file("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 10, "{found:?}");
    expect_known("grafana.json", &found.join("\n"));
    if has_promtool() {
        // Grafana replaces its variables before Prometheus parses an expression.
        let rules = found.iter().enumerate().map(|(at, expression)| {
            let expression = expression.replace("$__rate_interval", "5m").replace("$listener", ".*");
            let expression =
                expression.replace("$route", ".*").replace("$upstream", ".*").replace("$instance", ".*");
            json!({"record": format!("rule_{at}"), "expr": expression})
        });
        let rules = json!({"groups": [{"name": "dashboard", "rules": rules.collect::<Vec<_>>()}]});
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yml");
        std::fs::write(&path, rules.to_string()).unwrap();
        check_rules(&path);
    }
}

#[test]
fn the_alerts_use_metrics_that_exist() {
    let text = std::fs::read_to_string(file("alerts.yml")).unwrap();
    expect_known("alerts.yml", &text);
    if has_promtool() {
        check_rules(&file("alerts.yml"));
    }
}

#[track_caller]
fn check_rules(path: &Path) {
    let output = Command::new("promtool").args(["check", "rules"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn promtool_finds_nothing_wrong_with_a_scrape() {
    if !has_promtool() {
        return;
    }
    let upstream = TestUpstream::echo();
    let proxy = Proxy::start(&Settings::request(&upstream.url())).expect_restarts();
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    upstream.conn(0).die(Death::Reset);
    proxy.wait_ups(2);
    client.close(1000, "");
    let scraped = proxy.wait_metrics("a close", |scraped| scraped.sum("towline_close_total", &[]) == 1.0);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().unwrap();
    running.stdin.take().unwrap().write_all(scraped.text.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
