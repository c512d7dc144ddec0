//! The command `towline demo`.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use super::{
    CommandError, block_on,
    signals::{self, Hangup},
    start_log,
};
use crate::{
    echo,
    log::Writer,
    reload,
    settings::{self, Layers, Loaded, Settings},
};

/// Advice for an error about the echo server's port.
const OTHER_UPSTREAM: &str = "The demo's echo server needs a free port. Choose another:\n  \
                              TOWLINE__UPSTREAM__ECHO__URL=ws://localhost:8239 towline demo";

/// Advice for an error about the proxy's port.
const OTHER_LISTENER: &str = "The demo's proxy needs a free port. Choose another:\n  \
                              TOWLINE__LISTENER__WS__BIND=127.0.0.1:9239 towline demo";

/// Runs the proxy, with the echo server as its upstream, until a signal ends them.
pub(super) fn demo(config: Option<&Path>) -> Result<(), CommandError> {
    let file = config.map(Path::to_owned);
    let read = move || match &file {
        Some(file) => Loaded::check(Layers::read(Some(file), settings::environment())?),
        None => settings::demo(settings::environment()),
    };
    let loaded = read()?;
    start_log(&loaded.settings.log)?;
    let requests = reload::requests(loaded.layers.clone(), read);
    block_on(async {
        let settings = &loaded.settings;
        let bind = settings.upstreams.first().and_then(|(_, upstream)| upstream.url.look_up());
        let bind =
            bind.ok_or_else(|| io::Error::other("the demo's upstream is an address of this machine"))?;
        let (_, upstream) = echo::serve(bind).map_err(|error| advised(error, "", OTHER_UPSTREAM))?;
        actix_rt::spawn(upstream);
        // Queued, because a blocking write would wait for the reader.
        let stdout = Writer::stdout(|_, _| {})?;
        let invitation = invitation(settings);
        let end = signals::shutdown(Hangup::End)?;
        let shutdown = async {
            // The proxy waits for this end once it listens.
            stdout.print(invitation.as_bytes());
            end.await;
        };
        let ended = crate::run(loaded, requests, shutdown).await;
        ended.map_err(|error| advised(error, "(listener.", OTHER_LISTENER))
    })
}

/// Adds advice to an address-in-use error whose text contains `part`.
fn advised(error: io::Error, part: &str, advice: &str) -> io::Error {
    match error.kind() {
        ErrorKind::AddrInUse if error.to_string().contains(part) => {
            io::Error::new(ErrorKind::AddrInUse, format!("{error}\n{advice}"))
        }
        _ => error,
    }
}

/// The text that explains how to use the demo.
fn invitation(settings: &Settings) -> String {
    let bind = settings.listeners.first().and_then(|listener| listener.bind.first());
    let Some(url) = bind.map(|bind| format!("ws://{bind}")) else { return String::new() };
    format!(
        "Towline takes clients on {url}, an echo server stands behind it.\n\
         In another terminal:  echo hello | websocat -n1 {url}\n\
         \x20                     echo snot | websocat -n1 {url}\n"
    )
}
