//! Runs the proxy, from the settings to the end of the process.

mod admin_server;
mod handing_over;
mod listeners;
mod reloading;

use std::{future::Future, io, pin::pin, rc::Rc, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use self::{
    admin_server::AdminServer,
    handing_over::{HandOver, Step, leave_to},
    listeners::Listeners,
    reloading::Reloader,
};
#[cfg(feature = "traces")]
use crate::traces::Exporter;
use crate::{
    authenticator::Keepers,
    listener::{self, Backlog, OpenListener, ServerState},
    log::Quoted,
    net::{Listening, inherited},
    reload::{self, Numbers, Requests},
    server::{self, Registry, Status, Workers},
    service::{Watchdog, notify, report_ready},
    settings::{Loaded, Settings},
    trickle::Diagnostics,
    upstream::Monitors,
};

/// How long connections that were accepted during the drain may take, after it, to get their refusal.
const REFUSING_TIME: Duration = Duration::from_millis(500);

/// How long threads may take to release a configuration that no session uses, before its use is logged.
const RELEASING_TIME: Duration = Duration::from_millis(50);

/// Runs the proxy until `shutdown` is ready, then drains it (guarantee C9). Meanwhile it serves `requests` to reload the
/// settings. Call it on an actix system.
///
/// # Errors
/// When a socket cannot be opened. The error names the address and its key. When a listener stops accepting because
/// of an error in the program. The proxy has been drained then.
pub async fn run(
    mut loaded: Loaded,
    requests: Requests,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // Before anything is announced, because the signal would end the process.
    let mut hand_over = HandOver::new()?;
    let mut numbers = Numbers::default();
    numbers.assign(&mut loaded.settings);
    reload::shape(&mut loaded);
    let loaded = Arc::new(loaded);
    let settings = &loaded.settings;
    log::info!("starting version={} process={}", env!("CARGO_PKG_VERSION"), std::process::id());
    log_warnings(settings);
    let status = Arc::new(Status::default());
    let registry = Registry::new(Arc::clone(&status));
    let sessions = listener::capacity(settings.server.max_sessions);
    let shared = ServerState::new(settings, sessions, Arc::clone(&registry));
    #[cfg(feature = "traces")]
    let exporter =
        shared.tracer.as_ref().map(|tracer| Exporter::start(tracer, shared.network())).transpose()?;
    let workers = Workers::start(settings.server.workers)?;
    let monitors = Rc::new(Monitors::start()?);
    let keepers = Rc::new(Keepers::start()?);
    actix_rt::spawn(adopt_configurations(Arc::clone(&shared)));
    actix_rt::spawn(close_sessions(Arc::clone(&shared)));
    actix_rt::spawn(watch_configurations(Rc::clone(&monitors), Rc::clone(&keepers), Arc::clone(&shared)));
    let mut listeners = Listeners::default();
    let prepared = listeners.prepare(settings)?;
    prepared.log();
    let mut admin = AdminServer::start(settings, &shared, &requests.handle())?;
    listeners.apply(prepared, &shared, &workers);
    let mut reloader = Reloader::new(Arc::clone(&shared), requests, Arc::clone(&loaded), (numbers, sessions));
    hand_over.watchdog = Watchdog::start(workers.handles());
    log_unused_sockets();
    let end = ordered(shutdown, &shared);
    let ended =
        serve(end, &mut reloader, &mut listeners, &mut admin, &workers, &status, &mut hand_over).await;
    reloader.end();
    server::drain(&reloader.settings().drain, &registry).await;
    close(listeners.open, &status).await;
    shared.close_orders.end("stopped");
    workers.stop();
    monitors.stop();
    keepers.stop();
    admin.stop().await;
    #[cfg(feature = "traces")]
    if let Some(exporter) = exporter.flatten() {
        exporter.finish().await;
    }
    log::info!("stopped");
    ended
}

/// Serves clients, until `shutdown` is ready, a listener fails, or another process takes over.
async fn serve(
    shutdown: impl Future<Output = ()>,
    reloader: &mut Reloader,
    listeners: &mut Listeners,
    admin: &mut AdminServer,
    workers: &Workers,
    status: &Status,
    hand_over: &mut HandOver,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    report_ready()?;
    notify::ready();
    loop {
        tokio::select! {
            () = &mut shutdown => {
                notify::stopping();
                hand_over.abandon();
                return Ok(());
            }
            name = OpenListener::failed(&mut listeners.open) => {
                hand_over.abandon();
                return Err(stopped_accepting(&name));
            }
            read = reloader.read(), if !hand_over.is_starting() => {
                notify::reloading();
                reloader.apply(read, listeners, workers).await;
                notify::ready();
                hand_over.reloaded(listeners, admin.sockets());
            }
            step = hand_over.next() => {
                if matches!(step, Step::Requested) && reloader.is_busy() {
                    hand_over.wait_for_reload();
                } else if let Some(process) = hand_over.take(step, listeners, admin.sockets()) {
                    notify::replaced_by(process);
                    admin.stop().await;
                    leave_to(process, listeners, status).await;
                    return Ok(());
                }
            }
        }
    }
}

/// Resolves when the process is to end, by a signal or by order of an operator.
async fn ordered(shutdown: impl Future<Output = ()>, shared: &ServerState) {
    tokio::select! {
        () = shutdown => {}
        () = shared.shutdown.notified() => {}
    }
}

/// Logs the addresses of sockets that the process has got and that no setting names.
fn log_unused_sockets() {
    for address in inherited::close_unused() {
        log::warn!("inherited socket not used address={address}");
    }
}

fn log_warnings(settings: &Settings) {
    for warning in settings.warnings().flat_map(Diagnostics::lines) {
        log::warn!("program warning text={}", Quoted(&warning));
    }
    for remark in settings.remarks() {
        log::warn!("settings warning text={}", Quoted(&remark));
    }
}

/// Closes the listeners, and refuses the connections that they have accepted meanwhile, within [`REFUSING_TIME`].
async fn close(listeners: Vec<OpenListener>, status: &Status) {
    let _cut_off = timeout(REFUSING_TIME, async {
        for listener in listeners {
            listener.close(|_| Backlog::Accept).await;
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

/// Carries out the orders of operators to close sessions.
async fn close_sessions(shared: Arc<ServerState>) {
    shared.close_orders.run().await;
}

/// Has the live sessions adopt each configuration. One that is replaced meanwhile is left out.
async fn adopt_configurations(shared: Arc<ServerState>) {
    loop {
        shared.adopting.notified().await;
        // Not kept, so that the configuration is freed with its last session.
        let generation = shared.configurations.current().number();
        shared.registry.adopt().await;
        // The threads release the replaced one in their next turns.
        sleep(RELEASING_TIME).await;
        log::info!(
            "sessions have adopted the configuration generation={generation} in_use={}",
            shared.configurations.alive()
        );
    }
}

/// Logs one line for each address, and one for each address that this machine does not have.
fn log_listening(who: &str, listening: &Listening) -> io::Result<()> {
    for socket in &listening.sockets {
        log::info!("listening {who} address={}", socket.local_addr()?);
    }
    for (address, error) in &listening.skipped {
        log::info!("address skipped {who} address={address} reason={}", Quoted(&error.to_string()));
    }
    Ok(())
}
