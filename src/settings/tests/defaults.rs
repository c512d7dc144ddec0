//! Tests of the default values.

use super::*;

fn defaults() -> Settings {
    load(MINIMAL, &[]).unwrap()
}

/// Who turns taps off at once does not have to remove the rules first.
#[test]
fn the_rules_of_taps_may_stay_while_taps_are_off() {
    let text = format!("[admin]\ntap = false\ntap_redact = [\"email\"]\n{MINIMAL}");
    let settings = load(&text, &[]).unwrap();
    assert!(settings.admin.is_some_and(|admin| admin.tap.is_none()));
}

#[test]
fn defaults_of_the_process() {
    let settings = defaults();
    assert!(settings.server.workers >= 1);
    assert_eq!((settings.server.max_sessions, settings.server.max_handshakes), (None, 1024));
    assert_eq!(settings.server.buffer, 1 << 30);
    assert_eq!((settings.log.level.as_str(), settings.log.format), ("info", log::Format::Text));
    let Admin { bind, strict: _, token_file, allowed_hosts, tap } = settings.admin.unwrap();
    assert_eq!((bind.to_string().as_str(), token_file, tap.is_some()), ("127.0.0.1:9140", None, false));
    assert!(allowed_hosts.is_empty());
    assert_eq!(settings.access, None);
    assert!(settings.traces.is_none());
    let Drain { window, grace, close_code } = settings.drain;
    assert_eq!((window, grace, close_code), (Duration::from_secs(10), Duration::from_secs(30), 1001));
    assert_eq!(settings.language, Language { module_path: Vec::new(), limits: ProgramLimits::default() });
}

#[test]
fn defaults_of_a_listener() {
    let listener = &defaults().listeners[0];
    assert_eq!((listener.name.as_str(), listener.number), ("ws", 1));
    assert_eq!(listener.format.codec.name(), "message");
    let Limits { max_message, max_frame, buffer } = listener.limits;
    assert_eq!((max_message, max_frame, buffer), (1 << 20, 1 << 20, 48 * 1024));
    assert_eq!(listener.max_header, 16 * 1024);
    let open = Admission { max_sessions: None, max_sessions_per_address: None, max_new_sessions: None };
    assert_eq!(listener.admission, open);
    let any = Rate { messages: None, bytes: None, burst: Duration::from_secs(1), on_limit: OnLimit::Error };
    assert_eq!((listener.rate, listener.address_rate), (any, any));
}

#[test]
fn default_timeouts_of_a_listener() {
    let listener = &defaults().listeners[0];
    assert_eq!(listener.handshake_timeout, Duration::from_secs(5));
    let liveness = LivenessConfig {
        ping_interval: Some(Duration::from_secs(30)),
        ping_timeout: Duration::from_secs(10),
        idle_timeout: None,
        slow_consumer_timeout: Some(Duration::from_secs(30)),
    };
    assert_eq!((listener.liveness, listener.slow_consumer), (liveness, SlowConsumer::Disconnect));
    let minute = Some(Duration::from_secs(60));
    assert_eq!(listener.tcp, TcpOptions { keepalive: minute, user_timeout: minute });
    assert_eq!(listener.on_client_close, OnClientClose::Finish);
}

#[test]
fn defaults_of_an_upstream() {
    let settings = defaults();
    let (listener, upstream) = (&settings.listeners[0], &settings.upstreams["echo"]);
    assert_eq!(&*upstream.url.text, "ws://127.0.0.1:8139");
    assert_eq!((upstream.exchange, &upstream.correlation), (ExchangeMode::Stream, &None));
    assert_eq!(upstream.max_in_flight, 128);
    assert_eq!((upstream.liveness, upstream.tcp), (listener.liveness, listener.tcp));
    assert_eq!(upstream.forward_headers.len(), 9);
    assert_eq!(upstream.forward_response_headers, ["set-cookie"]);
    assert_eq!((upstream.forward_path, &upstream.host), (true, &HostHeader::Upstream));
}

#[test]
fn defaults_for_the_end_of_an_upstream() {
    let upstream = &defaults().upstreams["echo"];
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
    assert_eq!(*upstream.restart, restart);
}

#[test]
fn defaults_of_a_route() {
    let route = &defaults().routes[0];
    assert_eq!(
        (route.pattern.listener.as_deref(), &route.pattern.path),
        (None, &PathPattern::Prefix("/".to_owned()))
    );
    assert!(route.incoming.is_empty() && route.errors.is_empty() && !route.strip_prefix);
    assert_eq!((route.on_upstream_loss, route.stateless), (OnUpstreamLoss::Auto, false));
    assert_eq!(route.error_replies, ErrorReplies::Auto);
    assert_eq!(route.dial_before_accept, Duration::from_secs(1));
}
