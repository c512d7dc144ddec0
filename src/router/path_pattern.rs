//! Paths that a route matches.

use regex::{Regex, RegexBuilder};

use super::PatternError;
use crate::path::{self, rest_after};

/// Maximum memory of a compiled expression, in bytes. Expressions of routes need a few KiB.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// The paths that a route matches, whatever their percent-encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// This path and all paths below it: `/chat` matches `/chat/room`. `/chat/` matches only paths below it.
    Prefix(String),
    /// This path only.
    Exact(String),
    /// All paths that match the expression as a whole, with unreserved characters decoded.
    Regex(PathRegex),
}

/// A regular expression for whole paths. Two are equal if their texts are.
#[derive(Debug, Clone)]
pub struct PathRegex {
    text: String,
    whole: Regex,
}

// === impl PathPattern ===

impl PathPattern {
    /// Parses the prefix of a path.
    ///
    /// # Errors
    /// When the text does not begin with `/`, has characters that a path does not have, or is not
    /// [canonical](path::canonical): no request could match.
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        if is_path(text) { Ok(Self::Prefix(text.to_owned())) } else { Err(PatternError::Prefix) }
    }

    /// Parses a whole path.
    ///
    /// # Errors
    /// When the text does not begin with `/`, has characters that a path does not have, or is not
    /// [canonical](path::canonical): no request could match.
    pub fn exact(text: &str) -> Result<Self, PatternError> {
        if is_path(text) { Ok(Self::Exact(text.to_owned())) } else { Err(PatternError::Exact) }
    }

    /// Parses a regular expression, which has to match the whole path.
    ///
    /// # Errors
    /// When the text is not a regular expression of the crate `regex`, or needs more than 256 KiB.
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        let compile = |text: &str| RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
        // The text alone first, because of texts such as `a)(b`.
        let whole = compile(text).and_then(|_| compile(&format!("^(?:{text})$")));
        let reason = |error: regex::Error| PatternError::Regex(first_words(&error));
        Ok(Self::Regex(PathRegex { text: text.to_owned(), whole: whole.map_err(reason)? }))
    }

    /// The part of a request's path after the route's path; `None` when the pattern does not match. It is
    /// empty for patterns of whole paths.
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Self::Prefix(prefix) => {
                let at_segment =
                    |rest: &&str| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/');
                rest_after(prefix, path).filter(at_segment)
            }
            Self::Exact(exact) => rest_after(exact, path).filter(|rest| rest.is_empty()),
            Self::Regex(regex) => regex.whole.is_match(&path::normal(path)).then_some(""),
        }
    }

    /// Whether the pattern certainly matches every path that `other` matches.
    ///
    /// # Correctness
    /// A prefix that matches the path of another prefix, as a request's path, matches everything below that
    /// path too. All paths that an exact pattern matches differ only in their encoding, which no pattern
    /// distinguishes. `/` matches every path. Two expressions are compared by their texts only.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(path)) => self.rest_of(path).is_some(),
            (Self::Prefix(_), Self::Prefix(path)) => self.rest_of(path).is_some(),
            (Self::Prefix(prefix), Self::Regex(_)) => prefix == "/",
            (Self::Regex(one), Self::Regex(other)) => one == other,
            (Self::Exact(_) | Self::Regex(_), _) => false,
        }
    }
}

/// Whether the text is a canonical path without a query.
fn is_path(text: &str) -> bool {
    let wrong = |letter: char| matches!(letter, '?' | '#' | '*') || !letter.is_ascii_graphic();
    text.starts_with('/') && !text.contains(wrong) && path::canonical(text) == Some(path::normal(text))
}

/// The reason in an error of the crate `regex`, without the lines that show the place.
fn first_words(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

// === impl PathRegex ===

impl PartialEq for PathRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathRegex {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_prefix_by_segments() {
        let table = [
            ("/", "/", true),
            ("/", "/a", true),
            ("/a", "/a", true),
            ("/a", "/a/", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a", "/", false),
            ("/a/", "/a/b", true),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a", "/A", false),
            ("/a", "/%61/b", true),
            ("/a/b", "/a%2Fb", false),
        ];
        for (prefix, path, expected) in table {
            assert_eq!(
                PathPattern::prefix(prefix).unwrap().rest_of(path).is_some(),
                expected,
                "{prefix} {path}"
            );
        }
    }

    /// A request for such a path belongs to the route of its canonical form, or is refused.
    #[test]
    fn a_path_that_is_not_canonical_is_no_pattern() {
        for text in
            ["//a", "/a//b", "/a;x", "/a%3bx", "/a%2Fb", "/a%5cb", "/a\\b", "/%2561", "/a%252Fb", "/a;%2F"]
        {
            assert_eq!(PathPattern::prefix(text), Err(PatternError::Prefix), "{text}");
            assert_eq!(PathPattern::exact(text), Err(PatternError::Exact), "{text}");
        }
        assert!(PathPattern::prefix("/%61%3a%25/").is_ok());
    }

    #[test]
    fn an_exact_path_has_nothing_below_it() {
        for (exact, path, expected) in [
            ("/a", "/a", Some("")),
            ("/a", "/%61", Some("")),
            ("/%7e", "/~", Some("")),
            ("/a", "/a/", None),
            ("/a", "/a/b", None),
            ("/a/", "/a", None),
            ("/a%3Ab", "/a%3ab", Some("")),
        ] {
            assert_eq!(PathPattern::exact(exact).unwrap().rest_of(path), expected, "{exact} {path}");
        }
    }

    #[test]
    fn an_expression_matches_the_whole_path() {
        for (text, path, expected) in [
            ("/rooms/[0-9]+", "/rooms/7", true),
            ("/rooms/[0-9]+", "/rooms/7/x", false),
            ("/rooms/[0-9]+", "/x/rooms/7", false),
            ("/rooms/[0-9]+", "/%72ooms/%37", true),
            ("/a|/b", "/b", true),
            ("/a|/b", "/ab", false),
            ("/a%2Fb", "/a%2fb", true),
            ("/a/b", "/a%2fb", false),
            ("(?i)/chat", "/CHAT", true),
        ] {
            assert_eq!(PathPattern::regex(text).unwrap().rest_of(path).is_some(), expected, "{text} {path}");
        }
        for text in ["(", "a)(b", "[", "/x{100000}", "(?x)/a # b"] {
            assert!(matches!(PathPattern::regex(text), Err(PatternError::Regex(_))), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_only_what_it_certainly_matches() {
        let prefix = |text| PathPattern::prefix(text).unwrap();
        let exact = |text| PathPattern::exact(text).unwrap();
        let regex = |text| PathPattern::regex(text).unwrap();
        for (wide, narrow, expected) in [
            (prefix("/a"), exact("/a/b"), true),
            (prefix("/a"), exact("/ab"), false),
            (prefix("/"), regex("/x+"), true),
            (prefix("/x"), regex("/x+"), false),
            (exact("/a"), exact("/%61"), true),
            (exact("/a"), prefix("/a"), false),
            (exact("/a"), regex("/a"), false),
            (regex("/[a-z]+"), exact("/%61b"), true),
            (regex("/[a-z]+"), exact("/1"), false),
            (regex("/.*"), prefix("/"), false),
            (regex("/.*"), regex("/.*"), true),
            (regex("/.*"), regex("/a"), false),
        ] {
            assert_eq!(wide.covers(&narrow), expected, "{wide:?} {narrow:?}");
        }
    }
}
