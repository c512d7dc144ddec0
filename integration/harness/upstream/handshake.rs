//! The responses of a test upstream to a handshake.

use std::{
    io::{self, BufReader, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tungstenite::handshake::derive_accept_key;

use super::{Conn, UpstreamState};
use crate::harness::{Frame, Head, TEXT};

/// How the upstream responds to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Accept, without a subprotocol.
    Accept,
    /// Accept with this subprotocol, even if it was not offered.
    Choose(&'static str),
    /// Send this many bytes of the accepting response, then end the connection. The whole response has 129
    /// bytes.
    Cut(usize),
    /// Accept, and send this text message in the same segment.
    Greet(&'static str),
    /// Respond with this status and the body `no entry`.
    Refuse(u16),
    /// Respond with bytes that are not HTTP.
    Garbage,
    /// Accept with a `Sec-WebSocket-Accept` that does not match the key.
    WrongKey,
    /// Never respond.
    Silent,
    /// Accept with these additional header lines, each with its CR LF.
    AcceptWith(&'static str),
    /// Send these bytes, then end the connection. `{accept}` is replaced by the correct value of
    /// `Sec-WebSocket-Accept`.
    Bytes(&'static str),
    /// Send these bytes and keep the connection open.
    BytesThenSilence(&'static str),
    /// Wait until the test sets another answer, and use that answer.
    Wait,
    /// Send this many bytes of the accepting response and keep the connection open.
    Half(usize),
    /// Send this many bytes of the accepting response, then reset the connection.
    Reset(usize),
    /// Send a response whose headers never end.
    Endless,
}

/// Responds to the handshake of one connection. If it is accepted, reads from the connection until it ends.
pub(super) fn serve(stream: TcpStream, shared: &UpstreamState, stopped: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(head) = Head::read(&mut reader)? else { return Ok(()) };
    shared.heads.lock().unwrap().push(head.clone());
    let answer = shared.answer_to(&head, stopped);
    let Some(accepting) = accepting(&answer, &head) else { return reject(&answer, &head, stream, shared) };
    let conn = Arc::new(Conn::new(head, stream));
    {
        // Holding the writer until the answer is written keeps the test from writing before it. The connection is
        // listed before that, so that a client which has the answer finds it counted.
        let mut writer = conn.writer.lock().unwrap();
        let mut conns = shared.conns.lock().unwrap();
        if stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        conns.push(Arc::clone(&conn));
        drop(conns);
        // The reader notices if the peer has gone.
        let _ = writer.as_mut().expect("just made").write_all(&accepting);
    }
    let end = conn.read_all(&mut reader, shared);
    drop(reader);
    conn.ended(end);
    Ok(())
}

/// The bytes of a response that accepts the handshake; `None` for any other answer.
fn accepting(answer: &Answer, head: &Head) -> Option<Vec<u8>> {
    let accepting = match answer {
        Answer::Accept => accept(head, None).into_bytes(),
        Answer::Choose(protocol) => accept(head, Some(protocol)).into_bytes(),
        Answer::Greet(text) => [accept(head, None).as_bytes(), &Frame::server(TEXT, text).bytes()].concat(),
        Answer::AcceptWith(lines) => {
            let answer = accept(head, None);
            format!("{}{lines}\r\n", &answer[..answer.len() - 2]).into_bytes()
        }
        _ => return None,
    };
    Some(accepting)
}

/// Sends a response that does not accept the handshake.
fn reject(answer: &Answer, head: &Head, mut stream: TcpStream, shared: &UpstreamState) -> io::Result<()> {
    match answer {
        Answer::Cut(length) => return stream.write_all(&accept(head, None).as_bytes()[..*length]),
        Answer::WrongKey => {
            let other = derive_accept_key(b"another key");
            return stream.write_all(switching(&other, None).as_bytes());
        }
        Answer::Garbage => return stream.write_all(b"SSH-2.0-Whatever\r\n\r\n"),
        Answer::Refuse(status) => return stream.write_all(refusal(*status).as_bytes()),
        Answer::Bytes(text) => {
            let key = derive_accept_key(head.get("sec-websocket-key").unwrap_or_default().as_bytes());
            return stream.write_all(text.replace("{accept}", &key).as_bytes());
        }
        Answer::Reset(length) => {
            stream.write_all(&accept(head, None).as_bytes()[..*length])?;
            return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        Answer::Endless => return answer_without_end(&mut stream, shared),
        Answer::BytesThenSilence(text) => stream.write_all(text.as_bytes())?,
        Answer::Half(length) => stream.write_all(&accept(head, None).as_bytes()[..*length])?,
        // All others are silent, since `accepting` has no bytes for them.
        _ => {}
    }
    shared.kept_open.lock().unwrap().push(stream);
    Ok(())
}

fn answer_without_end(stream: &mut TcpStream, shared: &UpstreamState) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n")?;
    let header = format!("X-Padding: {}\r\n", "x".repeat(1000));
    while shared.endless.load(Ordering::SeqCst) < 64 << 20 {
        stream.write_all(header.as_bytes())?;
        shared.endless.fetch_add(header.len(), Ordering::SeqCst);
    }
    Ok(())
}

fn accept(head: &Head, protocol: Option<&str>) -> String {
    switching(&derive_accept_key(head.get("sec-websocket-key").unwrap_or_default().as_bytes()), protocol)
}

fn switching(accept: &str, protocol: Option<&str>) -> String {
    let protocol = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
}

fn refusal(status: u16) -> String {
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno entry")
}
