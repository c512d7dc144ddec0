//! Tests of a process that runs out of file descriptors: sessions continue, no thread spins, and later
//! clients are served as soon as descriptors are free (guarantees C3, C4).

use std::time::Duration;

use crate::harness::*;

/// Maximum number of open files, enough for the program and about forty connections.
const OPEN_FILES: usize = 64;

#[test]
fn when_descriptors_run_out_sessions_continue_and_later_clients_are_served() {
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&upstream.url())
        .with(r#"listener.ws.handshake_timeout = "5s""#)
        .with(r#"upstream.echo.restart = { min = "1s", max = "1s", max_restarts = 1000 }"#);
    let proxy = Proxy::start_limited(&settings, OPEN_FILES)
        .expect("cannot accept connections listener=ws: Too many open files")
        .expect("client refused")
        .expect_restarts();
    proxy.wait_log(&format!("limits sessions=16 open_files={OPEN_FILES}"));
    let mut client = proxy.client();
    assert_eq!(client.ask("before"), "before");
    let idle: Vec<_> = (0..OPEN_FILES).map(|_| Raw::connect(proxy.addr())).collect();
    proxy.wait_log("cannot accept connections listener=ws: Too many open files");
    let full = proxy.descriptors();
    assert_eq!(client.ask("meanwhile"), "meanwhile");
    // A loop that retried to accept without a pause would use a whole core.
    let busy = || measure_for(Duration::from_millis(400), || proxy.busy());
    wait_for("little processor time", Duration::from_secs(5), || busy() < Duration::from_millis(100));

    // A waiting client takes the descriptor of the lost connection, so the next dial has none.
    upstream.conn(0).die(Death::Fin);
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=1");
    wait_for("descriptors to be used up again", PATIENCE, || proxy.descriptors() == full);
    client.text("lost");
    assert_eq!(client.recv_error().1, "1:0:2");
    proxy.wait_log("connector restart session=1:0 upstream=echo attempt=2*Too many open files");

    for mut raw in idle {
        assert_eq!(raw.head().status(), 408);
    }
    // The proxy closes its sockets a moment after the answers. A new session needs one for its upstream, too.
    wait_for("descriptors to be free", PATIENCE, || proxy.descriptors() + 8 <= full);
    assert_eq!(proxy.client().ask("a new one"), "a new one");
    proxy.wait_ups(2);
    assert_eq!(client.ask("after"), "after");
}
