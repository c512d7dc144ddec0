//! Keeps the certificates of a listener up to date.

use std::sync::Arc;

use super::state::ServerState;
use crate::net::tls::reread;

/// Reads the listener's certificates in the current configuration again when their files change.
pub(super) async fn follow_certificates(listener: String, server: Arc<ServerState>) {
    let mut changes = server.configurations.subscribe();
    loop {
        let configuration = Arc::clone(&changes.borrow_and_update());
        let tls = configuration.listener(&listener).and_then(|listener| listener.tls.clone());
        drop(configuration);
        let owner = format!("listener={listener}");
        let changed = match &tls {
            Some(tls) => tokio::select! {
                never = reread::follow(tls, &owner) => match never {},
                changed = changes.changed() => changed,
            },
            None => changes.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}
