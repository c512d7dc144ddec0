//! Endpoints that drain while the proxy runs.

use std::{fs, path::PathBuf, time::Duration};

use super::load::*;
use crate::harness::*;

/// A file of endpoints, each with whether it drains. It is replaced as a whole.
pub struct EndpointsFile {
    folder: tempfile::TempDir,
}

impl EndpointsFile {
    pub fn of(endpoints: &[(&TestUpstream, bool)]) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.replace(endpoints);
        file
    }

    pub fn replace(&self, endpoints: &[(&TestUpstream, bool)]) {
        let new = self.folder.path().join("new");
        let table = |(upstream, drain): &(&TestUpstream, bool)| {
            format!("[[endpoints]]\nurl = {:?}\ndrain = {drain}\n", upstream.url())
        };
        fs::write(&new, endpoints.iter().map(table).collect::<String>()).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("endpoints.toml")
    }

    /// These settings with the endpoints of this file.
    pub fn settings(&self, settings: Settings) -> Settings {
        settings.endpoints_file(self.path().to_str().unwrap())
    }
}

#[test]
fn the_sessions_of_an_endpoint_that_drains_go_to_the_others_without_a_gap() {
    for settings in modes("ws://unused") {
        for is_listed in [true, false] {
            let upstreams = [0, 1, 2].map(|_| TestUpstream::echo());
            let [one, two, three] = &upstreams;
            let file = EndpointsFile::of(&[(one, false), (two, false), (three, false)]);
            let proxy = Proxy::start(&file.settings(settings.clone()));
            let load = Load::start(&proxy, 30, Duration::from_millis(5));
            wait_for("all to be connected", PATIENCE, || upstreams.iter().all(|it| it.live() == 10));
            if is_listed {
                file.replace(&[(one, true), (two, false), (three, false)]);
            } else {
                file.replace(&[(two, false), (three, false)]);
            }
            proxy.wait_log("endpoint draining upstream=echo endpoint=*sessions=10 movable=10");
            proxy.wait_log("endpoint drained upstream=echo endpoint=*moved=10 stayed=0 took=");
            let all = || (one.live(), two.live() + three.live());
            wait_for("the others to have them", PATIENCE, || all() == (0, 30));
            let sent = load.stop();
            assert_eq!(upstreams.iter().map(TestUpstream::received).sum::<usize>(), sent);
            assert!(ends(one).iter().all(|end| matches!(end, End::Close(1001, _))), "{:?}", ends(one));
            let moves = || proxy.count_log("session moved session=*cause=drain");
            wait_for("the lines of the moves", PATIENCE, || moves() >= 10);
            assert_eq!(moves(), 10);
        }
    }
}

/// A client of Action Cable gives its connection up after 6 s without a heartbeat.
#[test]
fn heartbeats_reach_the_client_during_the_replay_after_a_move() {
    let [one, two] = [0, 1].map(|_| TestUpstream::silent());
    let file = EndpointsFile::of(&[(&one, false), (&two, true)]);
    let settings = Settings::recovering("ws://unused", r#"preset = "action-cable""#)
        .with(r#"upstream.echo.recovery.timeout = "5m""#);
    let proxy = Proxy::start(&file.settings(settings));
    let mut client = proxy.client();
    one.conn(0).text(r#"{"type":"welcome"}"#);
    assert_eq!(client.recv_text(), r#"{"type":"welcome"}"#);
    client.text(r#"{"command":"subscribe","identifier":"a"}"#);
    one.conn(0).wait_messages(1);
    one.conn(0).text(r#"{"type":"confirm_subscription","identifier":"a"}"#);
    assert_eq!(client.recv_json()["type"], "confirm_subscription");
    file.replace(&[(&one, true), (&two, false)]);
    // It does not greet, so that the replay goes on.
    two.conn(0);
    for _ in 0..2 {
        assert_eq!(client.recv_json()["type"], "ping");
    }
    two.conn(0).text(r#"{"type":"welcome"}"#);
    two.conn(0).wait_messages(1);
    two.conn(0).text(r#"{"type":"confirm_subscription","identifier":"a"}"#);
    proxy.wait_log("session moved session=1:0 upstream=echo *cause=drain");
}

#[test]
fn an_endpoint_that_drains_from_the_start_gets_no_session() {
    let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
    let list = format!("[{{ url = {:?}, drain = true }}, {:?}]", one.url(), two.url());
    let proxy = Proxy::start(&Settings::request("ws://unused").endpoints(&list));
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask("hello"), "hello"));
    assert_eq!((one.handshakes(), two.live()), (0, 4));
}

#[test]
fn a_drain_keeps_its_pace_and_is_called_off_when_the_endpoint_is_used_again() {
    let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
    let file = EndpointsFile::of(&[(&one, false)]);
    let settings = file.settings(Settings::request("ws://unused"));
    let proxy = Proxy::start(&settings.with("upstream.echo.move.rate = 8"));
    let load = Load::start(&proxy, 40, Duration::from_millis(20));
    wait_for("all to be connected", PATIENCE, || one.live() == 40);
    file.replace(&[(&one, true), (&two, false)]);
    wait_for("some to have moved", PATIENCE, || two.live() >= 10);
    file.replace(&[(&one, false), (&two, false)]);
    let line = proxy.wait_log("endpoint in use again upstream=echo endpoint=*moved=*sessions=");
    let moves = || proxy.count_log("session moved session=");
    // The moves that had begun end, and no other one begins.
    let is_over = || measure_for(Duration::from_millis(500), moves) == 0;
    wait_for("the end of the moves", PATIENCE, || {
        is_over() && one.live() + two.live() == 40 && two.live() == moves()
    });
    assert!((10..40).contains(&moves()), "{line}");
    let sent = load.stop();
    assert_eq!(one.received() + two.received(), sent);
}

#[test]
fn the_sessions_of_an_endpoint_that_drains_stay_while_the_others_refuse_them() {
    let [one, two] = [TestUpstream::echo(), TestUpstream::echo()];
    two.set_answer(Answer::Refuse(503));
    let file = EndpointsFile::of(&[(&one, false)]);
    let settings = file.settings(Settings::request("ws://unused"));
    let settings = settings.with(r#"upstream.echo.ejection.time = "1s""#);
    let proxy = Proxy::start(&settings).expect("endpoint ejected");
    let load = Load::start(&proxy, 10, Duration::from_millis(20));
    wait_for("all to be connected", PATIENCE, || one.live() == 10);
    file.replace(&[(&one, true), (&two, false)]);
    wait_for("the moves to be refused", PATIENCE, || two.handshakes() >= 5);
    assert_eq!(one.live(), 10);
    two.set_answer(Answer::Accept);
    wait_for("all to have moved", PATIENCE, || (one.live(), two.live()) == (0, 10));
    let sent = load.stop();
    assert_eq!(one.received() + two.received(), sent);
}
