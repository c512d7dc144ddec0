//! Signals: SIGTERM and SIGINT end the program. SIGHUP ends it only if a terminal may have sent the signal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{cli::EXIT_FAILURE, log};

/// The effect of SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hangup {
    /// SIGHUP is ignored. Operators send it to reload settings, which Towline does not support. It must not
    /// end a proxy without a drain.
    Ignore,
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
/// once.
pub(super) fn shutdown(hangup: Hangup) -> io::Result<impl Future<Output = ()>> {
    let hangups = signal(SignalKind::hangup())?;
    let mut ends = Ends {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: None,
    };
    match hangup {
        Hangup::End => ends.hangup = Some(hangups),
        Hangup::Ignore => _ = actix_rt::spawn(ignore(hangups)),
    }
    Ok(async move {
        ends.next().await;
        actix_rt::spawn(async move {
            ends.next().await;
            let _ = log::print("towline: second signal: ended at once\n");
            log::flush();
            std::process::exit(EXIT_FAILURE.into());
        });
    })
}

async fn ignore(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        ::log::info!("SIGHUP ignored: settings are read at the start only");
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
