//! Where endpoints come from: unix sockets, files, and names.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use crate::harness::*;

/// A socket whose connections go on to a test upstream. Its drop closes a unix socket and removes it.
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
            let streams = listener.incoming().take_while(|_| !flag.load(SeqCst));
            streams.for_each(|stream| pass_on(stream.unwrap(), to));
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

/// Has connections to `ip`, at the port `port`, go on to a test upstream.
fn alias(ip: [u8; 4], port: u16, upstream: &TestUpstream) {
    let (listener, to) = (TcpListener::bind((Ipv4Addr::from(ip), port)).unwrap(), upstream.addr());
    thread::spawn(move || listener.incoming().for_each(|stream| pass_on(stream.unwrap(), to)));
}

trait Stream: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn end(&self, how: Shutdown);
}

impl Stream for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn end(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }
}

impl Stream for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }

    fn end(&self, how: Shutdown) {
        let _ = self.shutdown(how);
    }
}

/// Copies both directions until either ends.
fn pass_on(near: impl Stream, to: SocketAddr) {
    let Ok(far) = TcpStream::connect(to) else { return };
    copy(near.twin(), far.twin(), Shutdown::Write);
    copy(far, near, Shutdown::Both);
}

fn copy(mut from: impl Stream, mut to: impl Stream, how: Shutdown) {
    thread::spawn(move || {
        // Either peer may end the connection at any time.
        let _ = std::io::copy(&mut from, &mut to);
        to.end(how);
    });
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

// === files ===

/// A file of endpoints, which is replaced as a whole.
struct EndpointsFile {
    folder: tempfile::TempDir,
}

impl EndpointsFile {
    fn of(upstreams: &[&TestUpstream]) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.replace(&listed(upstreams));
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("endpoints.toml")
    }

    fn replace(&self, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    /// Settings in request mode for the endpoints of this file.
    fn settings(&self) -> Settings {
        Settings::request("ws://unused").endpoints_file(self.path().to_str().unwrap())
    }
}

fn listed(upstreams: &[&TestUpstream]) -> String {
    let tables = upstreams.iter().map(|upstream| format!("[[endpoints]]\nurl = {:?}\n", upstream.url()));
    tables.collect()
}

/// Clients that send one message after the other until they are stopped. Each message must have its reply.
struct Traffic {
    is_over: Arc<AtomicBool>,
    /// How many messages each client has sent.
    sent: Arc<Vec<AtomicUsize>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Traffic {
    fn of(clients: Vec<Client>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let sent: Arc<Vec<_>> = Arc::new(clients.iter().map(|_| AtomicUsize::new(0)).collect());
        let run = |(number, mut client): (usize, Client)| {
            let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(&sent));
            thread::spawn(move || {
                while !is_over.load(SeqCst) {
                    let text = format!("message {}", sent[number].load(SeqCst));
                    assert_eq!(client.ask(&text), text);
                    sent[number].fetch_add(1, SeqCst);
                    pause(Duration::from_millis(5));
                }
            })
        };
        Self { threads: clients.into_iter().enumerate().map(run).collect(), is_over, sent }
    }

    /// Waits until each client has sent more messages, and stops.
    fn stop(self) {
        let count = || self.sent.iter().map(|sent| sent.load(SeqCst));
        let goals: Vec<_> = count().map(|sent| sent + 2).collect();
        let is_done = || count().zip(&goals).all(|(sent, goal)| sent >= *goal);
        wait_for("more messages of each client", PATIENCE, is_done);
        self.is_over.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_change_of_the_file_takes_effect_under_traffic() {
    let [first, second, third] = [(); 3].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first, &second]);
    let proxy = Proxy::start(&file.settings());
    let traffic = Traffic::of((0..50).map(|_| proxy.client()).collect());
    assert_eq!([&first, &second].map(TestUpstream::live), [25, 25]);
    let before = first.handshakes();
    file.replace(&listed(&[&second, &third]));
    let line = proxy.wait_log("endpoints changed upstream=echo ");
    let expected = format!("added=\"{}\" removed=\"{}\" changed=\"\" endpoints=2", third.url(), first.url());
    assert!(line.ends_with(&expected), "{line}");
    let more: Vec<_> = (0..50).map(|_| proxy.client()).collect();
    assert_eq!(first.handshakes(), before, "the endpoint that was removed gets no new session");
    // The sessions that the second endpoint had already count for the choice.
    let live = [&second, &third].map(TestUpstream::live);
    assert!(live[0].abs_diff(live[1]) <= 3, "{live:?}");
    drop(more);
    traffic.stop();
}

#[test]
fn weights_and_priorities_in_the_file_take_effect() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first, &second]);
    let proxy = Proxy::start(&file.settings());
    let _clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    assert_eq!([&first, &second].map(TestUpstream::live), [5, 5]);
    file.replace(&format!("endpoints = [{:?}, {{ url = {:?}, priority = 1 }}]", first.url(), second.url()));
    let changed = format!("changed=\"{} (priority 0 to 1)\"", second.url());
    proxy.wait_log(&format!("endpoints changed*added=\"\" removed=\"\" {changed}"));
    let before = second.handshakes();
    let _more: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    assert_eq!(second.handshakes(), before);
}

#[test]
fn a_broken_file_changes_nothing_and_a_later_good_one_is_taken() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first]);
    let proxy = Proxy::start(&file.settings()).expect("endpoints file refused");
    assert_eq!(proxy.client().ask("hello"), "hello");
    for (text, reason) in [
        ("[[endpoints]]\nurl = 7\n", ":2 reason=\"endpoints[1].url = 7: takes a string"),
        ("\nendpoints = [\"ws://a\", ", ":2 reason=\"is not TOML"),
        ("endpoints = []", ":1 reason=\"endpoints = []: needs at least one server"),
    ] {
        file.replace(text);
        proxy.wait_log(&format!(
            "endpoints file refused upstream=echo file={}{reason}",
            file.path().display()
        ));
        assert_eq!(proxy.client().ask("hello"), "hello");
    }
    fs::remove_file(file.path()).unwrap();
    proxy.wait_log("endpoints file refused*cannot be read: No such file");
    file.replace(&listed(&[&first]));
    let path = file.path().display().to_string();
    proxy.wait_log(&format!("endpoints file good again upstream=echo file={path} endpoints=1"));
    file.replace(&listed(&[&second]));
    proxy.wait_log("endpoints changed upstream=echo");
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!((first.handshakes(), second.handshakes()), (4, 1));
    assert_eq!(proxy.count_log("endpoints file refused"), 4, "one line for each");
    assert_eq!(proxy.count_log("endpoints file good again"), 1, "one line after those");
}

/// The open of a named pipe waits for a writer.
#[test]
fn a_pipe_in_place_of_the_file_is_refused_and_a_later_good_file_is_taken() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first]);
    let proxy = Proxy::start(&file.settings()).expect("endpoints file refused");
    fs::remove_file(file.path()).unwrap();
    assert!(Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    proxy.wait_log("endpoints file refused*not a regular file");
    file.replace(&listed(&[&second]));
    proxy.wait_log("endpoints changed upstream=echo");
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(second.handshakes(), 1);
}

#[test]
fn a_file_that_is_written_in_place_is_taken_too() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first]);
    // How sessions are spread is a question although there is one endpoint now.
    let settings = file.settings().with(r#"upstream.echo.balance = "round_robin""#);
    let proxy = Proxy::start(&settings).expect("endpoints file refused");
    fs::write(file.path(), listed(&[&second])).unwrap();
    proxy.wait_log("endpoints changed upstream=echo");
    assert_eq!(proxy.client().ask("hello"), "hello");
    assert_eq!(second.handshakes(), 1);
}

/// Sessions that wait for a server go to one that the file adds.
#[test]
fn waiting_sessions_go_to_an_endpoint_that_the_file_adds() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let file = EndpointsFile::of(&[&first]);
    // A reconnect without the news would come after an hour.
    let slow = r#"upstream.echo.restart = { min = "1h", max = "1h", probe = "1h" }"#;
    let proxy = Proxy::start(&file.settings().with(slow)).expect_restarts();
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    first.stop(Death::Reset);
    wait_for("all to be lost", PATIENCE, || proxy.count_log("connector restart") >= 10);
    file.replace(&listed(&[&first, &second]));
    wait_for("all at the new one", PATIENCE, || second.live() == 10);
    wait_for("all to work", PATIENCE, || clients.iter_mut().all(|client| client.ask("hello") == "hello"));
}

#[test]
fn a_start_without_a_good_file_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endpoints.toml");
    let settings = Settings::request("ws://unused").endpoints_file("endpoints.toml").text();
    fs::write(folder.path().join("towline.toml"), settings).unwrap();
    let lines = fs::read_to_string(folder.path().join("towline.toml")).unwrap();
    let line = 1 + lines.lines().position(|line| line.contains("endpoints_file = ")).unwrap();
    let at = folder.path().display();
    let key = format!(
        "upstream.echo.endpoints_file = \"endpoints.toml\" ({at}/towline.toml:{line}): {at}/endpoints.toml"
    );
    for (content, reason) in [
        (None, ": cannot be read: No such file or directory"),
        (
            Some("[[endpoints]]\n\n[[endpoints]]\nurl = \"wss://h\""),
            ":1: endpoints[1].url: required: it has no default",
        ),
        (Some("endpoints = [\"ws://a\"]\nweight = 1"), ":2: weight: unknown key"),
    ] {
        content.into_iter().for_each(|content| fs::write(&path, content).unwrap());
        let finished = Program::finish(&["run", "--config", "towline.toml"], &[], folder.path());
        assert_eq!(finished.code, Some(78), "{}", finished.stderr);
        assert!(finished.stderr.contains(&format!("{key}{reason}")), "{}", finished.stderr);
    }
}

// === names ===

#[test]
fn each_address_of_a_name_is_an_endpoint_and_the_name_is_looked_up_again() {
    let [first, second, third] = [(); 3].map(|()| TestUpstream::echo());
    let port = first.addr().port();
    alias([127, 0, 0, 2], port, &second);
    alias([127, 0, 0, 3], port, &third);
    let settings = Settings::request(&format!("ws://chat.test:{port}"))
        .with(r#"upstream.echo.resolve = "each""#)
        .with(r#"upstream.echo.resolve_interval = "100ms""#);
    let hosts = "127.0.0.1 chat.test\n127.0.0.2 chat.test\n";
    let Some(proxy) = Proxy::start_with_names(&settings, hosts, Ipv4Addr::LOCALHOST.into()) else { return };
    // The test may write the file while it is read.
    let proxy = proxy.expect("name look-up failed").expect_restarts();
    let label = |ip: &str| format!("ws://chat.test:{port} ({ip})");
    proxy.wait_log(&format!("endpoints changed*added=\"{}, {}\"", label("127.0.0.1"), label("127.0.0.2")));
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    assert_eq!([&first, &second].map(TestUpstream::live), [10, 10]);
    assert_eq!(first.head(0).get("host"), Some(format!("chat.test:{port}")));
    proxy.set_hosts("127.0.0.3 chat.test\n127.0.0.2 chat.test\n");
    // An address is used with the first answer that has it, and goes with the second one in a row that lacks it.
    proxy.wait_log(&format!("endpoints changed*added=\"{}\" removed=\"\"", label("127.0.0.3")));
    proxy.wait_log(&format!("endpoints changed*added=\"\" removed=\"{}\"", label("127.0.0.1")));
    let before = first.handshakes();
    clients.extend((0..20).map(|_| proxy.client()));
    assert_eq!(first.handshakes(), before);
    assert!(third.live() >= 14, "{}", third.live());
    // A look-up that fails changes nothing.
    proxy.set_hosts("");
    proxy.wait_log("name look-up failed*name=chat.test");
    assert!(clients.iter_mut().all(|client| client.ask("hello") == "hello"));
    assert_eq!(proxy.client().ask("hello"), "hello");
    // Nothing listens at one address, and the other stays in use.
    proxy.set_hosts("127.0.0.2 chat.test\n127.0.0.4 chat.test\n");
    proxy.wait_log(&format!("endpoints changed*added=\"{}\"", label("127.0.0.4")));
    assert_eq!(proxy.client().ask("hello"), "hello");
    proxy.wait_log(&format!("endpoint down upstream=echo endpoint=\"{}\"", label("127.0.0.4")));
}

#[test]
fn more_addresses_than_a_thousand_are_left_out_with_a_warning() {
    let names: Vec<_> = (0..5).map(|name| format!("\"ws://n{name}.test:81\"")).collect();
    let settings = Settings::request("ws://unused")
        .endpoints(&format!("[{}]", names.join(", ")))
        .with(r#"upstream.echo.resolve = "each""#);
    let line = |at: usize| format!("127.1.{}.{} n{}.test\n", at / 250, 1 + at % 250, at / 250);
    let hosts: String = (0..1250).map(line).collect();
    let Some(proxy) = Proxy::start_with_names(&settings, &hosts, Ipv4Addr::LOCALHOST.into()) else { return };
    let proxy = proxy.expect("endpoints left out");
    proxy.wait_log("endpoints changed upstream=echo *endpoints=1000 left_out=250");
    proxy.wait_log("endpoints left out upstream=echo left_out=*at most 1000 endpoints");
    assert_eq!(proxy.count_log("endpoints left out"), 1, "warned of once");
}

/// The endpoints are the same as before, so no line about a change comes with the warning.
#[test]
fn the_first_address_that_is_left_out_is_warned_of_even_if_no_endpoint_changes() {
    let names: Vec<_> = (0..4).map(|name| format!("\"ws://n{name}.test:81\"")).collect();
    let settings = Settings::request("ws://unused")
        .endpoints(&format!("[{}]", names.join(", ")))
        .with(r#"upstream.echo.resolve = "each""#)
        .with(r#"upstream.echo.resolve_interval = "100ms""#);
    let line = |at: usize| format!("127.1.{}.{} n{}.test\n", at / 250, 1 + at % 250, at / 250);
    let hosts: String = (0..1000).map(line).collect();
    let Some(proxy) = Proxy::start_with_names(&settings, &hosts, Ipv4Addr::LOCALHOST.into()) else { return };
    let proxy = proxy.expect("endpoints left out");
    proxy.wait_log("endpoints changed upstream=echo *endpoints=1000");
    assert_eq!(proxy.count_log("endpoints left out"), 0);
    let changes = proxy.count_log("endpoints changed");
    proxy.set_hosts(&format!("{hosts}127.1.3.251 n3.test\n"));
    proxy.wait_log(
        "endpoints left out upstream=echo left_out=1 reason=\"an upstream takes at most 1000 endpoints\"",
    );
    assert_eq!(proxy.count_log("endpoints changed"), changes);
}

/// Health checks go to each address, with the name as the host.
#[test]
fn each_address_of_a_name_is_checked() {
    let [first, second] = [(); 2].map(|()| TestUpstream::echo());
    let port = first.addr().port();
    alias([127, 0, 0, 2], port, &second);
    let settings = Settings::request(&format!("ws://chat.test:{port}"))
        .with(r#"upstream.echo.resolve = "each""#)
        .with(r#"upstream.echo.health = { interval = "100ms", probe = "websocket" }"#);
    let hosts = "127.0.0.1 chat.test\n127.0.0.2 chat.test\n";
    let Some(_proxy) = Proxy::start_with_names(&settings, hosts, Ipv4Addr::LOCALHOST.into()) else { return };
    for upstream in [&first, &second] {
        assert_eq!(upstream.head(2).get("host"), Some(format!("chat.test:{port}")));
    }
}

#[test]
fn a_name_server_that_is_silent_delays_no_other_name() {
    let Some((_server, ip)) = crate::names::silent_server() else { return };
    let upstream = TestUpstream::echo();
    let port = upstream.addr().port();
    let list = format!("[\"ws://live.test:{port}\", {{ url = \"ws://silent.test:{port}\", priority = 1 }}]");
    let settings =
        Settings::request("ws://unused").endpoints(&list).with(r#"upstream.echo.resolve = "each""#);
    let Some(proxy) = Proxy::start_with_names(&settings, "127.0.0.1 live.test\n", ip) else { return };
    proxy.wait_log(&format!("endpoints changed*added=\"ws://live.test:{port} (127.0.0.1)\""));
    wait_for("the other look-up", PATIENCE, || proxy.threads("name look-up") == 1);
    assert_eq!(proxy.client().ask("hello"), "hello");
}
