//! The TLS handshake before the request.

use std::sync::Arc;

use actix_http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::Handshake;
use crate::{
    listener::{
        answer::{self, Refusal},
        refusals::RefusalKind,
    },
    net::Insecure,
};

/// Completes the TLS handshake of a client by `deadline`, in the handshake's slot. `early` has bytes that were taken for
/// the beginning of a PROXY header, and so do not begin a TLS handshake. `None` when the connection has ended
/// instead: the client spoke plain HTTP and got a 400, its handshake failed with an alert, or it was too slow.
pub(super) async fn secured(handshake: Handshake, early: &[u8], deadline: Instant) -> Option<Handshake> {
    let Handshake { worker, configuration, stream, tls: _, peer, local, slot, pending } = handshake;
    let server = configuration.listener.tls.clone()?;
    let secured = async {
        match early.is_empty() {
            true => stream.secure(&server).await,
            false => Err(Insecure::PlainHttp(stream)),
        }
    };
    match timeout_at(deadline, secured).await {
        Ok(Ok((stream, facts))) => {
            let tls = Some(Arc::new(facts));
            return Some(Handshake { worker, configuration, stream, tls, peer, local, slot, pending });
        }
        Ok(Err(Insecure::PlainHttp(stream))) => {
            let mut refusal = Refusal::new(StatusCode::BAD_REQUEST, "plain HTTP on an address for TLS");
            refusal.note = Some("connect with wss:// or https://");
            worker.log_refusal(&refusal, peer, "-", "-");
            answer::refuse(stream, &refusal.answer(true)).await;
        }
        Ok(Err(Insecure::Failed(error, stream))) => {
            let cause = error.to_string();
            worker.log_closed(RefusalKind::Connection, "TLS handshake failed", Some(&cause), peer);
            // The alert has been written. The client reads it before the connection ends.
            answer::refuse(stream, &[]).await;
        }
        Ok(Err(Insecure::Gone)) => {
            log::debug!("client gone in the TLS handshake listener={} peer={peer}", worker.state.name);
        }
        Err(_) => worker.log_closed(RefusalKind::Timeout, "TLS handshake timeout", None, peer),
    }
    drop((slot, pending));
    None
}
