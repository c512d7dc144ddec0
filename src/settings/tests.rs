//! Tests of the way from text to settings: layers, checks, report, and the files and documents that
//! belong to them.

use std::{path::Path, time::Duration};

use config::{Config, File, FileFormat, Value, ValueKind};

use super::{
    fixture::{MINIMAL, layers, load},
    keys::{Preset, SECTIONS, Shape},
    *,
};
use crate::{
    log,
    net::TcpOptions,
    policy::{ErrorReplies, OnEnd, OnUpstreamLoss, Otherwise, Range},
    processor::Spec,
    rate::{OnLimit, Rate},
    trickle::Limits as ProgramLimits,
    wire::LivenessConfig,
};

mod effects;
mod files;
mod refusals;
mod reports;

/// The variable of `listener.ws.bind`, which the tests like to set.
const BIND: &str = "TOWLINE__LISTENER__WS__BIND";

#[test]
fn what_nobody_says_is_built_in() {
    let settings = load(MINIMAL, &[]).unwrap();
    assert!(settings.server.workers >= 1);
    assert_eq!(settings.log.level, "info");
    assert_eq!(settings.log.format, log::Format::Text);
    assert_eq!(settings.admin.unwrap().bind.to_string(), "127.0.0.1:9140");
    assert_eq!(settings.drain.window, Duration::from_secs(10));
    assert_eq!(settings.drain.grace, Duration::from_secs(30));
    assert_eq!(settings.drain.close_code, 1001);
    assert_eq!(settings.language, Language { module_path: Vec::new(), limits: ProgramLimits::default() });

    let listener = &settings.listeners[0];
    assert_eq!((listener.name.as_str(), listener.number), ("ws", 1));
    assert_eq!(listener.format.codec.name(), "message");
    assert_eq!(listener.limits.max_message, 1024 * 1024);
    assert_eq!(listener.limits.max_frame, 1024 * 1024);
    assert_eq!(listener.limits.buffer, 64 * 1024);
    assert_eq!(listener.handshake_timeout, Duration::from_secs(5));
    assert_eq!(listener.max_header, 16 * 1024);
    let open = Admission { max_sessions: None, max_sessions_per_address: None, max_new_sessions: None };
    assert_eq!(listener.admission, open);
    let liveness = LivenessConfig {
        ping_interval: Some(Duration::from_secs(30)),
        ping_timeout: Duration::from_secs(10),
        idle_timeout: None,
        slow_consumer_timeout: Some(Duration::from_secs(30)),
    };
    assert_eq!(listener.liveness, liveness);
    let minute = Some(Duration::from_secs(60));
    assert_eq!(listener.tcp, TcpOptions { keepalive: minute, user_timeout: minute });
    assert_eq!(listener.slow_consumer, SlowConsumer::Disconnect);
    assert_eq!(listener.on_client_close, OnClientClose::Finish);
    let any = Rate { messages: None, bytes: None, burst: Duration::from_secs(1), on_limit: OnLimit::Error };
    assert_eq!((listener.rate, listener.address_rate), (any, any));
    assert_eq!((settings.server.max_sessions, settings.server.max_handshakes), (None, 1024));
    assert_eq!(settings.server.buffer, 1 << 30);

    let upstream = &settings.upstreams["echo"];
    assert_eq!(upstream.url.text, "ws://127.0.0.1:8139");
    assert_eq!(upstream.exchange, ExchangeMode::Stream);
    assert_eq!(upstream.correlation, None);
    assert_eq!(upstream.max_in_flight, 128);
    assert_eq!((upstream.liveness, upstream.tcp), (listener.liveness, listener.tcp));
    assert_eq!(upstream.forward_headers.len(), 7);
    assert_eq!(upstream.forward_response_headers, ["set-cookie"]);
    assert_eq!((upstream.forward_path, &upstream.host), (true, &HostHeader::Upstream));
    assert_eq!(upstream.on_give_up, OnGiveUp::Keep);
    assert_eq!(upstream.on_upstream_close, on_end(&["4000-4999", "1008"], Otherwise::Reconnect));
    assert_eq!(upstream.on_refused, on_end(&["401", "403"], Otherwise::Reconnect));
    let restart = Restart {
        min: Duration::from_millis(100),
        max: Duration::from_secs(10),
        max_restarts: 10,
        window: Duration::from_secs(60),
        probe: Duration::from_secs(30),
        rate: 200,
    };
    assert_eq!(upstream.restart, restart);

    let route = &settings.routes[0];
    assert_eq!((route.pattern.listener.as_deref(), route.pattern.path.as_str()), (None, "/"));
    assert!(route.incoming.is_empty() && route.errors.is_empty() && !route.strip_prefix);
    assert_eq!((route.on_upstream_loss, route.stateless), (OnUpstreamLoss::Auto, false));
    assert_eq!(route.error_replies, ErrorReplies::Auto);
    assert_eq!(route.dial_before_accept, Duration::from_secs(1));
}

#[test]
fn what_is_said_holds() {
    let text = r#"
        server = { workers = 3, max_sessions = 7, max_handshakes = 2, buffer = "1MiB" }
        log = { level = "debug", format = "json" }
        admin.bind = ""
        drain = { window = "1s", grace = "2m", close_code = 1012 }
        language = { module_path = ["lib", "/x"], max_steps = 1000, max_recursion = 5, max_value = "1KiB" }
        [listener.b]
        bind = "[::1]:0"
        codec = "json"
        preprocessors = [{ name = "lines", buffered = true }, "lines"]
        postprocessors = ["lines"]
        max_message = "64MiB"
        max_frame = "100kB"
        buffer = "4KiB"
        max_header = "1KiB"
        max_sessions = 5
        max_sessions_per_address = 4
        max_new_sessions = 3
        ping_interval = "never"
        idle_timeout = "1h"
        slow_consumer_timeout = "100ms"
        slow_consumer = "drop_newest"
        tcp_keepalive = "1s"
        tcp_user_timeout = "never"
        on_client_close = "cancel"
        rate = { messages = 10, burst = "2s", on_limit = "delay" }
        address_rate = { bytes = "1MiB", on_limit = "close" }
        [listener.a]
        bind = "localhost:0"
        [upstream.u-1]
        url = "ws://me:secret@H:80/x?y"
        allow_urls = ["ws://a/", "ws://b/*"]
        codec = "json"
        exchange = "request"
        correlation = "params.id"
        reply_timeout = "1500ms"
        max_in_flight = 1
        forward_response_headers = ["X-Served-By", "Set-Cookie"]
        forward_path = false
        host = "Chat.example:81"
        forward_headers = ["Cookie"]
        headers = { X-Token = "secret" }
        restart = { min = "1s", max = "1s", rate = 1 }
        on_give_up = "close"
        on_upstream_close = { pass = [1000, "4000-4009"], else = "pass" }
        on_refused.pass = []
        [pipeline.answer]
        source = "select event from in into reply;"
        [[route]]
        listener = "b"
        path = "/echo"
        incoming = ["answer", "answer"]
        [[route]]
        path = "/kept"
        upstream = "u-1"
        [[route]]
        upstream = "u-1"
        on_upstream_loss = "close"
        error_replies = false
        subprotocols = ["v2", "v1"]
    "#;
    let settings = load(text, &[]).unwrap();
    assert_eq!(settings.server.workers, 3);
    assert_eq!(settings.log.format, log::Format::Json);
    assert!(settings.admin.is_none());
    assert_eq!(settings.drain.grace, Duration::from_secs(120));
    assert_eq!(settings.drain.close_code, 1012);
    let limits = ProgramLimits { max_steps: 1000, max_recursion: 5, max_value: 1024 };
    let module_path = vec!["/etc/lib".into(), "/x".into()];
    assert_eq!(settings.language, Language { module_path, limits });

    let names: Vec<_> = settings.listeners.iter().map(|it| (it.name.as_str(), it.number)).collect();
    assert_eq!(names, [("b", 1), ("a", 2)], "numbers follow the file");
    let listener = &settings.listeners[0];
    assert_eq!(listener.bind[0].to_string(), "[::1]:0");
    let specs = [Spec::Lines { buffered: true }, Spec::Lines { buffered: false }];
    assert_eq!(listener.format.preprocessors, specs);
    assert_eq!(listener.limits.max_frame, 100_000);
    let admission =
        Admission { max_sessions: Some(5), max_sessions_per_address: Some(4), max_new_sessions: Some(3) };
    assert_eq!((listener.max_header, listener.admission), (1024, admission));
    let liveness = LivenessConfig {
        ping_interval: None,
        ping_timeout: Duration::from_secs(10),
        idle_timeout: Some(Duration::from_secs(3600)),
        slow_consumer_timeout: Some(Duration::from_millis(100)),
    };
    assert_eq!((listener.liveness, listener.slow_consumer), (liveness, SlowConsumer::DropNewest));
    assert_eq!(listener.tcp, TcpOptions { keepalive: Some(Duration::from_secs(1)), user_timeout: None });
    assert_eq!(listener.on_client_close, OnClientClose::Cancel);
    let burst = Duration::from_secs(2);
    assert_eq!(listener.rate, Rate { messages: Some(10), bytes: None, burst, on_limit: OnLimit::Delay });
    let burst = Duration::from_secs(1);
    assert_eq!(
        listener.address_rate,
        Rate { messages: None, bytes: Some(1 << 20), burst, on_limit: OnLimit::Close }
    );
    let Server { max_sessions, max_handshakes, buffer, .. } = settings.server;
    assert_eq!((max_sessions, max_handshakes, buffer), (Some(7), 2, 1 << 20));
    let addresses: Vec<_> = settings.listeners[1].bind[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:0", "[::1]:0"], "a name is all its addresses");

    let upstream = &settings.upstreams["u-1"];
    assert_eq!(upstream.url.text, "ws://me:secret@h/x?y");
    assert_eq!(upstream.url.shown, "ws://***@H:80/x?***");
    let allowed = [AllowedUrl::Exact("ws://a/".to_owned()), AllowedUrl::Prefix("ws://b/".to_owned())];
    assert_eq!(upstream.allow_urls, allowed);
    assert_eq!(upstream.exchange, ExchangeMode::Request);
    assert_eq!(upstream.correlation, Some(vec!["params".to_owned(), "id".to_owned()]));
    assert_eq!(upstream.reply_timeout, Duration::from_millis(1500));
    assert_eq!(upstream.forward_response_headers, ["x-served-by", "set-cookie"]);
    assert!(!upstream.forward_path);
    assert_eq!(upstream.host, HostHeader::Name("Chat.example:81".to_owned()));
    assert_eq!(upstream.forward_headers, ["cookie"]);
    assert_eq!(upstream.headers, [("x-token".to_owned(), "secret".to_owned())]);
    assert_eq!(upstream.restart.rate, 1);
    assert_eq!(upstream.restart.probe, Duration::from_secs(30), "what a table leaves out is built in");
    assert_eq!(upstream.on_give_up, OnGiveUp::Close);
    assert_eq!(upstream.on_upstream_close, on_end(&["1000", "4000-4009"], Otherwise::Pass));
    assert_eq!(upstream.on_refused, on_end(&[], Otherwise::Reconnect));

    assert_eq!(settings.routes[0].incoming.len(), 2);
    assert!(settings.routes[0].upstream.is_none());
    let route = &settings.routes[2];
    assert_eq!((route.on_upstream_loss, route.error_replies), (OnUpstreamLoss::Close, ErrorReplies::Off));
    assert_eq!(route.subprotocols, ["v2", "v1"]);
}

fn on_end(pass: &[&str], otherwise: Otherwise) -> OnEnd {
    OnEnd { pass: pass.iter().map(|text| Range::parse(text).unwrap()).collect(), otherwise }
}

#[test]
fn a_static_header_replaces_the_clients() {
    let text = MINIMAL.replace("[pipeline", "headers.Authorization = \"Bearer x\"\n[pipeline");
    let settings = load(&text, &[]).unwrap();
    let upstream = &settings.upstreams["echo"];
    assert_eq!(upstream.headers[0].0, "authorization");
    assert!(!upstream.forward_headers.iter().any(|name| name == "authorization"));
    assert_eq!(upstream.forward_headers.len(), 6);
}

#[test]
fn the_environment_lies_over_the_file() {
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
    assert_eq!(upstream.headers, [("x-api-key".to_owned(), "secret, too".to_owned())]);
    assert_eq!(upstream.allow_urls, [AllowedUrl::Exact("ws://a/?b=1,2".to_owned())]);
}

#[test]
fn tables_of_headers_are_merged_by_entry() {
    let text = MINIMAL.replace("[pipeline", "headers = { a = \"1\", b = \"2\" }\n[pipeline");
    let env = [("TOWLINE__UPSTREAM__ECHO__HEADERS", r#"{ b = "3", c = "4" }"#)];
    let headers = load(&text, &env).unwrap().upstreams["echo"].headers.clone();
    let pairs: Vec<_> = headers.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
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
fn the_environment_may_add_a_section_that_a_route_names() {
    let env = [("TOWLINE__LISTENER__TWO__BIND", "127.0.0.1:0")];
    let text = format!("{MINIMAL}[[route]]\nlistener = \"two\"\npath = \"/two\"\nupstream = \"echo\"\n")
        .replacen("[[route]]", "[[route]]\nlistener = \"ws\"", 1);
    let settings = load(&text, &env).unwrap();
    let names: Vec<_> = settings.listeners.iter().map(|it| (it.name.as_str(), it.number)).collect();
    assert_eq!(names, [("ws", 1), ("two", 2)]);
}

#[test]
fn a_program_stands_in_a_file_beside_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("p")).unwrap();
    std::fs::write(folder.path().join("p/a.trickle"), "select event from in into out;").unwrap();
    let text = MINIMAL.replace("source = \"select event from in into out;\"", "file = \"p/a.trickle\"");
    let file = folder.path().join("towline.toml");
    std::fs::write(&file, text).unwrap();
    let settings = Settings::load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(settings.pipelines["pass"].file, Some(folder.path().join("p/a.trickle")));
}

/// Keys are keys: `config` itself makes a thousand million entries of the one, and a table of the other.
#[test]
fn a_key_that_looks_like_a_path_is_an_unknown_key() {
    for key in ["a[1000000000]", "listener.ws.bind", "server[-5]"] {
        let layers = layers(&format!("{key:?} = 1\n{MINIMAL}"), &[]).unwrap();
        let error = check(&layers).unwrap_err().to_string();
        assert!(error.contains(&format!("{key} ")) && error.contains("unknown section"), "{error}");
    }
}

#[test]
fn a_variable_of_endless_depth_is_refused() {
    let name = format!("TOWLINE__SERVER{}", "__A".repeat(100_000));
    let error = load(MINIMAL, &[(&name, "1")]).unwrap_err().to_string();
    assert!(error.contains("no setting is nested this deep"), "it is refused");
}
