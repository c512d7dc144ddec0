//! The TLS handshake before the request.

use std::sync::Arc;

use actix_http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::Handshake;
use crate::{
    listener::answer::{self, Refusal},
    net::Insecure,
};

/// Completes the TLS handshake of a client by `deadline`, in the handshake's slot. `early` has bytes that were taken for
/// the beginning of a PROXY header, and so do not begin a TLS handshake. `None` when the connection has ended
/// instead: the client spoke plain HTTP and got a 400, its handshake failed with an alert, or it was too slow.
pub(super) async fn secured(handshake: Handshake, early: &[u8], deadline: Instant) -> Option<Handshake> {
    let Handshake { worker, configuration, stream, tls: _, peer, local, slot, pending } = handshake;
    let server = configuration.listener.tls.clone()?;
    let timeout = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "TLS handshake timeout");
    let secured = async {
        match early.is_empty() {
            true => stream.secure(&server).await,
            false => Err(Insecure::PlainHttp(stream)),
        }
    };
    let (stream, refusal) = match timeout_at(deadline, secured).await {
        Ok(Ok((stream, facts))) => {
            let tls = Some(Arc::new(facts));
            return Some(Handshake { worker, configuration, stream, tls, peer, local, slot, pending });
        }
        Ok(Err(Insecure::PlainHttp(stream))) => {
            let mut refusal = Refusal::new(StatusCode::BAD_REQUEST, "plain HTTP on an address for TLS");
            refusal.note = Some("connect with wss:// or https://");
            let answer = refusal.answer(true);
            (Some((stream, answer)), refusal)
        }
        Ok(Err(Insecure::Failed(error, stream))) => {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "TLS handshake failed");
            // The alert has been written. The client reads it before the connection ends.
            (Some((stream, Vec::new())), Refusal { cause: Some(error.to_string()), ..refusal })
        }
        Ok(Err(Insecure::Gone)) => {
            log::debug!("client gone in the TLS handshake listener={} peer={peer}", worker.state.name);
            return None;
        }
        Err(_) => (None, timeout()),
    };
    worker.log_refusal(&refusal, peer, "-", "-");
    if let Some((stream, answer)) = stream {
        answer::refuse(stream, &answer).await;
    }
    drop((slot, pending));
    None
}
