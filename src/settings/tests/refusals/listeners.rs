//! Tests of wrong settings in `[listener.NAME]`.

use super::{WrongLine, expect_problems};

const WRONG_LINES: &[WrongLine] = &[
    (
        "listener.ws",
        "proxy_protocol = \"on\"",
        "listener.ws.proxy_protocol = \"on\" (/etc/towline.toml): takes \"off\", \"optional\" or \"required\"",
    ),
    (
        "listener.ws",
        "proxy_protocol = \"required\"",
        "listener.ws.proxy_protocol = \"required\" (/etc/towline.toml): needs trusted_proxies",
    ),
    (
        "listener.ws",
        "trusted_proxies = [\"10.0.0.1/8\", \"lb\", \"::ffff:10.0.0.1\"]",
        "\"10.0.0.1/8\" has bits after the prefix; did you mean \"10.0.0.0/8\"?; \"lb\" is not a network such as \
         \"10.0.0.0/8\", nor an address; \"::ffff:10.0.0.1\": write it as a network of IPv4",
    ),
    (
        "listener.ws",
        "trusted_headers = \"forwarded\"",
        "listener.ws.trusted_headers = \"forwarded\" (/etc/towline.toml): has no effect without trusted_proxies",
    ),
    (
        "listener.ws",
        "max_sessions_per_address = 3\nmax_sessions = 2",
        "listener.ws.max_sessions_per_address = 3 (/etc/towline.toml): is above max_sessions, which is 2, so it can \
         never be reached",
    ),
    (
        "listener.ws",
        "ping_interval = \"always\"",
        "listener.ws.ping_interval = \"always\" (/etc/towline.toml): takes a duration with a unit, such as \"30s\", \
         from 100ms to 1 day, or \"never\"",
    ),
    (
        "listener.ws",
        "ping_timeout = \"never\"",
        "listener.ws.ping_timeout = \"never\" (/etc/towline.toml): takes a duration with a unit, such as \"30s\", from \
         100ms to 1 day",
    ),
    (
        "listener.ws",
        "tcp_user_timeout = \"20s\"",
        "listener.ws.tcp_user_timeout = \"20s\" (/etc/towline.toml): is below slow_consumer_timeout, which is 30s",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop\"",
        "listener.ws.slow_consumer = \"drop\" (/etc/towline.toml): takes \"disconnect\", \"drop_oldest\" or \
         \"drop_newest\"",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop_oldest\"",
        "listener.ws.tcp_user_timeout = \"60s\" (default): must be \"never\" with slow_consumer = \
         \"drop_oldest\": the kernel would end a client that does not read",
    ),
    (
        "listener.ws",
        "slow_consumer = \"drop_newest\"\ntcp_user_timeout = \"never\"\nslow_consumer_timeout = \"never\"",
        "listener.ws.slow_consumer_timeout = \"never\" (/etc/towline.toml): with \"never\", slow_consumer = \
         \"drop_newest\" would never drop a message",
    ),
    (
        "listener.ws",
        "rate.on_limit = \"close\"",
        "listener.ws.rate.on_limit = \"close\" (/etc/towline.toml): has no effect without rate.messages or rate.bytes",
    ),
    (
        "listener.ws",
        "address_rate.burst = \"2h\"\naddress_rate.messages = 1",
        "listener.ws.address_rate.burst = \"2h\" (/etc/towline.toml): takes a duration with a unit, such as \"30s\", \
         from 1ms to 1h",
    ),
    (
        "listener.ws",
        "bind = \"127.0.0.1\"",
        "listener.ws.bind = \"127.0.0.1\" (/etc/towline.toml): takes host:port",
    ),
    ("listener.ws", "bind = \":80\"", "listener.ws.bind = \":80\" (/etc/towline.toml): takes host:port"),
    (
        "listener.ws",
        "bind = \"127.0.0.1:65536\"",
        "listener.ws.bind = \"127.0.0.1:65536\" (/etc/towline.toml): takes host:port, such as \"127.0.0.1:9139\", with a port from 0 to 65535",
    ),
    (
        "listener.ws",
        "bind = \"no such host:1\"",
        "(/etc/towline.toml): takes host:port, and the host cannot be found: ",
    ),
    (
        "listener.ws",
        "codec = \"strng\"",
        "listener.ws.codec = \"strng\" (/etc/towline.toml): unknown codec; use message, string, json, binary",
    ),
    ("listener.ws", "preprocessors = \"lines\"", "takes a list of preprocessors"),
    (
        "listener.ws",
        "preprocessors = [\"line\"]",
        "listener.ws.preprocessors = [\"line\"] (/etc/towline.toml): no preprocessor is called \"line\"; there is \"lines\"",
    ),
    (
        "listener.ws",
        "preprocessors = [{ buffered = true }]",
        "a preprocessor is a name, or a table with a name such as { name = \"lines\" }",
    ),
    (
        "listener.ws",
        "preprocessors = [1]",
        "listener.ws.preprocessors = [1] (/etc/towline.toml): a preprocessor is a name, or a table",
    ),
    (
        "listener.ws",
        "preprocessors = [{ name = \"lines\", buffer = true }]",
        "listener.ws.preprocessors = [{ name = \"lines\", buffer = true }] (/etc/towline.toml): lines has no option \"buffer\"; its options are \"buffered\"",
    ),
    (
        "listener.ws",
        "postprocessors = [{ name = \"lines\", buffered = true }]",
        "lines takes the option \"buffered\" as a preprocessor only",
    ),
    (
        "listener.ws",
        "max_message = 1024",
        "listener.ws.max_message = 1024 (/etc/towline.toml): takes a size with a unit, such as \"64KiB\", from 1B to 64MiB",
    ),
    ("listener.ws", "max_message = \"1024\"", "takes a size with a unit"),
    ("listener.ws", "max_message = \"65MiB\"", "takes a size with a unit"),
    ("listener.ws", "max_message = \"many MiB\"", "takes a size with a unit"),
    (
        "listener.ws",
        "max_message = \"1KiB\"",
        "listener.ws.max_message = \"1KiB\" (/etc/towline.toml): a frame may not be longer than a message",
    ),
    (
        "listener.ws",
        "max_frame = \"2MiB\"",
        "listener.ws.max_frame = \"2MiB\" (/etc/towline.toml): a frame may not be longer than a message",
    ),
    (
        "listener.ws",
        "buffer = \"4095B\"",
        "listener.ws.buffer = \"4095B\" (/etc/towline.toml): takes a size with a unit, such as \"64KiB\", from 4KiB to 64MiB",
    ),
    ("listener.ws", "bnid = 1", "listener.ws.bnid (/etc/towline.toml): unknown key; did you mean \"bind\"?"),
    (
        "listener.ws",
        "colour = 1",
        "listener.ws.colour (/etc/towline.toml): unknown key; known: bind, tls.certificates, ",
    ),
    ("listener.ws", "tls.certificates = []", "takes at least one certificate"),
    ("listener.ws", "tls.certificates = [\"a.pem\"]", "takes a list of tables with the keys cert, key"),
    ("listener.ws", "tls.certificates = [{ cert = \"a\" }]", "required: it has no default"),
    ("listener.ws", "tls.client_ca = \"a\"", "has no effect without tls.certificates"),
    ("listener.ws", "tls.min_version = \"1.3\"", "has no effect without tls.certificates"),
    ("listener.ws", "tls.min_version = \"1.1\"", "takes \"1.2\" or \"1.3\""),
    ("listener.ws", "tls.client_auth = \"no\"", "takes \"required\" or \"optional\""),
    ("listener.ws", "tls.key = \"a\"", "listener.ws.tls.key"),
    (
        "listener.Two",
        "bind = \"127.0.0.1:0\"",
        "listener.Two (/etc/towline.toml): a name consists of a-z, 0-9, _ and -",
    ),
    (
        "listener.a__b",
        "bind = \"127.0.0.1:0\"",
        "listener.a__b (/etc/towline.toml): a name cannot contain two underscores in a row",
    ),
    (
        "listener.two",
        "codec = \"json\"",
        "listener.two.bind (/etc/towline.toml): required: it has no default",
    ),
    (
        "listener.two",
        "bind = \"127.0.0.1:9139\"",
        "listener.two.bind = \"127.0.0.1:9139\" (/etc/towline.toml): [listener.ws] already uses this address",
    ),
    ("listener.two", "bind = \"0.0.0.0:9139\"", "[listener.ws] already uses this address"),
    (
        "listener.two",
        "bind = [\"127.0.0.1:1\", \"[::]:9139\"]",
        "(/etc/towline.toml): [listener.ws] already uses [::]:9139; give them different addresses",
    ),
    (
        "listener.ws",
        "bind = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "listener.ws.bind = [\"127.0.0.1:1\", \"127.0.0.1:1\"] (/etc/towline.toml): lists 127.0.0.1:1 twice",
    ),
    (
        "listener.ws",
        "bind = [\"localhost:1\", \"[::]:1\"]",
        "lists [::1]:1 and [::]:1: one of them includes the other",
    ),
    (
        "listener.ws",
        "bind = []",
        "takes host:port, such as \"127.0.0.1:9139\"; at least one address is required",
    ),
    (
        "listener.ws",
        "bind = 9139",
        "listener.ws.bind = 9139 (/etc/towline.toml): takes an address in quotes, or a list of addresses",
    ),
    (
        "listener.ws",
        "bind = [\"127.0.0.1:1\", \":2\"]",
        "(/etc/towline.toml): \":2\": takes host:port, such as",
    ),
    (
        "listener.two",
        "bind = \"127.0.0.1:9140\"",
        "listener.two.bind = \"127.0.0.1:9140\" (/etc/towline.toml): [admin] already uses this address",
    ),
    (
        "listener.ws",
        "preprocessors = [\"line\", \"x\"]",
        "called \"line\"; there is \"lines\"; no preprocessor is called \"x\"",
    ),
    ("listener.ws", "bind = [\":1\", \":2\"]", "with a port from 0 to 65535; \":2\": takes host:port"),
    (
        "listener.ws",
        "ping_interval = \"never\"\nping_timeout = \"5s\"",
        "listener.ws.ping_timeout = \"5s\" (/etc/towline.toml): has no effect with ping_interval = \"never\"",
    ),
];

#[test]
fn wrong_lines_of_a_listener_are_refused() {
    expect_problems(WRONG_LINES);
}
