//! The command `towline tap`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    pin::pin,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;
use url::form_urlencoded::Serializer;

use super::{
    CommandError,
    error::named,
    follow::{AdminServer, Lines},
    signals::{Hangup, shutdown},
};
use crate::{
    cli::Tap,
    recording::{Entry, Har, Header, human},
};

/// The time limit without `--for`.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is done with the lines.
struct Sink {
    output: Option<Output>,
    record: Option<BufWriter<File>>,
    har: Option<Har>,
    /// The number of lines until the end.
    left: u64,
    lines: u64,
    lost: u64,
    skipped: u64,
}

/// How lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Json,
    Human,
}

/// Whether the tap goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continue {
    Yes,
    No,
}

/// Follows the messages of a running proxy.
pub(super) fn tap(options: &Tap) -> Result<(), CommandError> {
    actix::System::new().block_on(async {
        let server = AdminServer::new(&options.access)?;
        let mut ended = pin!(shutdown(Hangup::End)?);
        let header = Header { version: version(), settings: server.settings_digest().await };
        let mut lines = server.follow(&format!("/api/tap?{}", query(options))).await?;
        let mut sink = Sink::open(options, &header)?;
        let mut time = pin!(sleep(options.time.unwrap_or(FOREVER)));
        let result = loop {
            tokio::select! {
                () = &mut ended => break Ok(()),
                () = &mut time => break Ok(()),
                next = next(&mut lines, &mut sink) => match next {
                    Ok(Continue::Yes) => {}
                    Ok(Continue::No) => break Ok(()),
                    Err(error) => break Err(error),
                },
            }
        };
        drop(lines);
        sink.finish(options.har.as_deref())?;
        result
    })
}

/// Reads what has arrived, and writes it.
async fn next(lines: &mut Lines, sink: &mut Sink) -> Result<Continue, CommandError> {
    let Some(chunk) = lines.next().await? else {
        return Err(CommandError::Unhealthy("the proxy has ended the tap".to_owned()));
    };
    for line in chunk.lines().filter(|line| !line.is_empty()) {
        if sink.line(line)? == Continue::No {
            return Ok(Continue::No);
        }
    }
    sink.flush()
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

fn query(options: &Tap) -> String {
    let mut query = Serializer::new(String::new());
    let direction = (!options.direction.is_empty()).then(|| options.direction.join(","));
    let texts = [
        ("session", &options.session),
        ("route", &options.route),
        ("listener", &options.listener),
        ("direction", &direction),
        ("where", &options.condition),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if options.payload || options.har.is_some() {
        query.append_pair("payload", "true");
    }
    if let Some(max) = options.max_payload {
        query.append_pair("max_payload", &max.to_string());
    }
    query.finish()
}

// === impl Sink ===

impl Sink {
    fn open(options: &Tap, header: &Header) -> Result<Self, CommandError> {
        let is_written = options.record.is_some() || options.har.is_some();
        let output = match (options.json, is_written, io::stdout().is_terminal()) {
            (true, _, _) | (false, false, false) => Some(Output::Json),
            (false, false, true) => Some(Output::Human),
            (false, true, _) => None,
        };
        let record = options.record.as_deref().map(|file| begin_record(file, header)).transpose()?;
        let har = options.har.as_ref().map(|_| Har::default());
        let left = options.limit.unwrap_or(u64::MAX);
        Ok(Self { output, record, har, left, lines: 0, lost: 0, skipped: 0 })
    }

    fn line(&mut self, line: &str) -> Result<Continue, CommandError> {
        let entry = Entry::parse(line).map_err(|error| CommandError::Unhealthy(error.to_string()))?;
        if let Some(record) = &mut self.record {
            writeln!(record, "{line}")?;
        }
        let printed = match self.output {
            Some(Output::Json) => writeln!(io::stdout(), "{line}"),
            Some(Output::Human) => human(&entry).map_or(Ok(()), |text| writeln!(io::stdout(), "{text}")),
            None => Ok(()),
        };
        if after_printing(printed)? == Continue::No {
            return Ok(Continue::No);
        }
        match &entry {
            Entry::Lost(count) => self.lost += count,
            Entry::Skipped(count) => self.skipped += count,
            Entry::Other => {}
            Entry::Line(line) => {
                self.lines += 1;
                self.left = self.left.saturating_sub(1);
                if let Some(har) = &mut self.har {
                    har.add(line).map_err(|error| CommandError::Unhealthy(error.to_string()))?;
                }
            }
        }
        Ok(if self.left == 0 { Continue::No } else { Continue::Yes })
    }

    fn flush(&mut self) -> Result<Continue, CommandError> {
        if let Some(record) = &mut self.record {
            record.flush()?;
        }
        after_printing(io::stdout().flush())
    }

    fn finish(mut self, har: Option<&Path>) -> Result<(), CommandError> {
        self.flush()?;
        if let (Some(exported), Some(file)) = (&self.har, har) {
            let text = exported.document(&version()).to_string();
            let written = create_private(file).and_then(|mut har| har.write_all(text.as_bytes()));
            written.map_err(|error| named(file, &error))?;
        }
        let Self { lines, lost, skipped, .. } = self;
        if self.output != Some(Output::Json) || lost + skipped > 0 {
            writeln!(io::stderr(), "towline: {lines} lines, {lost} lost, {skipped} skipped")?;
        }
        Ok(())
    }
}

/// Whether the tap goes on after printing: not if the reader has closed the output, as `head` does.
fn after_printing(printed: io::Result<()>) -> Result<Continue, CommandError> {
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Continue::No),
        printed => Ok(printed.map(|()| Continue::Yes)?),
    }
}

/// Creates a file that only its owner can read, because it has what clients send. It replaces an earlier file, or a link
/// to one, which others may be able to read. A device or a pipe is opened as it is.
fn create_private(file: &Path) -> io::Result<File> {
    match fs::symlink_metadata(file) {
        Ok(known) if known.is_file() || known.is_symlink() => fs::remove_file(file)?,
        Ok(_) => return OpenOptions::new().write(true).open(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

fn begin_record(file: &Path, header: &Header) -> Result<BufWriter<File>, CommandError> {
    let mut record = BufWriter::new(create_private(file).map_err(|error| named(file, &error))?);
    writeln!(record, "{}", header.line(SystemTime::now()))?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_record_is_private_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let [public, link] = ["public", "link"].map(|name| folder.path().join(name));
        fs::write(&public, "old").unwrap();
        fs::set_permissions(&public, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&public, &link).unwrap();
        create_private(&link).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(&public).unwrap(), b"old", "the link is not followed");
        create_private(&public).unwrap().write_all(b"new").unwrap();
        for file in [&public, &link] {
            let known = fs::symlink_metadata(file).unwrap();
            assert!(known.is_file());
            assert_eq!(known.permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::read(file).unwrap(), b"new");
        }
    }

    #[test]
    fn a_full_har_ends_the_command_with_an_error() {
        let har = Some(Har::full());
        let mut sink =
            Sink { output: None, record: None, har, left: u64::MAX, lines: 0, lost: 0, skipped: 0 };
        let line = r#"{"time":"2026-09-21T14:13:20.123456Z","session":"1:0","direction":"to_client","stage":"message","role":"push","kind":"text","bytes":1,"payload":"x"}"#;
        let Err(CommandError::Unhealthy(error)) = sink.line(line) else { panic!("no error") };
        assert!(error.contains("256 MiB"), "{error}");
    }

    #[test]
    fn an_output_that_is_closed_is_the_end_and_no_error() {
        let closed = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(after_printing(closed), Ok(Continue::No)));
        assert!(after_printing(Err(io::Error::from(io::ErrorKind::StorageFull))).is_err());
    }
}
