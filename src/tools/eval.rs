//! The implementation of `towline eval`: runs a program over lines of JSON.
//!
//! It reads line by line and writes results at once, so that it can be used in a pipeline of commands.

use std::io::{self, BufRead, BufReader, Read, Write};

use bytestring::ByteString;

use crate::{
    event::{Data, Event, EventId, EventNumber, Meta, Value},
    pipeline::check_journal,
    trickle::{Diagnostics, Instance, Limits, Modules, NoModules, Port, Program, RuntimeError, Script},
    turn::now_ns,
};

/// Maximum length of an input line, in bytes: the size of the largest value that a program may build.
pub const LINE_MAX: usize = 16 << 20;

/// The compiled text that runs over each line.
#[derive(Debug)]
pub enum Subject {
    /// A program.
    Program(Instance),
    /// A script without a program around it.
    Script(Script),
}

/// A run over many lines: the state of the program, and whether all lines succeeded.
#[derive(Debug)]
pub struct Evaluation {
    subject: Subject,
    meta: bool,
    next: u64,
    failed: bool,
}

/// The result of one line: outputs with their ports, or the error text.
type LineResult = Result<Vec<(String, Event)>, String>;

/// One line of the input.
enum InputLine {
    Text(Vec<u8>),
    TooLong,
    End,
}

// === impl Subject ===

impl Subject {
    /// Compiles a text: a script if `name` ends in `.tremor`, otherwise a program.
    ///
    /// # Errors
    /// All errors of the text.
    pub fn compile(name: &str, text: &str) -> Result<Self, Diagnostics> {
        Self::compile_with(name, text, &NoModules)
    }

    /// Compiles a text, as [`Subject::compile`] does, with modules for `use`.
    ///
    /// # Errors
    /// All errors of the text and its modules.
    pub fn compile_with(name: &str, text: &str, modules: &dyn Modules) -> Result<Self, Diagnostics> {
        let limits = Limits::default();
        if is_script(name) {
            Script::compile_with(name, text, modules, limits).map(Self::Script)
        } else {
            let program = Program::compile_with(name, text, modules, limits)?;
            Ok(Self::Program(program.instance()))
        }
    }

    /// Warnings about valid code that is likely a mistake; `None` if there are none.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        match self {
            Self::Program(instance) => instance.warnings(),
            Self::Script(script) => script.warnings(),
        }
    }

    fn run(&mut self, event: Event) -> Result<Vec<(String, Event)>, RuntimeError> {
        match self {
            Self::Script(script) => {
                let now_ns = event.ingest_ns;
                let output = script.run(event, now_ns)?;
                Ok(output.map(|(port, event)| (port.to_owned(), event)).into_iter().collect())
            }
            Self::Program(instance) => {
                let mut outputs = Vec::new();
                let now_ns = event.ingest_ns;
                instance.run(event, now_ns, &mut outputs)?;
                let named = |(port, event): (Port, Event)| (port.name().to_owned(), event);
                Ok(outputs.into_iter().map(named).collect())
            }
        }
    }
}

/// Whether a file with this name contains a script without a program around it.
pub fn is_script(name: &str) -> bool {
    name.ends_with(".tremor")
}

// === impl Evaluation ===

impl Evaluation {
    /// Creates a run over no lines yet. If `meta` is true, outputs include their metadata.
    pub fn new(subject: Subject, meta: bool) -> Self {
        Self { subject, meta, next: 0, failed: false }
    }

    /// Runs over all lines of `input`. State and ids continue from call to call. Writes the error of a failed
    /// line to `errors` and continues with the next line. Returns whether all lines succeeded.
    ///
    /// # Errors
    /// When `input` cannot be read, or `output` or `errors` cannot be written.
    pub fn run(
        &mut self,
        input: impl Read,
        output: &mut impl Write,
        errors: &mut impl Write,
    ) -> io::Result<bool> {
        let mut input = BufReader::new(input);
        for number in 1_u64.. {
            let line = match read_line(&mut input)? {
                InputLine::End => break,
                InputLine::Text(line) if line.trim_ascii().is_empty() => continue,
                InputLine::Text(line) => Ok(line),
                InputLine::TooLong => Err(format!("the line is longer than {} MiB", LINE_MAX >> 20)),
            };
            match line.and_then(|line| self.line(&line)) {
                Ok(outputs) => self.write(outputs, output)?,
                Err(words) => {
                    self.failed = true;
                    // Keeps the order of events when both are the same terminal.
                    output.flush()?;
                    writeln!(
                        errors,
                        "input line {number}:{}{words}",
                        if words.starts_with('\n') { "" } else { " " }
                    )?;
                }
            }
            // Flushes when no more input is waiting; otherwise the buffer decides.
            if input.buffer().is_empty() {
                output.flush()?;
            }
        }
        output.flush()?;
        Ok(!self.failed)
    }

    fn line(&mut self, line: &[u8]) -> LineResult {
        let text = std::str::from_utf8(line.trim_ascii()).map_err(|error| format!("not UTF-8: {error}"))?;
        let data = Data::json(ByteString::from(text)).map_err(|error| not_json(&error))?;
        let id = EventId { source: 1, stream: 0, event: EventNumber(self.next) };
        self.next += 1;
        let event = Event { id, data, meta: Meta::default(), origin: None, ingest_ns: now_ns() };
        let outputs = self.subject.run(event).map_err(|error| format!("\n{}", error.highlighted()))?;
        if let Subject::Program(_) = self.subject {
            let of = |wanted: Port| outputs.iter().filter(move |(port, _)| port == wanted.name());
            let messages = of(Port::Journal).map(|(_, event)| event);
            check_journal(messages, of(Port::Out).count()).map_err(|error| error.to_string())?;
        }
        Ok(outputs)
    }

    fn write(&self, outputs: Vec<(String, Event)>, to: &mut impl Write) -> io::Result<()> {
        for (port, event) in outputs {
            write!(to, "{{\"port\":{},\"data\":", Value::string(port).to_json())?;
            match event.data {
                Data::Json(text) => to.write_all(text.as_text().as_bytes())?,
                Data::Value(value) => to.write_all(value.to_json().as_bytes())?,
            }
            if self.meta {
                write!(to, ",\"meta\":{}", event.meta.to_value().to_json())?;
            }
            to.write_all(b"}\n")?;
        }
        Ok(())
    }
}

/// The parser's error text without the line number, which is always 1.
fn not_json(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let reason = words.rsplit_once(" at line ").map_or(words.as_str(), |(reason, _)| reason);
    format!("not JSON: {reason} at column {}", error.column())
}

/// Reads a line, including its line end. A line longer than [`LINE_MAX`] is skipped and not kept.
fn read_line(input: &mut impl BufRead) -> io::Result<InputLine> {
    let mut line = Vec::new();
    let limit = LINE_MAX as u64 + 1;
    input.by_ref().take(limit).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(InputLine::End);
    }
    if line.len() <= LINE_MAX || line.ends_with(b"\n") {
        return Ok(InputLine::Text(line));
    }
    input.skip_until(b'\n')?;
    Ok(InputLine::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, text: &str, input: &[u8]) -> (bool, String, String) {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let subject = Subject::compile(name, text).unwrap();
        let well = Evaluation::new(subject, false).run(input, &mut output, &mut errors).unwrap();
        (well, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_the_next_is_read() {
        let mut input = vec![b'1'; LINE_MAX + 10];
        input.extend(b"\n \n2");
        let (well, output, errors) = run("x.tremor", "event + 1", &input);
        assert!(!well);
        assert_eq!(output, "{\"port\":\"out\",\"data\":3}\n");
        assert_eq!(errors, "input line 1: the line is longer than 16 MiB\n");
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_read() {
        let mut input = vec![b' '; LINE_MAX - 1];
        input.extend(b"7\n8\n");
        let (well, output, _) = run("x.tremor", "event", &input);
        assert!(well);
        assert_eq!(output.lines().count(), 2);
    }

    #[test]
    fn port_journal_is_shown_and_its_records_are_checked() {
        let program = "select event from in into journal; select event.twice from in where present event.twice \
                       into journal;";
        let input =
            b"{\"kind\":\"open\",\"id\":7}\n{\"kind\":\"opne\"}\n{\"kind\":\"leaving\"}\n{\"twice\":1}\n";
        let (well, output, errors) = run("x.trickle", program, input);
        assert!(!well);
        assert_eq!(
            output,
            "{\"port\":\"journal\",\"data\":{\"kind\":\"open\",\"id\":7}}\n\
             {\"port\":\"journal\",\"data\":{\"kind\":\"leaving\"}}\n"
        );
        let lines: Vec<_> = errors.lines().collect();
        assert!(lines[0].starts_with("input line 2: port `journal`: unknown kind \"opne\"; known: hello,"));
        assert_eq!(lines[1], "input line 4: port `journal` takes one message for an event");
    }
}
