//! The process as a service: notifications of systemd, inherited sockets, and handing them to a new process.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
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

/// Number of handshakes.
#[derive(Default)]
struct Counter(std::sync::atomic::AtomicUsize);
