//! Tests of the demo, as the README shows it.

use std::path::Path;

use crate::harness::*;

#[test]
fn the_demo_answers_websocat() {
    let upstream = Port::take();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut demo = Program::start(
        &["demo", "--config", "settings/demo.toml"],
        &[
            ("TOWLINE__LISTENER__WS__BIND", "127.0.0.1:0"),
            ("TOWLINE__UPSTREAM__ECHO__URL", &upstream.url()),
            ("TOWLINE__ADMIN__BIND", "127.0.0.1:0"),
        ],
        root,
    );
    let line = demo.wait_log("listening listener=ws *address=127.0.0.1:");
    let addr = line.rsplit_once("address=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(Websocat::one(addr, "hello\n"), "hello\n");
    assert_eq!(Websocat::one(addr, "snot\n"), "badger\n");
    assert_eq!(Client::connect(addr).ask("hello"), "hello");
    assert_eq!(Client::connect(addr).ask("snot"), "badger");
    demo.signal("TERM");
    assert_eq!(demo.exit_code(), Some(0));
    assert!(!demo.log().iter().any(|line| matches(line, "WARN") || matches(line, "ERROR")));
}

#[test]
fn the_echo_ends_on_a_signal() {
    let mut echo = Program::start(&["echo", "--bind", "127.0.0.1:0"], &[], Path::new("."));
    let line = echo.wait_log("listening echo *address=127.0.0.1:");
    let addr = line.rsplit_once("address=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let mut client = Client::connect(addr);
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(client.ask("snot"), "badger");
    assert_eq!(client.ask("snot\n"), "badger");
    client.send(binary("bytes"));
    assert_eq!(client.recv(), binary("bytes"));
    echo.signal("TERM");
    assert_eq!(echo.exit_code(), Some(0));
}
