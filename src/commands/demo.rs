//! `towline demo`

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{Failure, block_on, load, signals};
use crate::{echo, settings::DEMO_FILE};

/// Runs the proxy and the echo server behind it until a signal ends them.
pub(super) fn demo(config: Option<PathBuf>) -> Result<(), Failure> {
    let settings = load(Some(&config.unwrap_or_else(|| DEMO_FILE.into())))?;
    block_on(async {
        let bind = settings.upstreams.first().and_then(|(_, upstream)| upstream.url.address());
        let bind =
            bind.ok_or_else(|| io::Error::other("the demo's upstream is an address of this machine"))?;
        let (_, upstream) = echo::serve(bind)?;
        actix_rt::spawn(upstream);
        if let Some(listener) = settings.listeners.first() {
            let url = format!("ws://{}", listener.bind);
            writeln!(io::stdout(), "Towline takes clients on {url}, an echo server stands behind it.")?;
            writeln!(io::stdout(), "In another terminal:  echo hello | websocat -n1 {url}")?;
            writeln!(io::stdout(), "                      echo snot | websocat -n1 {url}")?;
        }
        crate::run(settings, signals::shutdown()?).await
    })
}
