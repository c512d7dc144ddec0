//! The command `towline replay`.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    rc::Rc,
    time::{Duration, Instant},
};

use actix_http::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use tokio::time::sleep;

use super::{CommandError, error::named, print};
use crate::{
    cli::Replay,
    replay::{Incomplete, Plan, Progress, ReplayOptions, replay as run},
};

/// The time between two lines of progress on a terminal, and in a file.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Sends the messages of a record again, and reports what differs.
pub(super) fn replay(options: &Replay) -> Result<(), CommandError> {
    let settings = ReplayOptions {
        url: url(&options.url)?,
        headers: options.header.iter().map(|header| split(header)).collect::<Result<_, _>>()?,
        speed: options.speed,
        wait_replies: options.wait_replies,
        patience: options.timeout,
    };
    let incomplete = if options.allow_incomplete { Incomplete::Accepted } else { Incomplete::Refused };
    let record = File::open(&options.record).map_err(|error| named(&options.record, &error))?;
    let plan = Plan::read(record, incomplete)
        .map_err(|error| CommandError::Unhealthy(format!("{}: {error}", options.record.display())))?;
    let progress = Rc::<Progress>::default();
    let report = actix::System::new().block_on(async {
        let shown = show(Rc::clone(&progress), plan.messages(), plan.sessions.len());
        let shown = actix_rt::spawn(shown);
        let report = run(plan, settings, progress).await;
        shown.abort();
        report
    });
    let report = report.map_err(|error| CommandError::Unhealthy(error.to_string()))?;
    match options.json {
        true => print(&format!("{}\n", report.json()))?,
        false => print(&report.table())?,
    }
    if report.differences.is_empty() { Ok(()) } else { Err(CommandError::Reported) }
}

/// Shows the progress on standard error.
async fn show(progress: Rc<Progress>, messages: usize, sessions: usize) {
    let begin = Instant::now();
    let pause = PAUSES[usize::from(!io::stderr().is_terminal())];
    loop {
        sleep(pause).await;
        let (sent, ended) = (progress.sent.get(), progress.ended.get());
        // Without standard error, nobody sees the progress.
        let _ = writeln!(
            io::stderr(),
            "towline: {sent} of {messages} messages sent, {ended} of {sessions} sessions ended, {}s",
            begin.elapsed().as_secs()
        );
    }
}

fn url(text: &str) -> Result<Uri, CommandError> {
    let wrong = || CommandError::Usage("--url takes a URL such as ws://127.0.0.1:9139/path".to_owned());
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let is_websocket = matches!(url.scheme_str(), Some("ws" | "wss")) && url.host().is_some();
    if is_websocket { Ok(url) } else { Err(wrong()) }
}

fn split(header: &str) -> Result<(HeaderName, HeaderValue), CommandError> {
    let wrong = || CommandError::Usage("--header takes a header such as 'X-Tenant: a'".to_owned());
    let (name, value) = header.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    Ok((name, value))
}
