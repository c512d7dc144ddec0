//! A service that accepts and denies clients, and fails in the ways that a test needs.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::harness::*;

/// What the service does after it has read a request.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Writes these bytes, and reads the next request.
    Write(Vec<u8>),
    /// Writes these bytes, and these ones when the test opens the latch.
    Then(Vec<u8>, Arc<Latch>, Vec<u8>),
    /// Writes these bytes, and then nothing until the proxy closes the connection.
    Hang(Vec<u8>),
    /// Writes the first bytes, and then the others again and again until the proxy closes the connection.
    Flood(Vec<u8>, Vec<u8>),
    /// Writes these bytes, and closes the connection.
    Close(Vec<u8>),
}

/// A response without body.
pub(super) fn reply(status: &str, headers: &[(&str, &str)]) -> Act {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !status.starts_with("204") {
        text += "Content-Length: 0\r\n";
    }
    Act::Write((text + "\r\n").into_bytes())
}

/// The running service.
pub(super) struct Service {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    act: Mutex<Act>,
    heads: Mutex<Vec<Head>>,
    /// The connections, and whether the proxy has closed them.
    connections: Mutex<Vec<(TcpStream, bool)>>,
}

impl Service {
    pub(super) fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, connections) = (Mutex::default(), Mutex::default());
        let state = Arc::new(State { act: Mutex::new(act), heads, connections });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&serving);
                let number = {
                    let mut connections = state.connections.lock().unwrap();
                    connections.push((stream.try_clone().unwrap(), false));
                    connections.len() - 1
                };
                thread::spawn(move || {
                    state.serve(stream);
                    state.connections.lock().unwrap()[number].1 = true;
                });
            }
        });
        Self { addr, state }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// What the service does with further requests.
    pub(super) fn answer(&self, act: Act) {
        *self.state.act.lock().unwrap() = act;
    }

    pub(super) fn requests(&self) -> usize {
        self.state.heads.lock().unwrap().len()
    }

    pub(super) fn wait_requests(&self, count: usize) {
        wait_for("requests to the service", PATIENCE, || self.requests() >= count);
    }

    /// The head of a request.
    pub(super) fn head(&self, number: usize) -> Head {
        self.state.heads.lock().unwrap()[number].clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.lock().unwrap().len()
    }

    /// Waits until all connections have ended.
    pub(super) fn wait_ended(&self) {
        wait_for("ends of connections to the service", PATIENCE, || {
            self.state.connections.lock().unwrap().iter().all(|(_, has_ended)| *has_ended)
        });
    }

    /// Closes all connections, as a service does with idle ones.
    pub(super) fn close_all(&self) {
        for (stream, _) in &*self.state.connections.lock().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    /// Serves a connection until it ends.
    fn serve(&self, mut stream: TcpStream) {
        while let Ok(Some(head)) = Head::read(&mut stream) {
            self.heads.lock().unwrap().push(head);
            let act = self.act.lock().unwrap().clone();
            match act {
                Act::Write(bytes) => _ = stream.write_all(&bytes),
                Act::Then(first, latch, rest) => {
                    let _ = stream.write_all(&first);
                    latch.wait();
                    let _ = stream.write_all(&rest);
                }
                Act::Hang(bytes) => {
                    let _ = stream.write_all(&bytes);
                    let _ = stream.read_to_end(&mut Vec::new());
                    return;
                }
                Act::Flood(first, rest) => {
                    let _ = stream.write_all(&first);
                    while stream.write_all(&rest).is_ok() {}
                    return;
                }
                Act::Close(bytes) => {
                    let _ = stream.write_all(&bytes);
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }
}
