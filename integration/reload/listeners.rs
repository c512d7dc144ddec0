//! Listeners that open, close and move, and their limits.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use crate::harness::{Client, Opening, PATIENCE, Port, Proxy, Settings, wait_for};

/// Settings with these listeners, each with its keys. Each answers with the id of its listener.
fn listeners(all: &[(&str, &str)]) -> Settings {
    let settings = Settings::bare()
        .pipeline("answer", "use tremor::system; select $session.id from in into reply;")
        .route(&[r#"name = "answers""#, r#"incoming = ["answer"]"#]);
    all.iter().fold(settings, |settings, (name, keys)| {
        keys.split("; ").fold(settings, |settings, key| settings.with(&format!("listener.{name}.{key}")))
    })
}

fn bind(address: SocketAddr) -> String {
    format!("bind = \"{address}\"")
}

#[track_caller]
fn wait_closed(address: SocketAddr) {
    wait_for("the address to be closed", PATIENCE, || TcpStream::connect(address).is_err());
}

#[test]
fn an_address_that_is_spelled_in_another_way_stays_open_in_later_reloads() {
    let port = Port::take();
    let address = port.addr();
    let proxy = Proxy::start(&listeners(&[("a", &bind(address))]));
    let other = listeners(&[("a", &format!("bind = \"localhost:{}\"", address.port()))]);
    proxy.reload(&other);
    for number in 0..3 {
        assert_eq!(Client::connect(address).ask("?"), format!("1:{number}"));
        proxy.reload(&other);
    }
}

#[test]
fn listeners_open_and_close_and_keep_their_numbers() {
    let ports = [(); 3].map(|()| Port::take());
    let [a, b, c] = ports.each_ref().map(|port| bind(port.addr()));
    let proxy = Proxy::start(&listeners(&[("a", &a)]));
    let mut first = proxy.client();
    assert_eq!(first.ask("?"), "1:0");
    let changes = proxy.reload(&listeners(&[("b", &b), ("a", &a)]));
    assert_eq!(changes, ["added listener.b"]);
    let mut second = Client::connect(proxy.listener("b"));
    assert_eq!(second.ask("?"), "2:0");
    assert_eq!(proxy.client().ask("?"), "1:1");
    let changes = proxy.reload(&listeners(&[("b", &b)]));
    assert_eq!(changes, ["removed listener.a"]);
    wait_closed(proxy.listener("a"));
    // The sessions of the listener that is gone continue, and its ids are not used again.
    assert_eq!((first.ask("?"), second.ask("?")), ("1:0".to_owned(), "2:0".to_owned()));
    proxy.reload(&listeners(&[("c", &c), ("a", &a)]));
    assert_eq!(proxy.client().ask("?"), "1:2");
    assert_eq!(Client::connect(proxy.listener("c")).ask("?"), "3:0");
    assert_eq!((first.ask("?"), second.ask("?")), ("1:0".to_owned(), "2:0".to_owned()));
}

#[test]
fn another_address_opens_and_the_old_one_closes() {
    let ports = [(); 2].map(|()| Port::take());
    let [before, after] = ports.each_ref().map(Port::addr);
    let proxy = Proxy::start(&listeners(&[("a", &bind(before))]));
    let mut old = Client::connect(before);
    proxy.reload(&listeners(&[("a", &bind(after))]));
    wait_closed(before);
    assert_eq!((old.ask("?"), Client::connect(after).ask("?")), ("1:0".to_owned(), "1:1".to_owned()));
    let both = format!("bind = [\"{before}\", \"{after}\"]");
    proxy.reload(&listeners(&[("a", &both)]));
    assert_eq!(Client::connect(before).ask("?"), "1:2");
    assert_eq!(Client::connect(after).ask("?"), "1:3");
}

#[test]
fn a_listener_with_port_0_keeps_its_port() {
    let proxy = Proxy::start(&listeners(&[("a", "bind = \"127.0.0.1:0\"")]));
    let before = proxy.addr();
    proxy.reload(&listeners(&[("a", "bind = \"127.0.0.1:0\"; max_sessions = 5")]));
    assert_eq!(Client::connect(before).ask("?"), "1:0");
    let port = Port::take();
    let more = format!("bind = [\"127.0.0.1:0\", \"{}\"]", port.addr());
    proxy.reload(&listeners(&[("a", &more)]));
    assert_eq!(Client::connect(before).ask("?"), "1:1");
}

#[test]
fn an_address_stays_open_when_listeners_swap_or_rename_it() {
    let ports = [(); 2].map(|()| Port::take());
    let [one, two] = ports.each_ref().map(Port::addr);
    let proxy = Proxy::start(&listeners(&[("a", &bind(one)), ("b", &bind(two))]));
    proxy.reload(&listeners(&[("a", &bind(two)), ("b", &bind(one))]));
    assert_eq!(
        (Client::connect(one).ask("?"), Client::connect(two).ask("?")),
        ("2:0".to_owned(), "1:0".to_owned())
    );
    proxy.reload(&listeners(&[("c", &bind(two)), ("b", &bind(one))]));
    assert_eq!(
        (Client::connect(one).ask("?"), Client::connect(two).ask("?")),
        ("2:1".to_owned(), "3:0".to_owned())
    );
}

/// Settings of one listener of this name, and a route for it.
fn alone(name: &str, address: SocketAddr) -> Settings {
    Settings::bare()
        .with(&format!("listener.{name}.{}", bind(address)))
        .pipeline("answer", "select event from in into reply;")
        .route(&[&format!("listener = {name:?}"), r#"incoming = ["answer"]"#])
}

/// A connection that one of them has accepted is served with the routes of that one.
#[test]
fn no_client_is_refused_while_an_address_moves_between_listeners() {
    let port = Port::take();
    let address = port.addr();
    let proxy = Proxy::start(&alone("a", address));
    let (enough, counts) = (AtomicBool::new(false), AtomicUsize::new(0));
    let is_refused = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !enough.load(SeqCst) {
                    if Opening::new(address).try_open().is_err() {
                        return is_refused.store(true, SeqCst);
                    }
                    counts.fetch_add(1, SeqCst);
                }
            });
        }
        for name in ["b", "a", "c", "b", "a", "c", "b", "a"] {
            proxy.reload(&alone(name, address));
            let until = counts.load(SeqCst) + 10;
            wait_for("more handshakes", PATIENCE, || counts.load(SeqCst) >= until || is_refused.load(SeqCst));
        }
        enough.store(true, SeqCst);
    });
    assert!(!is_refused.load(SeqCst), "a client was refused");
}

/// A socket keeps the families with which it was opened.
#[test]
fn ipv4_clients_reach_an_address_whose_ipv4_twin_is_no_longer_listed() {
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: this machine has no IPv6 loopback address");
    }
    let held = Port::take_on_all();
    let port = held.addr().port();
    let at = |name: &str, addresses: &[&str]| {
        let all: Vec<_> = addresses.iter().map(|address| format!("\"{address}:{port}\"")).collect();
        listeners(&[(name, &format!("bind = [{}]", all.join(", ")))])
    };
    let proxy = Proxy::start(&at("a", &["[::]", "0.0.0.0"]));
    let reachable = || {
        for host in ["127.0.0.1", "[::1]"] {
            Client::connect(format!("{host}:{port}").parse().unwrap()).ask("?");
        }
    };
    reachable();
    // Another listener gets both, and keeps both in later reloads.
    for name in ["a", "b", "b"] {
        proxy.reload(&at(name, &["[::]"]));
        reachable();
    }
    proxy.reload(&at("b", &["[::]", "0.0.0.0"]));
    reachable();
}

#[test]
fn an_address_in_use_changes_nothing() {
    let ports = [(); 3].map(|()| Port::take());
    let [a, b, c] = ports.each_ref().map(Port::addr);
    let taken = ports[2].listen();
    let proxy = Proxy::start(&listeners(&[("a", &bind(a))])).expect("reload failed").expect("reload problem");
    let mut old = Client::connect(a);
    let broken = listeners(&[("c", &bind(b)), ("b", &bind(c))]);
    let problems = proxy.reload_broken(&broken);
    assert!(
        problems[0].contains("cannot listen on") && problems[0].contains("(listener.b.bind)"),
        "{problems:?}"
    );
    assert!(TcpStream::connect(b).is_err(), "the address that was free is closed again");
    assert_eq!((old.ask("?"), Client::connect(a).ask("?")), ("1:0".to_owned(), "1:1".to_owned()));
    drop(taken);
    // A process that another test starts may have the listener for a moment longer.
    wait_closed(c);
    proxy.reload(&broken);
    wait_closed(a);
    assert_eq!(Client::connect(b).ask("?"), "2:0");
}

#[test]
fn limits_change_while_sessions_use_them() {
    let port = Port::take();
    let address = port.addr();
    let with = |keys: &str| listeners(&[("a", &format!("{}{keys}", bind(address)))]);
    let proxy = Proxy::start(&with("")).expect("client refused");
    let mut live: Vec<_> = (0..3).map(|_| Client::connect(address)).collect();
    assert_eq!(proxy.reload(&with("; max_sessions = 2")), ["changed listener.a.max_sessions 0 → 2"]);
    assert_eq!(Opening::new(address).refused().status(), 503);
    for client in &mut live {
        client.ask("?");
    }
    live.truncate(1);
    wait_for("room", PATIENCE, || Opening::new(address).try_open().is_ok());
    proxy.reload(&with("").with("server.max_sessions = 1"));
    assert_eq!(Opening::new(address).refused().status(), 503);
    live[0].ask("?");
    proxy.reload(&with(""));
    let mut more = Client::connect(address);
    more.ask("?");
    live[0].ask("?");
}
