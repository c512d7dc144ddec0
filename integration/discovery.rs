//! Where endpoints come from: unix sockets, files, and names.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use crate::harness::*;

/// A unix socket whose connections go on to a test upstream. Its drop removes the socket.
struct Door {
    path: PathBuf,
    is_closed: Arc<AtomicBool>,
}

impl Door {
    fn open(path: &Path, upstream: &TestUpstream) -> Self {
        let (listener, to) = (UnixListener::bind(path).unwrap(), upstream.addr());
        let is_closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_closed);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if flag.load(SeqCst) {
                    return;
                }
                pass_on(stream.unwrap(), to);
            }
        });
        Self { path: path.to_owned(), is_closed }
    }

    fn url(&self) -> String {
        format!("unix:{}", self.path.display())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.is_closed.store(true, SeqCst);
        // Wakes the thread, which then closes the socket.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// Copies both directions until either ends.
fn pass_on(near: UnixStream, to: SocketAddr) {
    let Ok(far) = TcpStream::connect(to) else { return };
    let (mut near_reader, mut far_writer) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    thread::spawn(move || {
        copy(&mut near_reader, &mut far_writer);
        let _ = far_writer.shutdown(Shutdown::Write);
    });
    let (mut far_reader, mut near_writer) = (far, near);
    thread::spawn(move || {
        copy(&mut far_reader, &mut near_writer);
        let _ = near_writer.shutdown(Shutdown::Both);
    });
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    // Either peer may end the connection at any time.
    let _ = std::io::copy(from, to);
}

// === unix sockets ===

#[test]
fn an_upstream_may_listen_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = TestUpstream::echo();
    let door = Door::open(&folder.path().join("chat.sock"), &upstream);
    for (url, path, requested) in [
        (door.url(), "/", "/"),
        (door.url(), "/room?a=b", "/room?a=b"),
        (format!("{}:/ws?token=1", door.url()), "/room", "/ws/room?token=1"),
    ] {
        let before = upstream.handshakes();
        let proxy = Proxy::start(&Settings::request(&url));
        let mut client = Opening::new(proxy.addr()).path(path).open();
        assert_eq!(client.ask("hello"), "hello", "{url}");
        let large = "x".repeat(900_000);
        assert_eq!(client.ask(&large), large, "{url}");
        let head = upstream.head(before);
        assert_eq!(head.get("host").as_deref(), Some("localhost"), "{url}");
        assert!(head.line.starts_with(&format!("GET {requested} ")), "{}", head.line);
    }
}

#[test]
fn a_unix_socket_that_appears_later_is_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.sock");
    let upstream = TestUpstream::echo();
    let settings = Settings::request(&format!("unix:{}:/ws?token=secret", path.display()));
    let proxy = Proxy::start(&settings).expect_restarts();
    let mut client = proxy.client();
    client.text("too early");
    let (error, _) = client.recv_error();
    let url = format!("unix:{}:/ws?***", path.display());
    assert!(error.contains(&format!("server {url}: ")), "{error}");
    proxy.wait_log(&format!("endpoint down upstream=echo endpoint={url} reason=*No such file or directory"));
    let door = Door::open(&path, &upstream);
    proxy.wait_log("endpoint up upstream=echo");
    proxy.wait_ups(1);
    assert_eq!(client.ask("hello"), "hello");
    drop(door);
    upstream.kill_all(Death::Fin);
    proxy.wait_log("connector restart*No such file or directory");
    let _door = Door::open(&path, &upstream);
    proxy.wait_ups(2);
    assert_eq!(client.ask("hello again"), "hello again");
}

#[test]
fn a_unix_socket_that_may_not_be_opened_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = TestUpstream::echo();
    let door = Door::open(&folder.path().join("chat.sock"), &upstream);
    fs::set_permissions(&door.path, fs::Permissions::from_mode(0o000)).unwrap();
    if UnixStream::connect(&door.path).is_ok() {
        println!("skipped: this user may open any file");
        return;
    }
    let proxy = Proxy::start(&Settings::request(&door.url())).expect_restarts();
    let mut client = proxy.client();
    proxy.wait_log("endpoint down upstream=echo *reason=*Permission denied");
    fs::set_permissions(&door.path, fs::Permissions::from_mode(0o600)).unwrap();
    proxy.wait_ups(1);
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn unix_sockets_and_hosts_are_endpoints_of_one_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let upstreams = [TestUpstream::echo(), TestUpstream::echo()];
    let door = Door::open(&folder.path().join("chat.sock"), &upstreams[0]);
    let list = format!("[{:?}, {:?}]", door.url(), upstreams[1].url());
    let proxy = Proxy::start(&Settings::request("ws://unused").endpoints(&list)).expect_restarts();
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    assert_eq!(upstreams.each_ref().map(TestUpstream::live), [5, 5]);
    drop(door);
    upstreams[0].stop(Death::Reset);
    wait_for("all at the host", PATIENCE, || upstreams[1].live() == 10);
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| !client.ask("x").contains("error")));
}
