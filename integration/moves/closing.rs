//! How the connection that a session leaves is closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use super::draining::EndpointsFile;
use crate::harness::*;

/// A session whose connection to the first upstream has been closed by the proxy, and has not been closed by the
/// upstream yet.
struct Leaving {
    _proxy: Proxy,
    client: Client,
    first: Arc<Conn>,
    two: TestUpstream,
    _used: (TestUpstream, EndpointsFile),
}

impl Leaving {
    fn start(close_timeout: &str) -> Self {
        let [one, two] = [TestUpstream::silent(), TestUpstream::silent()];
        one.ignore_closes();
        let file = EndpointsFile::of(&[(&one, false)]);
        let settings = file.settings(Settings::stream("ws://unused"));
        let settings = settings.with(&format!("upstream.echo.close_timeout = {close_timeout:?}"));
        let proxy = Proxy::start(&settings.with("upstream.echo.ejection.failures = 1")).expect_restarts();
        let mut client = proxy.client();
        client.text("before");
        let first = one.conn(0);
        first.wait_messages(1);
        file.replace(&[(&one, true), (&two, false)]);
        let frame = (1001, "session moves to another connection".to_owned());
        wait_for("the close frame", PATIENCE, || first.closes() == [frame.clone()]);
        Self { _proxy: proxy, client, first, two, _used: (one, file) }
    }

    /// The session goes on at the other upstream.
    fn goes_on(&mut self) {
        self.client.text("after");
        let second = self.two.conn(0);
        second.wait_messages(1);
        assert_eq!(second.texts(), ["after"]);
        second.text("answer");
        assert_eq!(self.client.recv_text(), "answer");
    }
}

#[test]
fn a_client_that_pauses_during_a_move_gets_all_that_the_upstream_sends() {
    // More than the buffers of all sockets.
    const COUNT: usize = 640;
    let mut leaving = Leaving::start("1s");
    let sent = Arc::new(AtomicUsize::new(0));
    let (conn, counter) = (Arc::clone(&leaving.first), Arc::clone(&sent));
    let sending = std::thread::spawn(move || {
        for _ in 0..COUNT {
            conn.frame(&Frame::server(BINARY, vec![7; 64 << 10]));
            counter.fetch_add(1, SeqCst);
        }
        conn.die(Death::Close(1001, ""));
    });
    // Several times `close_timeout`.
    let is_blocked = || measure_for(Duration::from_secs(3), || sent.load(SeqCst)) == 0;
    wait_for("the upstream to be blocked", PATIENCE, is_blocked);
    assert!(sent.load(SeqCst) < COUNT);
    for _ in 0..COUNT {
        assert_eq!(leaving.client.recv().into_data().len(), 64 << 10);
    }
    sending.join().unwrap();
    leaving.goes_on();
}

#[test]
fn a_connection_that_the_upstream_does_not_close_in_answer_is_lost() {
    let deaths = [Death::Reset, Death::Fin, Death::Close(1012, "restarting"), Death::Close(1011, "failed")];
    for death in deaths.map(Some).into_iter().chain([None]) {
        let mut leaving = Leaving::start(if death.is_some() { "1h" } else { "100ms" });
        if let Some(death) = death {
            leaving.first.die(death);
        }
        let (error, event) = leaving.client.recv_error();
        assert!(error.starts_with("Error receiving reply"), "{death:?}: {error}");
        assert_eq!(event, "1:0:0", "the last message that was written");
        leaving.goes_on();
    }
}

#[test]
fn a_connection_that_the_upstream_closes_in_answer_is_not_lost() {
    for code in [1000, 1001] {
        let mut leaving = Leaving::start("1h");
        leaving.first.text("the last message");
        leaving.first.die(Death::Close(code, ""));
        assert_eq!(leaving.client.recv_text(), "the last message");
        leaving.goes_on();
    }
}
