//! The signals that end the program.

use std::io::{self, Write};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::EXIT_FAILURE;

/// Ready at the first SIGTERM or SIGINT; the second ends the process at once.
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        actix_rt::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            let _ = writeln!(io::stderr(), "towline: second signal: ended at once");
            std::process::exit(EXIT_FAILURE.into());
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
