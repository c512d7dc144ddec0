//! Runs the proxy, from the settings to the end of the process.

use std::{future::Future, io, rc::Rc, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    admin::{self, AdminState},
    authenticator::Keepers,
    listener::{self, OpenListener, ServerState},
    log::Quoted,
    net::Listening,
    server::{self, Registry, Status, Workers},
    settings::Settings,
    trickle::Diagnostics,
    upstream::Monitors,
};

/// How long connections that were accepted during the drain may take, after it, to get their refusal.
const REFUSING_TIME: Duration = Duration::from_millis(500);

/// Runs the proxy until `shutdown` is ready, then drains it (guarantee C9). Call it on an actix system.
///
/// # Errors
/// When a socket cannot be opened. The error names the address and its key. When a listener stops accepting because
/// of an error in the program. The proxy has been drained then.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    for warning in settings.warnings().flat_map(Diagnostics::lines) {
        log::warn!("program warning text={}", Quoted(&warning));
    }
    for remark in settings.remarks() {
        log::warn!("settings warning text={}", Quoted(&remark));
    }
    let status = Arc::new(Status::default());
    let registry = Registry::new(Arc::clone(&status));
    let sessions = listener::capacity(settings.server.max_sessions);
    let shared = ServerState::new(&settings, sessions, Arc::clone(&registry));
    let workers = Workers::start(settings.server.workers)?;
    let monitors = Rc::new(Monitors::start()?);
    let keepers = Rc::new(Keepers::start()?);
    actix_rt::spawn(watch_configurations(Rc::clone(&monitors), Rc::clone(&keepers), Arc::clone(&shared)));
    let mut bound = Vec::new();
    for listener in &settings.listeners {
        let listening = listener::bind(listener)?;
        log_listening(&format!("listener={}", listener.name), &listening)?;
        bound.push((listener, listening.sockets));
    }
    let admin = settings.admin.as_ref().map(|admin| {
        let listening = admin::bind(admin)?;
        log_listening("admin", &listening)?;
        admin::serve(listening.sockets, AdminState::new(Arc::clone(&shared), admin.clone()))
    });
    let admin = admin.transpose()?;
    let admin_handle = admin.as_ref().map(|admin| admin.handle());
    let admin = admin.map(actix_rt::spawn);
    let open =
        bound.into_iter().map(|(listener, sockets)| OpenListener::open(listener, sockets, &shared, &workers));
    let mut listeners: Vec<_> = open.collect::<io::Result<_>>()?;
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        name = OpenListener::failed(&mut listeners) => Err(stopped_accepting(&name)),
    };
    server::drain(&settings.drain, &registry).await;
    close(listeners, &status).await;
    workers.stop();
    monitors.stop();
    keepers.stop();
    if let (Some(handle), Some(admin)) = (admin_handle, admin) {
        handle.stop(false).await;
        let _ = admin.await;
    }
    log::info!("stopped");
    ended
}

/// Closes the listeners, and refuses the connections that they have accepted meanwhile, within [`REFUSING_TIME`].
async fn close(listeners: Vec<OpenListener>, status: &Status) {
    let _cut_off = timeout(REFUSING_TIME, async {
        for listener in listeners {
            listener.close().await;
        }
        status.nothing_pending().await;
    })
    .await;
}

fn stopped_accepting(listener: &str) -> io::Error {
    io::Error::other(format!("listener {listener} has stopped accepting connections: internal error"))
}

/// Has the upstreams of each configuration probed, and the keys of its methods of authentication kept up to date.
async fn watch_configurations(monitors: Rc<Monitors>, keepers: Rc<Keepers>, shared: Arc<ServerState>) {
    let mut changes = shared.configurations.subscribe();
    loop {
        let configuration = Arc::clone(&changes.borrow_and_update());
        configuration.upstreams().for_each(|upstream| monitors.watch(upstream));
        configuration.authenticators().iter().for_each(|method| keepers.keep(method, shared.network()));
        drop(configuration);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Logs one line for each address, and one for each address that this machine does not have.
fn log_listening(who: &str, listening: &Listening) -> io::Result<()> {
    for socket in &listening.sockets {
        log::info!("listening {who} address={}", socket.local_addr()?);
    }
    for (address, error) in &listening.skipped {
        log::info!("address skipped {who} address={address}: {error}");
    }
    Ok(())
}
