//! Signals: SIGTERM and SIGINT end the program. SIGHUP reloads the settings, or ends the program if a terminal may have
//! sent the signal.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    cli::EXIT_FAILURE,
    log,
    reload::{By, Handle},
};

/// The effect of SIGHUP.
#[derive(Debug, Clone)]
pub(super) enum Hangup {
    /// SIGHUP reloads the settings.
    Reload(Handle),
    /// SIGHUP ends the program as SIGTERM does, because the program's terminal has closed.
    End,
}

/// The signals that end the program.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// A future that is ready at the first signal that ends the program. A second signal ends the process at
/// once. The signals count until the process ends, also when the future is dropped because the process drains by order
/// of an operator, or because another one has taken over.
pub(super) fn shutdown(hangup: Hangup) -> io::Result<impl Future<Output = ()>> {
    let hangups = signal(SignalKind::hangup())?;
    let mut ends = Ends {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: None,
    };
    match hangup {
        Hangup::End => ends.hangup = Some(hangups),
        Hangup::Reload(handle) => _ = actix_rt::spawn(reload(hangups, handle)),
    }
    let (first, shutdown) = oneshot::channel();
    actix_rt::spawn(async move {
        ends.next().await;
        if first.send(()).is_err() {
            ::log::info!("signal ignored, the process ends already");
        }
        ends.next().await;
        // The commands that only follow a proxy have no log.
        match ::log::log_enabled!(::log::Level::Info) {
            true => ::log::info!("second signal, the process ends at once"),
            false => _ = log::report("second signal, the process ends at once"),
        }
        log::flush();
        std::process::exit(EXIT_FAILURE.into());
    });
    Ok(async move {
        // The task above lives as long as the process.
        let _ = shutdown.await;
    })
}

/// Asks for a reload at each signal. The result is in the log.
async fn reload(mut hangups: Signal, handle: Handle) {
    while hangups.recv().await.is_some() {
        let handle = handle.clone();
        actix_rt::spawn(async move {
            if let Err(error) = handle.reload(By::Signal).await {
                ::log::warn!("SIGHUP ignored: {error}");
            }
        });
    }
}

// === impl Ends ===

impl Ends {
    /// Waits for a signal that ends the program.
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => _ = hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = hangup => {}
        }
    }
}
