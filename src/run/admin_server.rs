//! The admin server, from its sockets to its end.

use std::{io, net::TcpListener, sync::Arc};

use actix_rt::task::JoinHandle;
use actix_web::dev::ServerHandle;

use super::log_listening;
use crate::{
    admin::{self, AdminState},
    listener::ServerState,
    reload::Handle,
    settings::Settings,
};

/// The admin server of the process.
pub(super) struct AdminServer {
    /// `None` when it is off or has been stopped.
    running: Option<Running>,
}

struct Running {
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    /// The same sockets, for another process.
    sockets: Vec<TcpListener>,
}

// === impl AdminServer ===

impl AdminServer {
    /// Starts the server, unless the settings switch it off.
    ///
    /// # Errors
    /// When an address cannot be opened. The error names the address and its key.
    pub(super) fn start(
        settings: &Settings,
        shared: &Arc<ServerState>,
        reloads: &Handle,
    ) -> io::Result<Self> {
        let Some(admin) = &settings.admin else { return Ok(Self { running: None }) };
        let listening = admin::bind(admin)?;
        log_listening("admin", &listening)?;
        let sockets = listening.sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        let server =
            admin::serve(listening.sockets, AdminState::new(Arc::clone(shared), reloads, admin.clone()))?;
        let handle = server.handle();
        Ok(Self { running: Some(Running { handle, task: actix_rt::spawn(server), sockets }) })
    }

    /// The sockets, for another process.
    pub(super) fn sockets(&self) -> &[TcpListener] {
        self.running.as_ref().map_or(&[], |running| &running.sockets)
    }

    /// Ends the server.
    pub(super) async fn stop(&mut self) {
        if let Some(Running { handle, task, .. }) = self.running.take() {
            handle.stop(false).await;
            let _ = task.await;
        }
    }
}
