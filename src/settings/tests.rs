//! Tests of settings, from the text of a file to the checked form, and of the shipped files and documents.

use std::{path::Path, time::Duration};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::{
    fixture::{MINIMAL, layers, load},
    keys::{Preset, SECTIONS, Shape},
    *,
};
use crate::{
    client_address::{ForwardingHeaders, ProxyProtocol, TrustedProxies},
    log,
    net::TcpOptions,
    policy::{
        Balance, BreakerLimits, CheckKind, Ejection, ErrorReplies, HashKey, HealthChecks, KeyLimit,
        LifetimePolicy, LimitKey, MovePolicy, OnEnd, OnUpstreamLoss, Otherwise, PoolPolicy, ProbeCheck,
        ProbeTimes, Range, Rebalance,
    },
    processor::Spec,
    rate::{OnLimit, Rate},
    router::PathPattern,
    template::Template,
    trickle::Limits as ProgramLimits,
    wire::{Limits, LivenessConfig},
};

mod auth;
mod defaults;
mod effects;
mod files;
mod refusals;
mod reports;
mod table;
mod traces;
mod values;

/// The environment variable for `listener.ws.bind`.
const BIND: &str = "TOWLINE__LISTENER__WS__BIND";

fn on_end(pass: &[&str], otherwise: Otherwise) -> OnEnd {
    OnEnd { pass: pass.iter().map(|text| Range::parse(text).unwrap()).collect(), otherwise }
}

#[test]
fn an_added_header_replaces_the_clients() {
    let text = MINIMAL.replace("[pipeline", "headers.Authorization = \"Bearer x\"\n[pipeline");
    let settings = load(&text, &[]).unwrap();
    let upstream = &settings.upstreams["echo"];
    assert_eq!(upstream.headers[0].0, "authorization");
    assert!(!upstream.forward_headers.iter().any(|name| name == "authorization"));
    assert_eq!(upstream.forward_headers.len(), 8);
}

#[test]
fn the_environment_overrides_the_file() {
    let env = [
        (BIND, "127.0.0.1:0"),
        ("TOWLINE__SERVER__WORKERS", "2"),
        ("TOWLINE__ADMIN__BIND", ""),
        ("TOWLINE__LISTENER__WS__PREPROCESSORS", "lines"),
        ("TOWLINE__UPSTREAM__ECHO__PREPROCESSORS", r#"[{ name = "lines", buffered = true }]"#),
        ("TOWLINE__UPSTREAM__ECHO__EXCHANGE", "request"),
        ("TOWLINE__UPSTREAM__ECHO__REPLY_TIMEOUT", "2s"),
        ("TOWLINE__UPSTREAM__ECHO__RESTART__MIN", "1ms"),
        ("TOWLINE__UPSTREAM__ECHO__FORWARD_HEADERS", "Cookie, origin,"),
        ("TOWLINE__UPSTREAM__ECHO__HEADERS__X_API_KEY", "secret, too"),
        ("TOWLINE__UPSTREAM__ECHO__ALLOW_URLS", r#"["ws://a/?b=1,2"]"#),
        ("TOWLINE__UPSTREAM__ECHO__ON_UPSTREAM_CLOSE__PASS", "1008, 4400-4499"),
        ("TOWLINE__UPSTREAM__ECHO__ON_REFUSED__PASS", r#"[401, "500-599"]"#),
        ("TOWLINE__PIPELINE__PASS__SOURCE", "[is not a list]"),
        ("TOWLINE_CONFIG", "elsewhere.toml"),
        ("TOWLINE_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    let error = load(MINIMAL, &env).unwrap_err().to_string();
    assert!(error.contains("pipeline.pass.source = \"[is not a list]\""), "texts stay texts: {error}");
    let env: Vec<_> = env.into_iter().filter(|(name, _)| !name.contains("SOURCE")).collect();
    let settings = load(MINIMAL, &env).unwrap();
    assert_eq!(settings.listeners[0].bind[0].addresses[0].port(), 0);
    assert_eq!(settings.server.workers, 2);
    assert!(settings.admin.is_none());
    assert_eq!(settings.listeners[0].format.preprocessors, [Spec::Lines { buffered: false }]);
    let upstream = &settings.upstreams["echo"];
    assert_eq!(upstream.format.preprocessors, [Spec::Lines { buffered: true }]);
    assert_eq!(upstream.reply_timeout, Duration::from_secs(2));
    assert_eq!(upstream.restart.min, Duration::from_millis(1));
    assert_eq!(upstream.forward_headers, ["cookie", "origin"]);
    assert_eq!(upstream.on_upstream_close, on_end(&["1008", "4400-4499"], Otherwise::Reconnect));
    assert_eq!(upstream.on_refused, on_end(&["401", "500-599"], Otherwise::Reconnect));
    assert_eq!(*upstream.headers, [("x-api-key".to_owned(), Template::parse("secret, too").unwrap())]);
    assert_eq!(upstream.allow_urls, [AllowedUrl::Exact("ws://a/?b=1,2".to_owned())]);
}

#[test]
fn tables_of_headers_are_merged_by_entry() {
    let text = MINIMAL.replace("[pipeline", "headers = { a = \"1\", b = \"2\" }\n[pipeline");
    let env = [("TOWLINE__UPSTREAM__ECHO__HEADERS", r#"{ b = "3", c = "4" }"#)];
    let headers = load(&text, &env).unwrap().upstreams["echo"].headers.clone();
    let pairs: Vec<_> = headers.iter().map(|(name, text)| (name.as_str(), text.literal().unwrap())).collect();
    assert_eq!(pairs, [("a", "1"), ("b", "3"), ("c", "4")]);
}

#[test]
fn a_listener_takes_one_address_or_a_list() {
    let listed = |line: &str, env: &[(&str, &str)]| {
        let text = MINIMAL.replace("bind = \"127.0.0.1:9139\"", line);
        let settings = load(&text, env).unwrap_or_else(|error| panic!("{line} {env:?}: {error}"));
        settings.listeners[0].bind.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(listed("bind = \"127.0.0.1:1\"", &[]), ["127.0.0.1:1"]);
    assert_eq!(listed("bind = [\"127.0.0.1:1\", \"[::1]:1\"]", &[]), ["127.0.0.1:1", "[::1]:1"]);
    for (text, expected) in [
        ("127.0.0.1:1", &["127.0.0.1:1"][..]),
        ("0.0.0.0:1, [::]:1", &["0.0.0.0:1", "[::]:1"]),
        ("[::1]:0", &["[::1]:0"]),
        ("[::]:1,0.0.0.0:1", &["[::]:1", "0.0.0.0:1"]),
        ("[\"[::]:1\", \"localhost:2\"]", &["[::]:1", "localhost:2"]),
    ] {
        assert_eq!(listed("", &[(BIND, text)]), expected, "{text}");
    }
}

#[test]
fn the_environment_can_add_a_section_that_a_route_names() {
    let env = [("TOWLINE__LISTENER__TWO__BIND", "127.0.0.1:0")];
    let text = format!("{MINIMAL}[[route]]\nlistener = \"two\"\npath = \"/two\"\nupstream = \"echo\"\n")
        .replacen("[[route]]", "[[route]]\nlistener = \"ws\"", 1);
    let settings = load(&text, &env).unwrap();
    let names: Vec<_> = settings.listeners.iter().map(|it| (it.name.as_str(), it.number)).collect();
    assert_eq!(names, [("ws", 1), ("two", 2)]);
}

#[test]
fn a_program_can_be_in_a_file_next_to_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("p")).unwrap();
    std::fs::write(folder.path().join("p/a.trickle"), "select event from in into out;").unwrap();
    let text = MINIMAL.replace("source = \"select event from in into out;\"", "file = \"p/a.trickle\"");
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, text).unwrap();
    let settings = Settings::load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(settings.pipelines["pass"].file, Some(folder.path().join("p/a.trickle")));
}

/// The crate `config` would create a billion array entries for the first key, and tables for the second.
#[test]
fn a_key_that_looks_like_a_path_is_an_unknown_key() {
    for key in ["a[1000000000]", "listener.ws.bind", "server[-5]"] {
        let layers = layers(&format!("{key:?} = 1\n{MINIMAL}"), &[]).unwrap();
        let error = check(&layers).unwrap_err().to_string();
        assert!(error.contains(&format!("{key} ")) && error.contains("unknown section"), "{error}");
    }
}

#[test]
fn a_deeply_nested_variable_is_refused() {
    let name = format!("TOWLINE__SERVER{}", "__A".repeat(100_000));
    let error = load(MINIMAL, &[(&name, "1")]).unwrap_err().to_string();
    assert!(error.contains("no setting is nested this deep"), "it is refused");
}
