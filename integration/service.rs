//! The process as a service: notifications of systemd, inherited sockets, and handing them to a new process.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use crate::harness::*;

fn settings(upstream: &TestUpstream, address: SocketAddr) -> Settings {
    Settings::request(&upstream.url()).with(&format!("listener.ws.bind = \"{address}\""))
}

/// Waits until the proxy has notified `socket` of `state`.
fn wait_for_state(socket: &UnixDatagram, state: &str) {
    let mut text = [0; 1024];
    loop {
        let count = socket.recv(&mut text).unwrap_or_else(|error| panic!("no {state}: {error}"));
        if str::from_utf8(&text[..count]).unwrap().lines().any(|line| line == state) {
            return;
        }
    }
}

#[test]
fn systemd_is_notified_of_the_start_of_reloads_of_life_and_of_the_stop() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let mut proxy = Proxy::start_with(&Settings::request(&upstream.url()), &env);
    wait_for_state(&socket, "READY=1");
    (0..3).for_each(|_| wait_for_state(&socket, "WATCHDOG=1"));
    proxy.signal("HUP");
    wait_for_state(&socket, "RELOADING=1");
    wait_for_state(&socket, "READY=1");
    proxy.signal("TERM");
    wait_for_state(&socket, "STOPPING=1");
    assert_eq!(proxy.exit_code(), Some(0));
}

#[test]
fn a_socket_that_the_process_inherits_is_used_and_its_clients_have_waited() {
    let upstream = TestUpstream::echo();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let unused = format!("inherited socket not used address={}", other.local_addr().unwrap());
    // The kernel accepts it before the proxy runs.
    let early = TcpStream::connect(address).unwrap();
    let proxy = Proxy::start_inheriting(&settings(&upstream, address), vec![other, socket]).expect(&unused);
    proxy.wait_log(&unused);
    assert_eq!(proxy.addr(), address);
    assert_eq!(proxy.client().ask("hello"), "hello");
    drop(early);
}

/// A process that accepted both families with two sockets hands over both, although one entry lists them.
#[test]
fn ipv4_clients_reach_an_inherited_socket_for_ipv6_only() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: this machine has no IPv6 loopback address");
    }
    let upstream = TestUpstream::echo();
    for has_both in [true, false] {
        let (six, four) = both_families();
        let port = six.local_addr().unwrap().port();
        let settings =
            Settings::request(&upstream.url()).with(&format!("listener.ws.bind = \"[::]:{port}\""));
        let sockets: Vec<_> = std::iter::once(six).chain(has_both.then_some(four)).collect();
        let proxy = Proxy::start_inheriting(&settings, sockets);
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            assert_eq!(Client::connect(address.parse().unwrap()).ask("hello"), "hello", "{address}");
        }
        assert_eq!(proxy.count_log("inherited socket not used"), 0);
    }
}

/// Sockets for `[::]`, without IPv4, and for `0.0.0.0`, with the same port.
fn both_families() -> (TcpListener, TcpListener) {
    loop {
        let six = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
        six.set_only_v6(true).unwrap();
        six.bind(&SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
        six.listen(16).unwrap();
        let six = TcpListener::from(six);
        // Another program may have the port.
        if let Ok(four) = TcpListener::bind(("0.0.0.0", six.local_addr().unwrap().port())) {
            return (six, four);
        }
    }
}

#[test]
fn a_new_process_takes_over_and_no_handshake_fails() {
    let upstream = TestUpstream::echo();
    let [port, admin] = [Port::take(), Port::take()];
    let address = port.addr();
    let settings = settings(&upstream, address).with(&format!("admin.bind = \"{}\"", admin.addr()));
    let mut proxy = Proxy::start(&settings);
    let mut old = proxy.client();
    assert_eq!(old.ask("hello"), "hello");
    let (enough, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counter::default()));
    let arriving: Vec<_> = (0..2)
        .map(|_| {
            let (enough, counts) = (Arc::clone(&enough), Arc::clone(&counts));
            std::thread::spawn(move || {
                while !enough.load(SeqCst) {
                    // Fails the test if it is refused.
                    drop(Opening::new(address).open());
                    counts.0.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let after = |more: usize| {
        let until = counts.0.load(SeqCst) + more;
        wait_for("more handshakes", PATIENCE, || counts.0.load(SeqCst) >= until);
    };
    after(10);
    proxy.signal("USR2");
    let line = proxy.wait_log("handed over process=*");
    let process = line.split_once("process=").unwrap().1.split(' ').next().unwrap().to_owned();
    old.expect_closed(1001);
    proxy.wait_log("stopped");
    after(50);
    enough.store(true, SeqCst);
    for thread in arriving {
        thread.join().expect("each handshake is answered");
    }
    let mut new = Opening::new(address).open();
    assert_eq!(new.ask("hello"), "hello");
    assert!(std::process::Command::new("kill").arg(&process).status().unwrap().success());
    new.expect_closed(1001);
    // The log ends when both processes have ended.
    assert_eq!(proxy.exit_code(), Some(0));
    let mut rest = Vec::new();
    assert!(
        TcpStream::connect(address).and_then(|mut it| it.read_to_end(&mut rest)).is_err(),
        "nothing listens"
    );
}

/// Its reports would hide that the new process no longer works.
#[test]
fn the_watchdog_of_the_old_process_ends_with_a_hand_over() {
    let upstream = TestUpstream::echo();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "20000")];
    let [port, admin] = [Port::take(), Port::take()];
    // The session stays, and its pings show that time passes in the old process.
    let settings = settings(&upstream, port.addr())
        .with(&format!("admin.bind = \"{}\"", admin.addr()))
        .with(r#"drain.window = "1h""#)
        .with(r#"listener.ws.ping_interval = "100ms""#)
        .with(r#"listener.ws.ping_timeout = "1h""#);
    let mut proxy = Proxy::start_with(&settings, &env);
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    wait_for_state(&socket, "WATCHDOG=1");
    proxy.signal("USR2");
    let line = proxy.wait_log("handed over process=*");
    let process = line.split_once("process=").unwrap().1.split(' ').next().unwrap().to_owned();
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill").args(["-s", name, &process]).status();
        assert!(kill.unwrap().success());
    };
    wait_for_state(&socket, &format!("MAINPID={process}"));
    signal("STOP");
    wait_for("the new process to stop", PATIENCE, || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    });
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut [0; 1024]).is_ok() {}
    (0..5).for_each(|_| client.expect_ping());
    assert!(socket.recv(&mut [0; 1024]).is_err(), "the old process reports that the service works");
    signal("CONT");
    signal("TERM");
    drop(client);
    assert_eq!(proxy.exit_code(), Some(0));
}

/// What collects the lines expects JSON.
#[test]
fn a_new_process_that_fails_writes_json_where_the_log_is_json() {
    let upstream = TestUpstream::echo();
    let port = Port::take();
    let settings = settings(&upstream, port.addr()).with(r#"log.format = "json""#);
    let proxy = Proxy::start(&settings).expect("hand-over failed").expect("ERROR");
    proxy.rewrite(&settings.with("listener.ws.codec = \"wrong\""));
    proxy.signal("USR2");
    proxy.wait_log("hand-over failed reason=*the new process has ended; its own lines say why");
    proxy.wait_log("\"level\":\"ERROR\"*1 error in the settings");
    proxy.wait_log("\"level\":\"ERROR\"*listener.ws.codec");
    for line in proxy.log() {
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    }
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let upstream = TestUpstream::echo();
    let port = Port::take();
    let settings = settings(&upstream, port.addr());
    let proxy = Proxy::start(&settings).expect("hand-over failed").expect("1 error in the settings");
    proxy.rewrite(&settings.with("listener.ws.codec = \"wrong\""));
    proxy.signal("USR2");
    proxy.wait_log("hand-over failed reason=\"the new process has ended; its own lines say why\"");
    assert_eq!(proxy.client().ask("hello"), "hello");
}

#[test]
fn a_hand_over_that_has_begun_is_abandoned_when_the_process_ends() {
    let upstream = TestUpstream::echo();
    let port = Port::take();
    let settings = settings(&upstream, port.addr());
    let mut proxy = Proxy::start_succeeded_by(&settings, "exec sleep 600").expect("hand-over abandoned");
    let mut client = proxy.client();
    assert_eq!(client.ask("hello"), "hello");
    proxy.signal("USR2");
    let line = proxy.wait_log("hand-over begins process=*");
    let process = line.split_once("process=").unwrap().1.to_owned();
    assert!(Path::new("/proc").join(&process).exists());
    assert_eq!(client.ask("the old process serves meanwhile"), "the old process serves meanwhile");
    proxy.signal("TERM");
    proxy.wait_log("WARN *hand-over abandoned");
    client.expect_closed(1001);
    assert_eq!(proxy.exit_code(), Some(0));
    assert!(!Path::new("/proc").join(&process).exists(), "the new process has been killed");
}

/// The reload may change the sockets that the new process gets.
#[test]
fn a_hand_over_begins_after_the_reload_in_progress() {
    let upstream = TestUpstream::echo();
    // A long program takes a while to compile.
    let cases: String = (0..1000).map(|number| format!("case {number} => event ")).collect();
    let program = format!("select match event of {cases} default => event end from in into out;");
    let port = Port::take();
    let settings = settings(&upstream, port.addr()).operated().incoming(&program);
    let proxy = Proxy::start_succeeded_by(&settings, "exit 1").expect("hand-over failed");
    let operator = Operator::new(proxy.admin()).with_token();
    let (answers, answered) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (operator, answers) = (&operator, answers.clone());
            scope.spawn(move || answers.send(operator.act("/api/reload").status).unwrap());
        }
        // One is refused when the others have been taken.
        assert_eq!(answered.recv().unwrap(), 409);
        proxy.signal("USR2");
    });
    proxy.wait_log("hand-over failed reason=*");
    let log = proxy.log();
    let at = |text: &str| log.iter().position(|line| line.contains(text));
    assert!(
        at("settings reloaded by=").is_some_and(|reload| Some(reload) < at("hand-over begins")),
        "{log:?}"
    );
    assert_eq!(proxy.client().ask("hello"), "hello");
}

/// Number of handshakes.
#[derive(Default)]
struct Counter(std::sync::atomic::AtomicUsize);
