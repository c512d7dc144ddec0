//! The file of an upstream's endpoints (`endpoints_file`), which is read again when it changes.

use std::{fmt, path::Path, sync::Arc};

use super::endpoints::{EndpointConfig, listed};
use crate::{
    settings::{
        host::{Host, Machine},
        keys,
        layers::Layers,
        lines::lines,
        problem::{Problem, SettingsError},
        read::Reader,
    },
    userinfo,
};

/// A file with the endpoints of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointsFile {
    /// The absolute path of the file.
    pub path: Arc<Path>,
    /// Whether URLs in the file may have user and password. They may not where `headers` has an authorization.
    pub(crate) takes_secrets: bool,
}

/// The reason why a file of endpoints is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointsFileError {
    /// The line of the file, from 1; `None` if the error concerns the whole file.
    pub line: Option<usize>,
    /// What is wrong, and what is allowed.
    pub text: String,
}

// === impl EndpointsFile ===

impl EndpointsFile {
    /// Reads the endpoints, first tier first; at least one. It blocks.
    ///
    /// # Errors
    /// When the file cannot be read, has more than 4 MiB or is no valid list of endpoints.
    pub fn read(&self) -> Result<Vec<EndpointConfig>, EndpointsFileError> {
        self.read_on(&Machine)
    }

    pub(super) fn read_on(&self, host: &dyn Host) -> Result<Vec<EndpointConfig>, EndpointsFileError> {
        match host.read(&self.path) {
            Ok(text) => self.parse(&text, host),
            Err(error) => Err(EndpointsFileError { line: None, text: format!("cannot be read: {error}") }),
        }
    }

    fn parse(&self, text: &str, host: &dyn Host) -> Result<Vec<EndpointConfig>, EndpointsFileError> {
        let layers = Layers::parse(&self.path, text, std::iter::empty()).map_err(syntax)?;
        let reader = Reader::new(&layers, host);
        let section = reader.whole(&keys::ENDPOINTS_FILE);
        let endpoints = listed(&section);
        match endpoints {
            Some(endpoints) if reader.is_clean() => self.check(endpoints),
            _ => Err(first(&reader.into_problems(), text)),
        }
    }

    fn check(&self, endpoints: Vec<EndpointConfig>) -> Result<Vec<EndpointConfig>, EndpointsFileError> {
        let has_secret = |endpoint: &EndpointConfig| userinfo::split(&endpoint.url.text).1.is_some();
        if self.takes_secrets || !endpoints.iter().any(has_secret) {
            return Ok(endpoints);
        }
        let text = "has user and password, and headers has authorization: only one of them can be sent";
        Err(EndpointsFileError { line: None, text: text.to_owned() })
    }
}

fn syntax(error: SettingsError) -> EndpointsFileError {
    match error {
        SettingsError::Syntax { position, message, .. } => EndpointsFileError {
            line: position.map(|(line, _)| line),
            text: format!("is not TOML: {message}"),
        },
        other => EndpointsFileError { line: None, text: other.to_string() },
    }
}

/// The first problem, and how many there are.
fn first(problems: &[Problem], text: &str) -> EndpointsFileError {
    let Some(Problem { key, value, text: what, .. }) = problems.first() else {
        return EndpointsFileError { line: None, text: "has no endpoints".to_owned() };
    };
    let key = key.trim_start_matches('.');
    let value = value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
    let more = match problems.len() - 1 {
        0 => String::new(),
        1 => "; 1 more error".to_owned(),
        more => format!("; {more} more errors"),
    };
    let line = lines([key].into_iter(), text).pop().flatten();
    EndpointsFileError { line, text: format!("{key}{value}: {what}{more}") }
}

// === impl EndpointsFileError ===

impl EndpointsFileError {
    /// The text with the path of the file: `/run/endpoints.toml:3: endpoints[2].weight = 0: …`.
    pub(super) fn at(&self, path: &Path) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", path.display(), self.text)
    }
}

impl fmt::Display for EndpointsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for EndpointsFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, u32, u32)>, String> {
        let file = EndpointsFile { path: Path::new("/run/endpoints.toml").into(), takes_secrets: false };
        let endpoints = file.parse(text, &Machine).map_err(|error| error.to_string())?;
        Ok(endpoints.into_iter().map(|it| (it.url.text.to_string(), it.weight, it.priority)).collect())
    }

    #[test]
    fn a_file_has_urls_or_tables() {
        let both = Ok(vec![("ws://b".to_owned(), 1, 0), ("ws://a".to_owned(), 2, 1)]);
        assert_eq!(parse("endpoints = [{ url = \"ws://a\", weight = 2, priority = 1 }, \"ws://b\"]"), both);
        let tables = "# written by a program\n[[endpoints]]\nurl = \"ws://a\"\nweight = 2\npriority = 1\n\n\
                      [[endpoints]]\nurl = \"ws://b\"\n";
        assert_eq!(parse(tables), both);
    }

    #[test]
    fn an_error_names_the_line_and_what_is_allowed() {
        let many = format!(
            "endpoints = [{}]",
            (1..=1001).map(|port| format!("\"ws://a:{port}\",")).collect::<String>()
        );
        for (text, expected) in [
            ("", "endpoints: needs at least one server"),
            ("endpoints = []", "line 1: endpoints = []: needs at least one server"),
            ("\n[[endpoints]\n", "line 2: is not TOML: "),
            (
                "endpoints = [\n\"ws://a\",\n\"http://me:secret@b\",\n]",
                "line 3: endpoints[2] = \"http://***@b\": the scheme is not ws",
            ),
            (
                "[[endpoints]]\nurl = \"ws://a\"\n[[endpoints]]\nurl = \"ws://b\"\nweight = 0\n",
                "line 5: endpoints[2].weight = 0: takes a whole number from 1 to 1000",
            ),
            (
                "[[endpoints]]\nurl = \"ws://a\"\nweigth = 0\n",
                "line 3: endpoints[1].weigth: unknown key; did you mean \"weight\"?",
            ),
            (
                "endpoints = [\"ws://a\"]\n\nendpoint = 1",
                "line 3: endpoint: unknown key; did you mean \"endpoints\"?",
            ),
            (
                "endpoints = [\"ws://a\", \"ws://a\", \"x\"]",
                "line 1: endpoints[2] = \"ws://a\": is listed twice; 1 more error",
            ),
            ("endpoints = \"ws://a\"", "line 1: endpoints = \"ws://a\": takes a list of servers"),
            ("endpoints = [\"ws://me:secret@a\"]", "has user and password, and headers has authorization"),
            (
                &many,
                "line 1: endpoints[1001] = \"ws://a:1001\": there are 1001 servers; an upstream takes at most 1000",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}\n   {error}\nnot {expected}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_unreadable_file_says_why() {
        let file = EndpointsFile { path: Path::new("/does/not/exist").into(), takes_secrets: true };
        assert!(file.read().unwrap_err().text.starts_with("cannot be read: No such file"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in r#"(\[\[endpoints\]\]|endpoints|=|\[|\]|\{|\}|"ws://a"|url|weight|1|,|\n|\.|é){0,24}"#) {
            let _ = parse(&text);
        }
    }
}
