//! Patterns recognise a JSON message and say where its ids are.

use super::{path::Path, search, token};

/// What the value at a path has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// One of these strings.
    OneOf(Box<[String]>),
    /// A string that begins like this.
    Begins(String),
    /// This JSON value, such as `true` or `7`, compared as it is written.
    Json(String),
    /// Any value, `null` too.
    Exists,
    /// Any value, but not `null`.
    Present,
    /// No value, or `null`.
    Absent,
}

/// As in the settings: `eth_*` begins like this, `*` is any value, and everything else is a string.
impl From<&str> for Test {
    fn from(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::Present,
            Some(start) => Self::Begins(start.to_owned()),
            None => Self::is(text),
        }
    }
}

impl Test {
    /// The string `text`.
    pub fn is(text: &str) -> Self {
        Self::OneOf(Box::new([text.to_owned()]))
    }

    /// One of the strings `texts`.
    pub fn one_of<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::OneOf(texts.into_iter().map(Into::into).collect())
    }

    fn holds(&self, token: Option<&[u8]>) -> bool {
        let text = || token.and_then(token::decoded);
        let is_some = token.is_some_and(|token| token != b"null");
        match self {
            Self::OneOf(texts) => text().is_some_and(|text| texts.iter().any(|other| *other == *text)),
            Self::Begins(start) => text().is_some_and(|text| text.starts_with(start)),
            Self::Json(json) => token == Some(json.as_bytes()),
            Self::Exists => token.is_some(),
            Self::Present => is_some,
            Self::Absent => !is_some,
        }
    }
}

/// Recognises one kind of message: `when` has to hold for all its paths; the other paths say where ids are.
///
/// ```
/// # use towline_recovery::{Pattern, Test};
/// // {"op":"subscribe","channel":"trades","since":17}
/// let open = Pattern::when("op", Test::is("subscribe")).id("channel").resume("since");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    when: Box<[(String, Test)]>,
    id: Option<String>,
    request: Option<String>,
    instance: Option<String>,
    key: Option<String>,
    cursor: Option<String>,
    numbered: bool,
    resume: Option<String>,
    resumed: Option<(String, Test)>,
    context: Box<[String]>,
    constant: Option<&'static str>,
    once: bool,
}

impl Pattern {
    /// Messages whose value at `path` passes `test`. A path is keys and positions with dots: `params.0.topic`.
    pub fn when(path: &str, test: Test) -> Self {
        Self::default().and(path, test)
    }

    /// Messages whose value at `path` passes `test`, too.
    #[must_use]
    pub fn and(mut self, path: &str, test: Test) -> Self {
        self.when = [&*self.when, &[(path.to_owned(), test)]].concat().into();
        self
    }

    /// Where the subscription's id is. An `open` has it when the client chooses the id, an answer when the upstream
    /// does.
    #[must_use]
    pub fn id(mut self, path: &str) -> Self {
        self.id = Some(path.to_owned());
        self
    }

    /// Where the id is that matches a request with its answer.
    #[must_use]
    pub fn request(mut self, path: &str) -> Self {
        self.request = Some(path.to_owned());
        self
    }

    /// Where a value is that distinguishes successive subscriptions with the same id.
    #[must_use]
    pub fn instance(mut self, path: &str) -> Self {
        self.instance = Some(path.to_owned());
        self
    }

    /// Where an `open` names what it subscribes to. The default is the subscription's id.
    #[must_use]
    pub fn key(mut self, path: &str) -> Self {
        self.key = Some(path.to_owned());
        self
    }

    /// Where a `data` message has its position in the subscription.
    #[must_use]
    pub fn cursor(mut self, path: &str) -> Self {
        self.cursor = Some(path.to_owned());
        self
    }

    /// The cursor increases by one with each message.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.numbered = true;
        self
    }

    /// Where an `open` has the cursor after which it begins. The replay writes the last cursor there. The value must
    /// be in the client's message.
    #[must_use]
    pub fn resume(mut self, path: &str) -> Self {
        self.resume = Some(path.to_owned());
        self
    }

    /// An answer that passes this test says that the upstream continues at the cursor.
    #[must_use]
    pub fn resumed(mut self, path: &str, test: Test) -> Self {
        self.resumed = Some((path.to_owned(), test));
        self
    }

    /// The subscription is never sent again, because opening it has an effect.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Whether the message has an id that joins it with its answer.
    pub fn has_request(&self) -> bool {
        self.request.is_some()
    }

    pub(super) fn has_resume(&self) -> bool {
        self.resume.is_some()
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// # Errors
    /// When `when` is empty, or the pattern lacks an id that a message of `kind` needs.
    pub(super) fn check(&self, kind: &'static str, needs: Needs) -> Result<(), PatternError> {
        let has_request = self.request.is_some() || self.constant.is_some();
        let missing = match needs {
            _ if self.when.is_empty() => "`when`",
            Needs::Id if self.id.is_none() => "`id`",
            Needs::Request if !has_request => "`request`",
            Needs::Either if self.id.is_none() && !has_request => "`id` or `request`",
            _ => return Ok(()),
        };
        Err(PatternError::Missing { kind, missing })
    }

    /// Matches requests with answers by the constant `id`, for messages without an id.
    #[must_use]
    pub(crate) fn constant(mut self, id: &'static str) -> Self {
        self.constant = Some(id);
        self
    }

    /// The values that the preset's own messages to the client need.
    #[must_use]
    pub(crate) fn context<const N: usize>(mut self, paths: [&str; N]) -> Self {
        self.context = paths.map(str::to_owned).into();
        self
    }
}

/// The ids that a kind of message needs.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    Nothing,
    Id,
    Request,
    Either,
}

/// A pattern whose paths are numbers of a table.
#[derive(Debug)]
pub(super) struct Compiled {
    when: Box<[(usize, Test)]>,
    pub(super) id: Option<usize>,
    pub(super) request: Option<usize>,
    pub(super) instance: Option<usize>,
    pub(super) key: Option<usize>,
    pub(super) cursor: Option<usize>,
    pub(super) numbered: bool,
    pub(super) resume: Option<usize>,
    resumed: Option<(usize, Test)>,
    pub(super) context: Box<[usize]>,
    pub(super) constant: Option<&'static str>,
    pub(super) once: bool,
}

/// The paths of all patterns for one direction: one scan finds them all.
#[derive(Debug, Default)]
pub(super) struct Paths {
    texts: Vec<String>,
    paths: Vec<Path>,
}

/// A message with the spans of all paths.
pub(super) struct Scanned<'a> {
    pub(super) text: &'a [u8],
    spans: Box<[Option<std::ops::Range<usize>>]>,
}

/// Why a protocol cannot be built from patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More paths than a scan can find.
    #[error(
        "the patterns have too many different paths: {} are allowed for each direction",
        search::MAX_PATHS
    )]
    TooManyPaths,
    /// A pattern lacks something that its kind of message needs.
    #[error("a pattern of `{kind}` has no {missing}")]
    Missing {
        /// The kind of message, which names the list that contains the pattern.
        kind: &'static str,
        /// The missing key.
        missing: &'static str,
    },
}

impl Paths {
    /// # Errors
    /// When there are more than [`search::MAX_PATHS`] different paths.
    pub(super) fn compile(&mut self, patterns: &[Pattern]) -> Result<Box<[Compiled]>, PatternError> {
        patterns.iter().map(|pattern| self.compiled(pattern)).collect()
    }

    fn compiled(&mut self, pattern: &Pattern) -> Result<Compiled, PatternError> {
        let mut number = |path: &String| self.number(path);
        let mut optional = |path: &Option<String>| path.as_ref().map(&mut number).transpose();
        let [id, request, instance, key, cursor, resume] = [
            optional(&pattern.id)?,
            optional(&pattern.request)?,
            optional(&pattern.instance)?,
            optional(&pattern.key)?,
            optional(&pattern.cursor)?,
            optional(&pattern.resume)?,
        ];
        let tests = pattern.when.iter().chain(&pattern.resumed);
        let mut tests = tests.map(|(path, test)| Ok((self.number(path)?, test.clone())));
        let when = tests.by_ref().take(pattern.when.len()).collect::<Result<_, _>>()?;
        let resumed = tests.next().transpose()?;
        let context = pattern.context.iter().map(|path| self.number(path)).collect::<Result<_, _>>()?;
        Ok(Compiled {
            when,
            id,
            request,
            instance,
            key,
            cursor,
            numbered: pattern.numbered,
            resume,
            resumed,
            context,
            constant: pattern.constant,
            once: pattern.once,
        })
    }

    fn number(&mut self, path: &str) -> Result<usize, PatternError> {
        if let Some(number) = self.texts.iter().position(|other| other == path) {
            return Ok(number);
        }
        if self.texts.len() == search::MAX_PATHS {
            return Err(PatternError::TooManyPaths);
        }
        self.texts.push(path.to_owned());
        self.paths.push(Path::new(path));
        Ok(self.texts.len() - 1)
    }

    pub(super) fn scan<'a>(&self, text: &'a [u8]) -> Option<Scanned<'a>> {
        Some(Scanned { text, spans: search::find(text, &self.paths)? })
    }
}

impl<'a> Scanned<'a> {
    pub(super) fn first<'b>(&self, patterns: &'b [Compiled]) -> Option<&'b Compiled> {
        self.position(patterns).map(|position| &patterns[position])
    }

    pub(super) fn position(&self, patterns: &[Compiled]) -> Option<usize> {
        let holds = |(path, test): &(usize, Test)| test.holds(self.token(*path));
        patterns.iter().position(|pattern| pattern.when.iter().all(holds))
    }

    pub(super) fn span(&self, path: usize) -> Option<std::ops::Range<usize>> {
        self.spans[path].clone()
    }

    pub(super) fn token(&self, path: usize) -> Option<&'a [u8]> {
        self.span(path).map(|span| &self.text[span])
    }

    pub(super) fn is_resumed(&self, pattern: &Compiled) -> bool {
        pattern.resumed.as_ref().is_some_and(|(path, test)| test.holds(self.token(*path)))
    }
}
