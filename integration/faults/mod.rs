//! The fault matrix: one file for each fault, with a test for each side that can cause it. After each fault,
//! every event has an outcome (guarantee C1), the other side gets a close frame or error replies, other
//! sessions are unaffected (C3), and no session, connection, descriptor or memory is left (C4).

mod closes;
mod eof_mid_frame;
mod flood;
mod half_close;
mod half_open;
mod never_closes;
mod oversize;
mod protocol_error;
mod reset;
mod slow_handshake;
mod stops_reading;
mod stops_sending;
mod trickle;

use std::sync::Arc;

use crate::harness::*;

/// Number of bytes that is more than the loopback sockets on both sides of the proxy hold.
const MUCH: usize = 64 << 20;

/// Maximum growth of the process's memory, in KiB: far below [`MUCH`], far above what one session may hold.
const LITTLE_KIB: u64 = 16 << 10;

/// The end that the upstream sees when the client's connection was lost.
fn gone() -> End {
    End::Close(1001, "client is gone".into())
}

/// Settings in request mode with a short `close_timeout`.
fn quick(url: &str) -> Settings {
    Settings::request(url)
        .with(r#"listener.ws.close_timeout = "1s""#)
        .with(r#"upstream.echo.close_timeout = "1s""#)
}

/// A proxy with two sessions: the fault happens in session 1:1, and session 1:0, the neighbour, must be unaffected.
struct Scene {
    upstream: TestUpstream,
    proxy: Proxy,
    neighbour: Client,
    descriptors: usize,
    kib: u64,
}

// === impl Scene ===

impl Scene {
    /// Starts a scene with an upstream that answers only the neighbour. The test answers session 1:1.
    fn new(settings: impl FnOnce(&str) -> Settings) -> Self {
        Self::with(settings, |_, _| ())
    }

    /// Starts a scene with an upstream that calls `on_message` for the messages of session 1:1.
    fn with(
        settings: impl FnOnce(&str) -> Settings,
        on_message: impl Fn(&Conn, Message) + Send + Sync + 'static,
    ) -> Self {
        let upstream = TestUpstream::with(move |conn, message| match message == Message::text("neighbour") {
            true => conn.send(message),
            false => on_message(conn, message),
        });
        let proxy = Proxy::start(&settings(&upstream.url())).expect_restarts().expect("status=408");
        let (descriptors, kib) = (proxy.descriptors_at_rest(), proxy.resident_kib());
        let neighbour = proxy.client();
        let mut scene = Self { upstream, proxy, neighbour, descriptors, kib };
        scene.neighbour_is_served();
        scene
    }

    /// The upstream's side of session 1:1's first connection.
    fn conn(&self) -> Arc<Conn> {
        self.upstream.conn(1)
    }

    /// Checks that the neighbour is still served.
    #[track_caller]
    fn neighbour_is_served(&mut self) {
        assert_eq!(self.neighbour.ask("neighbour"), "neighbour");
    }

    /// Checks that the process has not grown by more than [`LITTLE_KIB`].
    #[track_caller]
    fn memory_is_bounded(&self) {
        let grown = self.proxy.resident_kib().saturating_sub(self.kib);
        assert!(grown < LITTLE_KIB, "{grown} KiB");
    }

    /// Waits until session 1:1 has ended, and checks that each of its events has one outcome.
    #[track_caller]
    fn account(&self) -> Account {
        let account = self.proxy.account("1:1");
        assert!(account.is_balanced(), "{account:?}");
        account
    }

    /// Ends session 1:1 with a closing handshake, and checks that all its events have an outcome.
    #[track_caller]
    fn goodbye(&self, mut client: Client) -> Account {
        client.close(1000, "");
        client.expect_closed(1000);
        let account = self.account();
        assert_eq!(account.unsettled, 0, "{account:?}");
        account
    }

    /// The error text `Error receiving reply from server URL: REASON`, with the URL of the upstream.
    fn receiving(&self, reason: &str) -> String {
        format!("Error receiving reply from server {}: {reason}", self.upstream.url())
    }

    /// Checks that session 1:1 is over and the other client, the neighbour, is still served. Then closes the
    /// neighbour, and checks that no session, connection or descriptor is left and that memory has not grown.
    #[track_caller]
    fn nothing_is_left(mut self) {
        self.proxy.wait_log("session closed session=1:1 ");
        wait_for("the end of its connections", PATIENCE, || self.upstream.live() == 1);
        self.neighbour_is_served();
        assert_eq!(self.proxy.count_log("connector restart session=1:0"), 0);
        self.neighbour.close(1000, "");
        self.neighbour.expect_closed(1000);
        self.proxy.wait_idle(self.descriptors);
        wait_for("the end of all connections", PATIENCE, || self.upstream.live() == 0);
        self.memory_is_bounded();
    }
}

/// Sends three messages that the upstream receives and does not answer.
#[track_caller]
fn three_in_flight(scene: &Scene, send: impl FnMut(&str)) {
    ["a", "b", "c"].into_iter().for_each(send);
    scene.conn().wait_messages(3);
}

/// Settings in which an upstream that does not answer a ping within 2 s counts as lost.
fn pinged(url: &str) -> Settings {
    quick(url).with(r#"upstream.echo.ping_interval = "300ms""#).with(r#"upstream.echo.ping_timeout = "2s""#)
}

/// Checks that the session recovers after the upstream connection fails for `reason`, with three messages in
/// flight.
#[track_caller]
fn recovers_from(scene: &Scene, fault: impl FnOnce(&Conn), reason: &str) {
    let mut client = scene.proxy.client();
    three_in_flight(scene, |text| client.text(text));
    fault(&scene.conn());
    recovers_from_a_loss(scene, client, reason);
}

/// Checks that each of three messages in flight gets an error reply, and that the next message uses a new
/// connection.
#[track_caller]
fn recovers_from_a_loss(scene: &Scene, mut client: Client, reason: &str) {
    for event in 0..3 {
        assert_eq!(client.recv_error(), (scene.receiving(reason), format!("1:1:{event}")));
    }
    let line = scene.proxy.wait_log("connector restart session=1:1 upstream=echo attempt=1 ");
    assert!(line.ends_with(&format!("reason=\"{reason}\" unsettled=3")), "{line}");
    scene.proxy.wait_ups_of("1:1", 2);
    client.text("d");
    let conn = scene.upstream.conn(2);
    assert_eq!(conn.wait_messages(1), [Message::text("d")], "no earlier message is sent (C6)");
    conn.text("answer");
    assert_eq!(client.recv_text(), "answer");
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.answered, account.errored), (4, 1, 3), "{account:?}");
}
