//! Tests that values take effect.

use super::*;

/// Values for keys of every kind, all different from the defaults.
const EVERYTHING: &str = r#"
server = { workers = 3, max_sessions = 7, max_handshakes = 2, buffer = "1MiB" }
log = { level = "debug", format = "json" }
admin.bind = ""
drain = { window = "1s", grace = "2m", close_code = 1012 }
language = { module_path = ["lib", "/x"], max_steps = 1000, max_recursion = 5, max_value = "1KiB" }
[listener.b]
bind = "[::1]:0"
proxy_protocol = "optional"
trusted_proxies = ["10.0.0.0/8", "2001:db8::1"]
trusted_headers = "forwarded"
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
max_age = "1h"
max_age_jitter = 0
move = { rate = 3, grace = "100ms" }
rebalance = { min_sessions = 4, max_share = 150 }
on_upstream_close = { pass = [1000, "4000-4009"], else = "pass" }
on_refused.pass = []
[upstream.pool]
balance = "hash"
hash = "header:X-User"
slow_start = "10s"
health = { interval = "1s", unhealthy = 2, healthy = 4, probe = "http", path = "/up?a", status = [204], timeout = "9s" }
ejection = { failures = 0, time = "1s", max_share = 100 }
breaker = { sessions = 9, dials = 8, rate = 7 }
probe = { min = "10ms", max = "10ms" }
resolve = "each"
resolve_interval = "100ms"
[[upstream.pool.endpoints]]
url = "ws://b:1"
priority = 2
drain = true
[[upstream.pool.endpoints]]
url = "ws://a:1"
weight = 3
[pipeline.answer]
source = "select event from in into reply;"
[[route]]
listener = "b"
path = "/echo"
incoming = ["answer", "answer"]
[[route]]
path = "/kept"
upstream = "u-1"
max_session_age = "30d"
max_session_age_jitter = 0
limits = [{ by = "header:X-Tenant", max_sessions = 5, messages = 7, bytes = "1KiB", burst = "2s", on_limit = "delay" }]
[[route]]
upstream = "u-1"
on_upstream_loss = "close"
error_replies = false
subprotocols = ["v2", "v1"]
"#;

fn everything() -> Settings {
    load(EVERYTHING, &[]).unwrap()
}

#[test]
fn sections_of_the_process() {
    let settings = everything();
    let Server { workers, max_sessions, max_handshakes, buffer } = settings.server;
    assert_eq!((workers, max_sessions, max_handshakes, buffer), (3, Some(7), 2, 1 << 20));
    assert_eq!((settings.log.level.as_str(), settings.log.format), ("debug", log::Format::Json));
    assert!(settings.admin.is_none());
    let Drain { window, grace, close_code } = settings.drain;
    assert_eq!((window, grace, close_code), (Duration::from_secs(1), Duration::from_secs(120), 1012));
    let limits =
        ProgramLimits { max_steps: 1000, max_recursion: 5, max_value: 1024, ..ProgramLimits::default() };
    let module_path = vec!["/etc/lib".into(), "/x".into()];
    assert_eq!(settings.language, Language { module_path, limits });
}

#[test]
fn the_admin_server_is_reached_by_the_name_in_its_address() {
    let hosts = |lines: &str| {
        let admin = load(&format!("{lines}\n{MINIMAL}"), &[]).unwrap().admin.unwrap();
        admin.allowed_hosts.iter().map(|host| format!("{host:?}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(hosts("admin.bind = \"localhost:0\""), r#"Exact("localhost")"#);
    assert_eq!(hosts("admin.bind = \"[::1]:0\""), "");
    let listed = "admin = { bind = \"127.0.0.1:0\", allowed_hosts = [\"A.test\", \"*.b.test\"] }";
    assert_eq!(hosts(listed), r#"Exact("a.test") Below(".b.test")"#);
}

#[test]
fn listeners_are_numbered_in_the_order_of_the_file() {
    let settings = everything();
    let names: Vec<_> = settings.listeners.iter().map(|it| (it.name.as_str(), it.number)).collect();
    assert_eq!(names, [("b", 1), ("a", 2)]);
}

#[test]
fn a_name_is_all_its_addresses() {
    let settings = everything();
    assert_eq!(settings.listeners[0].bind[0].to_string(), "[::1]:0");
    let addresses: Vec<_> = settings.listeners[1].bind[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:0", "[::1]:0"]);
}

/// A balancer of TCP connections passes on the headers that a client writes.
#[test]
fn a_required_proxy_header_turns_the_other_headers_off() {
    let headers = |lines: &str| {
        let lines = format!("[listener.ws]\ntrusted_proxies = [\"10.0.0.0/8\"]\n{lines}\n");
        let settings = load(&MINIMAL.replace("[listener.ws]\n", &lines), &[]).unwrap();
        settings.listeners[0].trusted_proxies.headers
    };
    assert_eq!(headers(""), ForwardingHeaders::XForwarded);
    assert_eq!(headers("proxy_protocol = \"optional\""), ForwardingHeaders::XForwarded);
    assert_eq!(headers("trusted_headers = \"none\""), ForwardingHeaders::None);
    let required = "proxy_protocol = \"required\"";
    assert_eq!(headers(required), ForwardingHeaders::None);
    let both = format!("{required}\ntrusted_headers = \"x-forwarded\"");
    assert_eq!(headers(&both), ForwardingHeaders::XForwarded);
}

#[test]
fn proxies_in_front_of_a_listener() {
    let [behind, open] = &everything().listeners[..] else { panic!("two listeners") };
    assert_eq!(behind.proxy_protocol, ProxyProtocol::Optional);
    let networks = ["10.0.0.0/8", "2001:db8::1/128"].map(|text| text.parse().unwrap());
    let headers = ForwardingHeaders::Forwarded;
    assert_eq!(behind.trusted_proxies, TrustedProxies { networks: Box::new(networks), headers });
    assert_eq!(open.proxy_protocol, ProxyProtocol::Off);
    let headers = ForwardingHeaders::XForwarded;
    assert_eq!(open.trusted_proxies, TrustedProxies { networks: Box::default(), headers });
}

#[test]
fn messages_of_a_listener() {
    let listener = &everything().listeners[0];
    assert_eq!(listener.format.codec.name(), "json");
    let specs = [Spec::Lines { buffered: true }, Spec::Lines { buffered: false }];
    assert_eq!(listener.format.preprocessors, specs);
    assert_eq!(listener.format.postprocessors, [Spec::Lines { buffered: false }]);
    let Limits { max_message, max_frame, buffer } = listener.limits;
    assert_eq!((max_message, max_frame, buffer), (64 << 20, 100_000, 4096));
    assert_eq!(listener.max_header, 1024);
}

#[test]
fn limits_of_a_listener() {
    let listener = &everything().listeners[0];
    let admission =
        Admission { max_sessions: Some(5), max_sessions_per_address: Some(4), max_new_sessions: Some(3) };
    assert_eq!(listener.admission, admission);
    let burst = Duration::from_secs(2);
    assert_eq!(listener.rate, Rate { messages: Some(10), bytes: None, burst, on_limit: OnLimit::Delay });
    let burst = Duration::from_secs(1);
    let by_address = Rate { messages: None, bytes: Some(1 << 20), burst, on_limit: OnLimit::Close };
    assert_eq!(listener.address_rate, by_address);
}

#[test]
fn timeouts_of_a_listener() {
    let listener = &everything().listeners[0];
    let liveness = LivenessConfig {
        ping_interval: None,
        ping_timeout: Duration::from_secs(10),
        idle_timeout: Some(Duration::from_secs(3600)),
        slow_consumer_timeout: Some(Duration::from_millis(100)),
    };
    assert_eq!((listener.liveness, listener.slow_consumer), (liveness, SlowConsumer::DropNewest));
    assert_eq!(listener.tcp, TcpOptions { keepalive: Some(Duration::from_secs(1)), user_timeout: None });
    assert_eq!(listener.on_client_close, OnClientClose::Cancel);
}

#[test]
fn urls_of_an_upstream() {
    let upstream = &everything().upstreams["u-1"];
    assert_eq!(&*upstream.url.text, "ws://me:secret@h/x?y");
    assert_eq!(&*upstream.url.shown, "ws://***@H:80/x?***");
    let allowed = [AllowedUrl::Exact("ws://a/".to_owned()), AllowedUrl::Prefix("ws://b/".to_owned())];
    assert_eq!(upstream.allow_urls, allowed);
}

#[test]
fn endpoints_of_an_upstream() {
    let upstream = &everything().upstreams["pool"];
    let parts =
        |endpoint: &EndpointConfig| (endpoint.url.text.to_string(), endpoint.weight, endpoint.priority);
    let endpoints: Vec<_> = upstream.endpoints.iter().map(parts).collect();
    assert_eq!(endpoints, [("ws://a:1".to_owned(), 3, 0), ("ws://b:1".to_owned(), 1, 2)], "by priority");
    assert_eq!(&*upstream.url.text, "ws://a:1");
    let second = Duration::from_secs(1);
    assert_eq!(
        upstream.pool,
        PoolPolicy {
            balance: Balance::Hash,
            hash: HashKey::Header("x-user".to_owned()),
            slow_start: 10 * second,
            probe: ProbeTimes { min: second / 100, max: second / 100 },
            check: ProbeCheck {
                kind: CheckKind::Http(vec![Range::new(204, 204).unwrap()]),
                path: Some("/up?a".to_owned()),
                timeout: Some(9 * second),
            },
            health: HealthChecks { interval: Some(second), unhealthy: 2, healthy: 4 },
            ejection: Ejection { failures: 0, time: second, max_share: 100 },
            breaker: BreakerLimits { sessions: Some(9), dials: Some(8), rate: Some(7) },
        }
    );
    assert_eq!(upstream.resolve_each, Some(Duration::from_millis(100)));
    assert_eq!(everything().upstreams["u-1"].resolve_each, None);
    assert_eq!(everything().upstreams["u-1"].pool, PoolPolicy::default());
}

#[test]
fn endpoints_are_urls_or_tables_in_the_environment_too() {
    let read = |value: &str| {
        let text = MINIMAL.replace("url = \"ws://127.0.0.1:8139\"", "");
        let settings = load(&text, &[("TOWLINE__UPSTREAM__ECHO__ENDPOINTS", value)]).unwrap();
        let endpoints = &settings.upstreams["echo"].endpoints;
        endpoints.iter().map(|it| (it.url.text.to_string(), it.weight)).collect::<Vec<_>>()
    };
    let both = [("ws://a:1".to_owned(), 1), ("ws://b:1".to_owned(), 2)];
    assert_eq!(read("ws://a:1"), both[..1]);
    assert_eq!(read("ws://a:1, ws://b:1").len(), 2);
    assert_eq!(read("[\"ws://a:1\", { url = \"ws://b:1\", weight = 2 }]"), both);
}

#[test]
fn exchange_of_an_upstream() {
    let upstream = &everything().upstreams["u-1"];
    assert_eq!(upstream.exchange, ExchangeMode::Request);
    assert_eq!(upstream.correlation, Some(vec!["params".to_owned(), "id".to_owned()]));
    assert_eq!((upstream.reply_timeout, upstream.max_in_flight), (Duration::from_millis(1500), 1));
}

#[test]
fn headers_of_an_upstream() {
    let upstream = &everything().upstreams["u-1"];
    assert_eq!(upstream.forward_response_headers, ["x-served-by", "set-cookie"]);
    assert!(!upstream.forward_path);
    assert_eq!(upstream.host, HostHeader::Name("Chat.example:81".to_owned()));
    assert_eq!(upstream.forward_headers, ["cookie"]);
    assert_eq!(*upstream.headers, [("x-token".to_owned(), Template::parse("secret").unwrap())]);
}

#[test]
fn ends_of_an_upstream() {
    let upstream = &everything().upstreams["u-1"];
    assert_eq!((upstream.restart.min, upstream.restart.rate), (Duration::from_secs(1), 1));
    let probe = upstream.restart.probe;
    assert_eq!(probe, Duration::from_secs(30), "a key that a table does not set has its default");
    assert_eq!(upstream.on_give_up, OnGiveUp::Close);
    assert_eq!(upstream.on_upstream_close, on_end(&["1000", "4000-4009"], Otherwise::Pass));
    assert_eq!(upstream.on_refused, on_end(&[], Otherwise::Reconnect));
}

#[test]
fn moves_of_an_upstream() {
    let settings = everything();
    let moves = &settings.upstreams["u-1"].moves;
    assert_eq!((moves.rate, moves.grace), (3, Duration::from_millis(100)));
    assert_eq!((moves.max_age, moves.max_age_jitter), (Some(Duration::from_secs(60 * 60)), 0));
    assert_eq!(moves.rebalance, Some(Rebalance { min_sessions: 4, max_share: 150 }));
    assert_eq!(settings.upstreams["pool"].moves, MovePolicy::default());
    let drains: Vec<_> = settings.upstreams["pool"].endpoints.iter().map(|endpoint| endpoint.drain).collect();
    assert_eq!(drains, [false, true]);
}

#[test]
fn routes() {
    let settings = everything();
    let [answering, kept, closed] = settings.routes.as_slice() else { panic!("three routes") };
    assert_eq!(
        (answering.pattern.listener.as_deref(), &answering.pattern.path),
        (Some("b"), &PathPattern::Prefix("/echo".to_owned()))
    );
    assert_eq!(answering.incoming.len(), 2);
    assert!(answering.upstream.is_none());
    assert_eq!(kept.upstream.as_ref().unwrap().name, "u-1");
    let max_age = Some(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!((kept.lifetime.max_age, kept.lifetime.max_age_jitter), (max_age, 0));
    let burst = Duration::from_secs(2);
    let rate = Rate { messages: Some(7), bytes: Some(1024), burst, on_limit: OnLimit::Delay };
    let by = LimitKey::Header("x-tenant".to_owned());
    assert_eq!(kept.limits, [KeyLimit { by, max_sessions: Some(5), rate }]);
    assert_eq!(*closed.lifetime, LifetimePolicy::default());
    assert_eq!((closed.on_upstream_loss, closed.error_replies), (OnUpstreamLoss::Close, ErrorReplies::Off));
    assert_eq!(closed.subprotocols, ["v2", "v1"]);
}
