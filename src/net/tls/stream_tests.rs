use std::{
    io::{ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use actix_rt::net::TcpStream;
use rcgen::generate_simple_self_signed;
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    provider,
    stream::{BUFFER, TlsStream},
};
use crate::net::{Socket, Stream};

/// Both ends of a TLS connection over TCP, the server's first.
async fn pair() -> (TlsStream, TlsStream) {
    let made = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let name = ServerName::try_from("a.test").unwrap();
    let (client, server) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(name, near.unwrap()),
        TlsAcceptor::from(Arc::new(server)).accept(far.unwrap().0),
    );
    (TlsStream::new(server.unwrap().into()), TlsStream::new(client.unwrap().into()))
}

/// A message counts as delivered when it is written. So nothing that is written may be lost with the stream.
#[actix::test]
async fn what_is_written_has_left_the_process() {
    let (mut server, mut client) = pair().await;
    let context = &mut Context::from_waker(Waker::noop());
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut written = 0;
    let pending = loop {
        let slices = [IoSlice::new(&bytes[written % 4..][..5]), IoSlice::new(&bytes[written % 4 + 5..])];
        match Pin::new(&mut server).poll_write_vectored(context, &slices) {
            Poll::Ready(count) => written += count.unwrap(),
            Poll::Pending => break server.encrypted,
        }
    };
    assert!(pending > 0 && pending <= BUFFER, "{pending}");
    drop(server);
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    assert!(received.len() >= written, "{} of {written}", received.len());
}

#[actix::test]
async fn a_pending_write_goes_on_where_it_was() {
    let (mut server, mut client) = pair().await;
    let bytes: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = bytes.clone();
    let write = async move {
        // A write that is pending is repeated with the same bytes, and more behind them.
        let mut at = 0;
        while at < sent.len() {
            let mut room = 1;
            at += std::future::poll_fn(|context| {
                room = (room * 2).min(sent.len() - at);
                let (first, rest) = sent[at..].split_at(1);
                let slices = [IoSlice::new(first), IoSlice::new(&rest[..room.max(BUFFER).min(rest.len())])];
                Pin::new(&mut server).poll_write_vectored(context, &slices)
            })
            .await
            .unwrap();
        }
        std::future::poll_fn(|context| Pin::new(&mut server).poll_shutdown(context)).await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(client.read_to_end(&mut received), write);
    read.unwrap();
    assert!(received == bytes);
}

/// A message that ends with its connection is complete only after `close_notify`.
#[actix::test]
async fn a_cut_is_told_from_an_end_if_asked_for() {
    for (asks, closes, expected) in
        [(false, false, Ok(0)), (true, false, Err(ErrorKind::ConnectionAborted)), (true, true, Ok(0))]
    {
        let (mut server, mut client) = pair().await;
        if asks {
            client.report_cut();
        }
        if closes {
            server.shutdown().await.unwrap();
        }
        drop(server);
        let read = client.read(&mut [0; 8]).await;
        assert_eq!(read.map_err(|error| error.kind()), expected, "{asks} {closes}");
    }
}

/// A plain connection does not pay for the size of a TLS connection.
#[test]
fn a_socket_is_as_small_as_that_of_tcp() {
    let word = size_of::<usize>();
    assert!(size_of::<Stream>() <= size_of::<TcpStream>() + word, "{}", size_of::<Stream>());
    assert!(size_of::<Socket>() <= size_of::<TcpStream>() + word, "{}", size_of::<Socket>());
    assert!(size_of::<TlsStream>() < 2048, "{}", size_of::<TlsStream>());
}
