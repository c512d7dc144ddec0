//! `towline demo`

use std::{io, path::PathBuf};

use super::{
    Failure, block_on, load,
    signals::{self, Hangup},
};
use crate::{
    echo,
    log::Writer,
    settings::{DEMO_FILE, Settings},
};

/// Runs the proxy and the echo server behind it until a signal ends them.
pub(super) fn demo(config: Option<PathBuf>) -> Result<(), Failure> {
    let settings = load(Some(&config.unwrap_or_else(|| DEMO_FILE.into())))?;
    block_on(async {
        let bind = settings.upstreams.first().and_then(|(_, upstream)| upstream.url.address());
        let bind =
            bind.ok_or_else(|| io::Error::other("the demo's upstream is an address of this machine"))?;
        let (_, upstream) = echo::serve(bind)?;
        actix_rt::spawn(upstream);
        // Not by a blocking write: nobody may be reading.
        let stdout = Writer::stdout(|_, _| {})?;
        let invitation = invitation(&settings);
        let end = signals::shutdown(Hangup::End)?;
        let shutdown = async {
            // The proxy awaits its end once it listens.
            stdout.print(invitation.as_bytes());
            end.await;
        };
        crate::run(settings, shutdown).await
    })
}

/// How to use the demo.
fn invitation(settings: &Settings) -> String {
    let bind = settings.listeners.first().and_then(|listener| listener.bind.first());
    let Some(url) = bind.map(|bind| format!("ws://{bind}")) else { return String::new() };
    format!(
        "Towline takes clients on {url}, an echo server stands behind it.\n\
         In another terminal:  echo hello | websocat -n1 {url}\n\
         \x20                     echo snot | websocat -n1 {url}\n"
    )
}
