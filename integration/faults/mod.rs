//! The fault matrix: one file for each fault, one test for each side it can come from. Whatever happens, each
//! event is accounted for (C1), the other side is told, a neighbour notices nothing (C3), and nothing is left:
//! no session, no connection, no descriptor, no memory (C4).

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

/// More than the socket buffers of loopback hold, on both of the proxy's sides.
const MUCH: usize = 64 << 20;

/// What the proxy may have grown by: far below [`MUCH`], far above what one session may keep.
const LITTLE_KIB: u64 = 16 << 10;

/// What the upstream is told of a client that vanished.
fn gone() -> End {
    End::Close(1001, "client is gone".into())
}

/// Request mode with short times for closing handshakes.
fn quick(url: &str) -> Settings {
    Settings::request(url)
        .with(r#"listener.ws.close_timeout = "200ms""#)
        .with(r#"upstream.echo.close_timeout = "200ms""#)
}

/// A proxy in which a fault will happen in session 1:1, while session 1:0 looks on.
struct Scene {
    origin: Origin,
    proxy: Proxy,
    neighbour: Client,
    descriptors: usize,
    kib: u64,
}

// === impl Scene ===

impl Scene {
    /// With an upstream that answers the neighbour, and nobody else: that is the test's business.
    fn new(settings: impl FnOnce(&str) -> Settings) -> Self {
        Self::with(settings, |_, _| ())
    }

    /// With an upstream that does `on_message` with what is not the neighbour's.
    fn with(
        settings: impl FnOnce(&str) -> Settings,
        on_message: impl Fn(&Conn, Message) + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::with(move |conn, message| match message == Message::text("neighbour") {
            true => conn.send(message),
            false => on_message(conn, message),
        });
        let proxy = Proxy::start(&settings(&origin.url())).expect_restarts().expect("status=408");
        let (descriptors, kib) = (proxy.descriptors_at_rest(), proxy.resident_kib());
        let neighbour = proxy.client();
        let mut scene = Self { origin, proxy, neighbour, descriptors, kib };
        scene.neighbour_is_served();
        scene
    }

    /// The upstream's side of session 1:1's first connection.
    fn conn(&self) -> Arc<Conn> {
        self.origin.conn(1)
    }

    /// The neighbour is answered.
    #[track_caller]
    fn neighbour_is_served(&mut self) {
        assert_eq!(self.neighbour.ask("neighbour"), "neighbour");
    }

    /// The process has not grown by more than a session may keep.
    #[track_caller]
    fn memory_is_bounded(&self) {
        let grown = self.proxy.resident_kib().saturating_sub(self.kib);
        assert!(grown < LITTLE_KIB, "{grown} KiB");
    }

    /// How session 1:1 ended, when it ended: all its events are accounted for.
    #[track_caller]
    fn account(&self) -> Account {
        let account = self.proxy.account("1:1");
        assert!(account.is_balanced(), "{account:?}");
        account
    }

    /// Ends session 1:1 properly; all its events have an outcome.
    #[track_caller]
    fn goodbye(&self, mut client: Client) -> Account {
        client.close(1000, "");
        client.expect_closed(1000);
        let account = self.account();
        assert_eq!(account.unsettled, 0, "{account:?}");
        account
    }

    /// `Error receiving reply from server URL: REASON`
    fn receiving(&self, reason: &str) -> String {
        format!("Error receiving reply from server {}: {reason}", self.origin.url())
    }

    /// Session 1:1 is over; the neighbour has not noticed, and when it goes, nothing is left.
    #[track_caller]
    fn nothing_is_left(mut self) {
        self.proxy.wait_log("session closed session=1:1 ");
        wait_for("the end of its connections", PATIENCE, || self.origin.live() == 1);
        self.neighbour_is_served();
        assert_eq!(self.proxy.count_log("connector restart session=1:0"), 0);
        self.neighbour.close(1000, "");
        self.neighbour.expect_closed(1000);
        self.proxy.wait_idle(self.descriptors);
        wait_for("the end of all connections", PATIENCE, || self.origin.live() == 0);
        self.memory_is_bounded();
    }
}

/// Sends three messages, which the upstream gets and does not answer.
#[track_caller]
fn three_in_flight(scene: &Scene, send: impl FnMut(&str)) {
    ["a", "b", "c"].into_iter().for_each(send);
    scene.conn().wait_messages(3);
}

/// Upstreams are pinged, and lost when they do not answer within 200 ms.
fn pinged(url: &str) -> Settings {
    quick(url)
        .with(r#"upstream.echo.ping_interval = "300ms""#)
        .with(r#"upstream.echo.ping_timeout = "200ms""#)
}

/// The upstream fails with three messages in flight, for this reason; the client recovers.
#[track_caller]
fn recovers_from(scene: &Scene, fault: impl FnOnce(&Conn), reason: &str) {
    let mut client = scene.proxy.client();
    three_in_flight(scene, |text| client.text(text));
    fault(&scene.conn());
    recovers_from_a_loss(scene, client, reason);
}

/// The upstream's connection was lost with three messages in flight: each has its error, the next message goes
/// over the next connection.
#[track_caller]
fn recovers_from_a_loss(scene: &Scene, mut client: Client, reason: &str) {
    for event in 0..3 {
        assert_eq!(client.recv_error(), (scene.receiving(reason), format!("1:1:{event}")));
    }
    let line = scene.proxy.wait_log("connector restart session=1:1 upstream=echo attempt=1 ");
    assert!(line.ends_with(&format!("reason=\"{reason}\" unsettled=3")), "{line}");
    scene.proxy.wait_ups_of("1:1", 2);
    client.text("d");
    let conn = scene.origin.conn(2);
    assert_eq!(conn.wait_messages(1), [Message::text("d")], "nothing of before (C6)");
    conn.text("answer");
    assert_eq!(client.recv_text(), "answer");
    let account = scene.goodbye(client);
    assert_eq!((account.accepted, account.answered, account.errored), (4, 1, 3), "{account:?}");
}
