//! The rows of the table of keys, and the bounds of their values.

use std::time::Duration;

use super::{
    Key, Kind, Preset, Section, Shape,
    auth::AUTH,
    recovery::{MOVE_MESSAGE, RECOVERY},
};
use crate::processor::Side;

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Bounds of most durations. Zero would be ambiguous ("never" or "at once"), and more than a day is likely a
/// wrong unit.
const ANY_DURATION: Kind = Kind::Duration(MILLISECOND, DAY);
/// Bounds of durations that the ticker of a worker measures. The lower bound is its resolution.
const TICKED: Kind = Kind::Duration(Duration::from_millis(100), DAY);
/// Bounds of the time in which a session becomes quiet. Nothing answers the pings of its other connection meanwhile, so
/// after a minute many servers have closed it.
const GRACE: Kind = Kind::Duration(Duration::from_millis(100), Duration::from_secs(60));
const TICKED_OR_NEVER: Kind = Kind::Timeout(Duration::from_millis(100), DAY);
/// Bounds of the age of a session. The lower bound is the resolution of the ticker.
const SESSION_AGE: Kind = Kind::Timeout(Duration::from_millis(100), Duration::from_secs(30 * 24 * 60 * 60));
/// Bounds of the time between a notice and the expiry. A day is the life of most tokens.
const LEAD: Kind = Kind::Duration(Duration::ZERO, DAY);
/// Clocks that differ by more than an hour are wrong.
const SKEW: Kind = Kind::Duration(Duration::ZERO, Duration::from_secs(60 * 60));
/// Below 10 ms, probes load the network. Above a minute, they notice nothing before the clients do.
const PROBE: Kind = Kind::Duration(Duration::from_millis(10), Duration::from_secs(60));
/// Bounds of the time between look-ups of a name. Below 100 ms, they load the name server. After an hour, the addresses
/// may belong to other hosts.
const RESOLVE: Kind = Kind::Duration(Duration::from_millis(100), Duration::from_secs(60 * 60));
/// Bounds of durations that the kernel measures, which are in seconds.
const KERNEL: Kind = Kind::Timeout(Duration::from_secs(1), DAY);
/// Bounds of a burst. With a burst of more than an hour, a limit would not limit the rate.
const BURST: Kind = Kind::Duration(MILLISECOND, Duration::from_secs(60 * 60));

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Bounds of the maximum message size, fixed for compatibility.
const MESSAGE: Kind = Kind::Size(1, 64 * MIB);
/// Bounds of a `buffer`. Below 4 KiB, a buffer costs a system call for every few small messages. Above 64 MiB
/// per session, memory runs out.
const BUFFER: Kind = Kind::Size(4 * KIB, 64 * MIB);
/// Bounds of `server.buffer`: from the need of a handful of sessions to more memory than any machine has.
const POOL: Kind = Kind::Size(MIB, 1024 * 1024 * MIB);
/// Bounds of the size of a head. Below 1 KiB, no browser's handshake fits. A head above 1 MiB is an attack.
const HEADER: Kind = Kind::Size(KIB, MIB);
/// Bounds of a rate in bytes per second. The value 0 means no limit.
const BYTES_A_SECOND: Kind = Kind::Size(0, 1024 * 1024 * MIB);

/// Maximum number of worker threads: more than any machine has cores.
const WORKERS_MAX: u64 = 1024;
/// Maximum of `max_in_flight`. With more events in flight, a client would stop waiting before it gets its
/// replies.
const IN_FLIGHT_MAX: u64 = 1_000_000;
/// Maximum of `max_overdue`. A connection with this many overdue replies in a row stopped answering long ago.
const OVERDUE_MAX: u64 = 1000;
const RESTARTS_MAX: u64 = 1_000_000;
/// Maximum of the limits on sessions: more connections than a machine can hold.
const SESSIONS_MAX: u64 = 10_000_000;
const HANDSHAKES_MAX: u64 = 1_000_000;
/// Maximum of the limit on new sessions per second: more than a machine can accept.
const NEW_SESSIONS_MAX: u64 = 1_000_000;
const MESSAGES_A_SECOND_MAX: u64 = 1_000_000_000;

/// Maximum of the limit on steps. One event with this many steps occupies a worker for minutes.
const STEPS_MAX: u64 = 1_000_000_000;
const RECURSION_MAX: u64 = 1_000_000;
/// Bounds of the limit on a value's size. Below 1 KiB, no event fits; a value above the largest message could
/// not be sent.
const VALUE: Kind = Kind::Size(KIB, 64 * MIB);

/// Maximum of the queue of spans. A span has a few hundred bytes.
const SPANS_MAX: u64 = 1_000_000;
/// Bounds of the times of an exporter. After a minute, a span is too late for its readers.
const EXPORT: Kind = Kind::Duration(Duration::from_millis(10), Duration::from_secs(60));
const MESSAGES_A_SECOND: Kind = Kind::Count(0, MESSAGES_A_SECOND_MAX);
const SLOW_CONSUMER: Kind = Kind::Choice(&["disconnect", "drop_oldest", "drop_newest"]);
const ON_END: Kind = Kind::Choice(&["reconnect", "pass"]);
const BALANCE: Kind = Kind::Choice(&["least_sessions", "round_robin", "random", "hash"]);
/// More results in a row than this take longer than an outage.
const CHECKS: Kind = Kind::Count(1, 100);
const FAILURES_MAX: u64 = 1_000_000;
/// A larger ratio of two endpoints leaves one of them idle.
const WEIGHT_MAX: u64 = 1000;
/// More tiers than any upstream has.
const PRIORITY_MAX: u64 = 100;
/// An endpoint with more than ten times its share is no longer balanced at all.
const SHARE_MAX: u64 = 1000;
const ON_LIMIT: Kind = Kind::Choice(&["error", "delay", "close"]);

/// Client headers that upstreams usually need, the default of `forward_headers`.
const FORWARDED: &[&str] = &[
    "authorization",
    "cookie",
    "origin",
    "user-agent",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

/// The default of `log.access_format`.
const ACCESS_FORMAT: &str = "${closed} ${session} ${peer} ${listener} ${route} ${upstream} \"${path}\" ${code} \
                             ${cause} ${seconds} ${received}/${received_bytes} ${sent}/${sent_bytes} ${errored} \
                             ${restarts} ${gaps} \"${user_agent}\"";

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset }
}

// Groups of keys that listeners and upstreams share.

/// Keys for the conversion between messages and events.
const FORMAT: &[Key] = &[
    key("codec", Kind::Text, Preset::Text("message")),
    key("preprocessors", Kind::Processors(Side::Pre), Preset::List(&[])),
    key("postprocessors", Kind::Processors(Side::Post), Preset::List(&[])),
];

/// Keys for the limits on the peer's messages.
const LIMITS: &[Key] = &[
    key("max_message", MESSAGE, Preset::Text("1MiB")),
    key("max_frame", MESSAGE, Preset::Text("1MiB")),
    key("buffer", BUFFER, Preset::Text("48KiB")),
];

/// Keys for the time after which a silent peer counts as gone.
const PINGS: &[Key] = &[
    key("ping_interval", TICKED_OR_NEVER, Preset::Text("30s")),
    key("ping_timeout", TICKED, Preset::Text("10s")),
];

/// Keys for the time after which a peer that does not read counts as gone.
const SLOW_CONSUMER_TIMEOUT: &[Key] = &[key("slow_consumer_timeout", TICKED_OR_NEVER, Preset::Text("30s"))];

/// Keys for the kernel's checks of the connection.
const TCP: &[Key] = &[
    key("tcp_keepalive", KERNEL, Preset::Text("60s")),
    key("tcp_user_timeout", KERNEL, Preset::Text("60s")),
];

/// Keys for the end of the connection.
const CLOSING: &[Key] = &[key("close_timeout", ANY_DURATION, Preset::Text("1s"))];

/// The keys of a rate limit, which is a table.
macro_rules! rate {
    ($table:literal) => {
        &[
            key(concat!($table, ".messages"), MESSAGES_A_SECOND, Preset::Count(0)),
            key(concat!($table, ".bytes"), BYTES_A_SECOND, Preset::Text("0B")),
            key(concat!($table, ".burst"), BURST, Preset::Text("1s")),
            key(concat!($table, ".on_limit"), ON_LIMIT, Preset::Text("error")),
        ]
    };
}

/// A table in `endpoints` of an upstream.
static ENDPOINT: Section = Section {
    name: "endpoints",
    shape: Shape::Listed,
    groups: &[&[
        key("url", Kind::Url, Preset::Required),
        key("weight", Kind::Count(1, WEIGHT_MAX), Preset::Count(1)),
        key("priority", Kind::Count(0, PRIORITY_MAX), Preset::Count(0)),
        key("drain", Kind::Flag, Preset::Flag(false)),
    ]],
};

/// A table in `limits` of a route.
static LIMIT: Section = Section {
    name: "limits",
    shape: Shape::Listed,
    groups: &[&[
        key("by", Kind::Text, Preset::Required),
        key("max_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
        key("messages", MESSAGES_A_SECOND, Preset::Count(0)),
        key("bytes", BYTES_A_SECOND, Preset::Text("0B")),
        key("burst", BURST, Preset::Text("1s")),
        key("on_limit", ON_LIMIT, Preset::Text("error")),
    ]],
};

/// A table in `tls.certificates` of a listener.
static CERTIFICATE: Section = Section {
    name: "certificates",
    shape: Shape::Listed,
    groups: &[&[key("cert", Kind::Path, Preset::Required), key("key", Kind::Path, Preset::Required)]],
};

/// A file of endpoints.
pub(crate) static ENDPOINTS_FILE: Section = Section {
    name: "endpoints_file",
    shape: Shape::Single,
    groups: &[&[key("endpoints", Kind::Endpoints(&ENDPOINT), Preset::Absent)]],
};

/// All sections, in the order of the documents.
pub(crate) static SECTIONS: [Section; 11] = [
    Section {
        name: "server",
        shape: Shape::Single,
        groups: &[&[
            key("workers", Kind::Count(0, WORKERS_MAX), Preset::Count(0)),
            key("max_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
            key("max_handshakes", Kind::Count(1, HANDSHAKES_MAX), Preset::Count(1024)),
            key("buffer", POOL, Preset::Text("1GiB")),
        ]],
    },
    Section {
        name: "log",
        shape: Shape::Single,
        groups: &[&[
            key("level", Kind::Text, Preset::Text("info")),
            key("format", Kind::Choice(&["text", "json"]), Preset::Text("text")),
            key("access", Kind::Choice(&["off", "text", "json"]), Preset::Text("off")),
            key("access_format", Kind::Text, Preset::Text(ACCESS_FORMAT)),
        ]],
    },
    Section {
        name: "admin",
        shape: Shape::Single,
        groups: &[&[
            key("bind", Kind::Text, Preset::Text("127.0.0.1:9140")),
            key("token_file", Kind::Path, Preset::Absent),
            key("allowed_hosts", Kind::List, Preset::List(&[])),
            key("tap", Kind::Flag, Preset::Flag(false)),
            key("tap_redact", Kind::List, Preset::List(&[])),
            key("tap_redact_patterns", Kind::List, Preset::List(&[])),
        ]],
    },
    Section {
        name: "traces",
        shape: Shape::Single,
        groups: &[&[
            key("url", Kind::Url, Preset::Absent),
            key("ca", Kind::Path, Preset::Absent),
            key("headers", Kind::Headers, Preset::Empty),
            key("service_name", Kind::Text, Preset::Text("towline")),
            key("sample", Kind::Ratio, Preset::Ratio(1.0)),
            key("sample_events", Kind::Ratio, Preset::Ratio(0.01)),
            key("client_context", Kind::Choice(&["continue", "ignore"]), Preset::Text("continue")),
            key("queue", Kind::Count(1, SPANS_MAX), Preset::Count(2048)),
            key("export_interval", EXPORT, Preset::Text("5s")),
            key("export_timeout", EXPORT, Preset::Text("10s")),
        ]],
    },
    Section {
        name: "drain",
        shape: Shape::Single,
        groups: &[&[
            key("window", ANY_DURATION, Preset::Text("10s")),
            key("grace", ANY_DURATION, Preset::Text("30s")),
            key("close_code", Kind::OneOf(&[1001, 1012]), Preset::Count(1001)),
        ]],
    },
    Section {
        name: "language",
        shape: Shape::Single,
        groups: &[&[
            key("module_path", Kind::Paths, Preset::List(&[])),
            key("max_steps", Kind::Count(1_000, STEPS_MAX), Preset::Count(1_000_000)),
            key("max_recursion", Kind::Count(1, RECURSION_MAX), Preset::Count(1024)),
            key("max_value", VALUE, Preset::Text("16MiB")),
        ]],
    },
    Section {
        name: "listener",
        shape: Shape::Named,
        groups: &[
            &[
                key("bind", Kind::Addresses, Preset::Required),
                key("tls.certificates", Kind::Tables(&CERTIFICATE), Preset::Absent),
                key("tls.client_ca", Kind::Path, Preset::Absent),
                key("tls.client_auth", Kind::Choice(&["required", "optional"]), Preset::Absent),
                key("tls.min_version", Kind::Choice(&["1.2", "1.3"]), Preset::Absent),
                key("proxy_protocol", Kind::Choice(&["off", "optional", "required"]), Preset::Text("off")),
                key("trusted_proxies", Kind::List, Preset::List(&[])),
                key("trusted_headers", Kind::Choice(&["x-forwarded", "forwarded", "none"]), Preset::Absent),
            ],
            FORMAT,
            LIMITS,
            &[
                key("max_header", HEADER, Preset::Text("16KiB")),
                key("max_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
                key("max_sessions_per_address", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
                key("max_new_sessions", Kind::Count(0, NEW_SESSIONS_MAX), Preset::Count(0)),
                key("handshake_timeout", TICKED, Preset::Text("5s")),
            ],
            PINGS,
            &[key("idle_timeout", TICKED_OR_NEVER, Preset::Text("never"))],
            SLOW_CONSUMER_TIMEOUT,
            &[key("slow_consumer", SLOW_CONSUMER, Preset::Text("disconnect"))],
            TCP,
            CLOSING,
            &[key("on_client_close", Kind::Choice(&["finish", "cancel"]), Preset::Text("finish"))],
            rate!("rate"),
            rate!("address_rate"),
        ],
    },
    Section {
        name: "upstream",
        shape: Shape::Named,
        groups: &[
            &[
                key("url", Kind::Url, Preset::Absent),
                key("endpoints", Kind::Endpoints(&ENDPOINT), Preset::Absent),
                key("endpoints_file", Kind::Path, Preset::Absent),
                key("resolve", Kind::Choice(&["together", "each"]), Preset::Text("together")),
                key("resolve_interval", RESOLVE, Preset::Text("30s")),
                key("allow_urls", Kind::Urls, Preset::List(&[])),
                key("tls.roots", Kind::Choice(&["system", "web"]), Preset::Absent),
                key("tls.ca", Kind::Path, Preset::Absent),
                key("tls.cert", Kind::Path, Preset::Absent),
                key("tls.key", Kind::Path, Preset::Absent),
                key("tls.server_name", Kind::Text, Preset::Absent),
                key("tls.insecure", Kind::Flag, Preset::Flag(false)),
            ],
            FORMAT,
            LIMITS,
            &[
                key("exchange", Kind::Choice(&["stream", "request"]), Preset::Text("stream")),
                key("correlation", Kind::Text, Preset::Text("")),
                key("reply_timeout", ANY_DURATION, Preset::Text("30s")),
                key("max_overdue", Kind::Count(1, OVERDUE_MAX), Preset::Count(3)),
                key("max_in_flight", Kind::Count(1, IN_FLIGHT_MAX), Preset::Count(128)),
                key("connect_timeout", ANY_DURATION, Preset::Text("5s")),
            ],
            PINGS,
            SLOW_CONSUMER_TIMEOUT,
            TCP,
            CLOSING,
            &[
                key("forward_path", Kind::Flag, Preset::Flag(true)),
                key("host", Kind::Text, Preset::Text("upstream")),
                key("forward_headers", Kind::List, Preset::List(FORWARDED)),
                key("headers", Kind::Headers, Preset::Empty),
                key("remove_headers", Kind::List, Preset::List(&[])),
                key("forward_response_headers", Kind::List, Preset::List(&["set-cookie"])),
                key("response_headers", Kind::Headers, Preset::Empty),
                key("remove_response_headers", Kind::List, Preset::List(&[])),
                key("restart.min", ANY_DURATION, Preset::Text("100ms")),
                key("restart.max", ANY_DURATION, Preset::Text("10s")),
                key("restart.max_restarts", Kind::Count(1, RESTARTS_MAX), Preset::Count(10)),
                key("restart.window", ANY_DURATION, Preset::Text("60s")),
                key("restart.probe", ANY_DURATION, Preset::Text("30s")),
                key("restart.rate", Kind::Count(1, RESTARTS_MAX), Preset::Count(200)),
                key("balance", BALANCE, Preset::Text("least_sessions")),
                key("hash", Kind::Text, Preset::Text("peer")),
                key(
                    "slow_start",
                    Kind::Duration(Duration::ZERO, Duration::from_secs(60 * 60)),
                    Preset::Text("0s"),
                ),
                key("health.probe", Kind::Choice(&["tcp", "http", "websocket"]), Preset::Text("tcp")),
                key("health.path", Kind::Url, Preset::Absent),
                key("health.status", Kind::Statuses(200), Preset::Ranges(&["200-299"])),
                key("health.timeout", ANY_DURATION, Preset::Absent),
                key("health.interval", TICKED_OR_NEVER, Preset::Text("never")),
                key("health.unhealthy", CHECKS, Preset::Count(3)),
                key("health.healthy", CHECKS, Preset::Count(1)),
                key("ejection.failures", Kind::Count(0, FAILURES_MAX), Preset::Count(5)),
                key("ejection.time", ANY_DURATION, Preset::Text("30s")),
                key("ejection.max_share", Kind::Count(0, 100), Preset::Count(50)),
                key("breaker.sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
                key("breaker.dials", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
                key("breaker.rate", Kind::Count(0, NEW_SESSIONS_MAX), Preset::Count(0)),
                key("probe.min", PROBE, Preset::Text("50ms")),
                key("probe.max", PROBE, Preset::Text("1s")),
                key("max_age", TICKED_OR_NEVER, Preset::Text("never")),
                key("max_age_jitter", Kind::Count(0, 100), Preset::Count(10)),
                key("move.rate", Kind::Count(1, RESTARTS_MAX), Preset::Count(200)),
                key("move.grace", GRACE, Preset::Text("2s")),
                key("move.on_message", Kind::Tables(&MOVE_MESSAGE), Preset::Absent),
                key("rebalance.min_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
                key("rebalance.max_share", Kind::Count(101, SHARE_MAX), Preset::Count(120)),
                key("on_upstream_close.pass", Kind::CloseCodes, Preset::Ranges(&["4000-4999", "1008"])),
                key("on_upstream_close.else", ON_END, Preset::Text("reconnect")),
                key("on_refused.pass", Kind::Statuses(300), Preset::Ranges(&["401", "403"])),
                key("on_refused.else", ON_END, Preset::Text("reconnect")),
                key("on_give_up", Kind::Choice(&["keep", "close"]), Preset::Text("keep")),
            ],
            RECOVERY,
        ],
    },
    Section { name: "auth", shape: Shape::Named, groups: &[AUTH] },
    Section {
        name: "pipeline",
        shape: Shape::Named,
        groups: &[&[key("source", Kind::Text, Preset::Absent), key("file", Kind::Path, Preset::Absent)]],
    },
    Section {
        name: "route",
        shape: Shape::Listed,
        groups: &[&[
            key("listener", Kind::Reference("listener"), Preset::Absent),
            key("path", Kind::Text, Preset::Text("/")),
            key("name", Kind::Text, Preset::Absent),
            key("match.host", Kind::Text, Preset::Absent),
            key("match.path", Kind::Text, Preset::Absent),
            key("match.path_exact", Kind::Text, Preset::Absent),
            key("match.path_regex", Kind::Text, Preset::Absent),
            key("match.headers", Kind::Matches, Preset::Absent),
            key("match.query", Kind::Matches, Preset::Absent),
            key("match.cookies", Kind::Matches, Preset::Absent),
            key("match.subprotocol", Kind::Text, Preset::Absent),
            key("match.networks", Kind::List, Preset::Absent),
            key("match.tls_name", Kind::Text, Preset::Absent),
            key("origins", Kind::List, Preset::Absent),
            key("auth", Kind::References("auth"), Preset::List(&[])),
            key("require", Kind::Claims, Preset::Empty),
            key("answer.status", Kind::Count(200, 599), Preset::Absent),
            key("answer.body", Kind::Text, Preset::Absent),
            key("answer.content_type", Kind::Text, Preset::Absent),
            key("answer.redirect", Kind::Text, Preset::Absent),
            key("forward_http", Kind::Flag, Preset::Flag(false)),
            key("http_timeout", TICKED, Preset::Text("60s")),
            key("strip_prefix", Kind::Flag, Preset::Flag(false)),
            key("incoming", Kind::References("pipeline"), Preset::List(&[])),
            key("upstream", Kind::Reference("upstream"), Preset::Absent),
            key("outgoing", Kind::References("pipeline"), Preset::List(&[])),
            key("errors", Kind::References("pipeline"), Preset::List(&[])),
            key("error_replies", Kind::AutoFlag, Preset::Text("auto")),
            key("on_upstream_loss", Kind::Choice(&["auto", "keep", "close"]), Preset::Text("auto")),
            key("stateless", Kind::Flag, Preset::Flag(false)),
            key("subprotocols", Kind::List, Preset::List(&[])),
            key("dial_before_accept", ANY_DURATION, Preset::Text("1s")),
            key("max_session_age", SESSION_AGE, Preset::Text("never")),
            key("max_session_age_jitter", Kind::Count(0, 100), Preset::Count(10)),
            key("session_expiry.lead", LEAD, Preset::Text("30s")),
            key("session_expiry.skew", SKEW, Preset::Text("0s")),
            key("session_expiry.code", Kind::Count(1000, 4999), Preset::Count(1008)),
            key("session_expiry.reason", Kind::Text, Preset::Text("token expired")),
            key("log_claims", Kind::List, Preset::List(&[])),
            key("limits", Kind::Tables(&LIMIT), Preset::Absent),
        ]],
    },
];
