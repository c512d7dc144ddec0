//! Reads the PROXY header before the first byte of a connection.

use std::{io, net::IpAddr};

use crate::{
    client_address::{
        BadProxyHeader, ProxyAddresses, ProxyProtocol, Scan,
        proxy_header::{V2_MAX, scan},
    },
    net::{Stream, read_through},
    settings::Listener,
};

/// The beginning of a connection.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// The addresses of the client's connection to the balancer; `None` if they are those of the socket.
    pub(super) addresses: Option<ProxyAddresses>,
    /// Bytes that were read and are not part of a header, such as the `P` of `POST`.
    pub(super) early: Vec<u8>,
}

/// Why a connection is closed before its first byte is served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// There is no header, although each connection has one.
    #[error("PROXY header missing")]
    Missing,
    /// Someone else than a trusted proxy sends a header, or connects although a header is required.
    #[error("PROXY header from an address that is not in trusted_proxies")]
    Untrusted,
    #[error(transparent)]
    Bad(#[from] BadProxyHeader),
    /// The client disconnected.
    #[error("disconnected")]
    Gone,
}

// === impl ProxyHeaderError ===

impl ProxyHeaderError {
    /// The reason in the log; `None` if the client disconnected.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("PROXY header missing"),
            Self::Untrusted => Some("PROXY header not trusted"),
            Self::Bad(BadProxyHeader::TooLong) => Some("PROXY header too long"),
            Self::Bad(BadProxyHeader::Malformed) => Some("PROXY header malformed"),
            Self::Gone => None,
        }
    }
}

/// Reads the header, as the listener's settings require it, and not a byte of what follows. The caller bounds the time.
///
/// # Errors
/// When the connection has to be closed.
pub(super) async fn read(
    stream: &mut Stream,
    peer: IpAddr,
    listener: &Listener,
) -> Result<Beginning, ProxyHeaderError> {
    let is_trusted = listener.trusted_proxies.contain(peer);
    match listener.proxy_protocol {
        ProxyProtocol::Off => return Ok(Beginning::default()),
        ProxyProtocol::Required if !is_trusted => return Err(ProxyHeaderError::Untrusted),
        ProxyProtocol::Required | ProxyProtocol::Optional => {}
    }
    let mut bytes = Vec::new();
    loop {
        match more(stream, &mut bytes).await {
            Ok(Scan::Partial) => {}
            Ok(Scan::Header { .. }) if !is_trusted => return Err(ProxyHeaderError::Untrusted),
            Ok(Scan::Header { addresses, .. }) => return Ok(Beginning { addresses, early: Vec::new() }),
            Ok(Scan::Absent) if listener.proxy_protocol == ProxyProtocol::Required => {
                return Err(ProxyHeaderError::Missing);
            }
            Ok(Scan::Absent) => return Ok(Beginning { addresses: None, early: bytes }),
            Err(error) => return Err(error),
        }
    }
}

/// Waits for bytes, and takes from the socket those that are the header's. They are looked at first, because what
/// follows the header belongs to TLS or HTTP.
async fn more(stream: &mut Stream, bytes: &mut Vec<u8>) -> Result<Scan, ProxyHeaderError> {
    let gone = |_: io::Error| ProxyHeaderError::Gone;
    let taken = bytes.len();
    let mut chunk = [0; V2_MAX];
    let count = stream.peek(&mut chunk[taken..]).await.map_err(gone)?;
    if count == 0 {
        return Err(ProxyHeaderError::Gone);
    }
    chunk[..taken].copy_from_slice(bytes);
    let seen = &chunk[..taken + count];
    let scan = scan(seen)?;
    let end = match scan {
        Scan::Partial => seen.len(),
        Scan::Header { length, .. } => length,
        Scan::Absent => taken,
    };
    if end > taken {
        // They are there, and one reading takes all of them.
        read_through(stream, end - taken, |part| bytes.extend_from_slice(part)).await.map_err(gone)?;
    }
    Ok(scan)
}
