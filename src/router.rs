//! Selects the route of a request. Settings and listeners use the same rules.

use crate::path;

/// The requests that a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The listener's name; `None` matches all listeners.
    pub listener: Option<String>,
    /// A prefix of the request's path, which ends at a `/` or at the path's end: `/chat`.
    pub path: String,
}

/// Routes in order, each with a value: the first match wins.
#[derive(Debug)]
pub struct Router<T> {
    routes: Vec<(Pattern, T)>,
}

// === impl Pattern ===

impl Pattern {
    /// Whether the route matches a request to `listener` for `path`, which has no query.
    ///
    /// `/chat` matches `/chat`, `/chat/` and `/chat/room`, but not `/chatter`. `/chat/` matches only paths
    /// below it.
    ///
    /// ```
    /// # use towline::router::Pattern;
    /// let pattern = Pattern { listener: None, path: "/chat".to_owned() };
    /// assert!(pattern.matches("ws", "/%63hat/room"));
    /// assert!(!pattern.matches("ws", "/chatter"));
    /// ```
    pub fn matches(&self, listener: &str, path: &str) -> bool {
        self.serves(listener) && self.rest_of(path).is_some()
    }

    /// Whether the route matches any request to the listener.
    pub fn serves(&self, listener: &str) -> bool {
        self.listener.as_deref().is_none_or(|name| name == listener)
    }

    /// The part of a request's path after the route's path; `None` when the request is not at or below the
    /// route's path.
    pub fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let at_segment = |rest: &&str| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/');
        path::rest_after(&self.path, path).filter(at_segment)
    }
}

/// The patterns in `before` that together match everything `pattern` matches on these listeners, by position
/// from 0. `None` when a request can reach `pattern`.
///
/// # Correctness
/// A pattern that matches the path of another pattern, as a request's path, matches everything below that
/// path too. It is therefore enough to test that path.
pub fn hidden_by(pattern: &Pattern, before: &[&Pattern], listeners: &[&str]) -> Option<Vec<usize>> {
    let mut hiding = Vec::new();
    for listener in listeners.iter().filter(|listener| pattern.serves(listener)) {
        let position = before.iter().position(|earlier| earlier.matches(listener, &pattern.path))?;
        if !hiding.contains(&position) {
            hiding.push(position);
        }
    }
    (!hiding.is_empty()).then_some(hiding)
}

// === impl Router ===

impl<T> Router<T> {
    /// The number of routes.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.routes.len()
    }

    /// The value of the first route that matches the request; `None` if no route does.
    pub fn find(&self, listener: &str, path: &str) -> Option<&T> {
        self.routes.iter().find(|(pattern, _)| pattern.matches(listener, path)).map(|(_, value)| value)
    }
}

impl<T> FromIterator<(Pattern, T)> for Router<T> {
    fn from_iter<I: IntoIterator<Item = (Pattern, T)>>(routes: I) -> Self {
        Self { routes: routes.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(listener: Option<&str>, path: &str) -> Pattern {
        Pattern { listener: listener.map(str::to_owned), path: path.to_owned() }
    }

    #[test]
    fn the_first_match_wins() {
        let routes = [(Some("x"), "/a"), (None, "/a/b"), (None, "/a")];
        let routes = routes.map(|(listener, path)| route(listener, path));
        let router: Router<usize> = routes.into_iter().zip(0..).collect();
        for (listener, path, expected) in
            [("x", "/a/b", Some(0)), ("y", "/a/b", Some(1)), ("y", "/a", Some(2)), ("x", "/", None)]
        {
            assert_eq!(router.find(listener, path).copied(), expected, "{listener} {path}");
        }
    }

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
            assert_eq!(route(None, prefix).matches("ws", path), expected, "{prefix} {path}");
        }
        assert!(route(Some("ws"), "/").matches("ws", "/"));
        assert!(!route(Some("other"), "/").matches("ws", "/"));
    }

    /// Listener and path.
    type Parts = (Option<&'static str>, &'static str);
    /// The routes before, the route, and the positions of those that hide it.
    type Case = (&'static [Parts], Parts, Option<&'static [usize]>);

    #[test]
    fn routes_hide_later_ones() {
        let table: [Case; 8] = [
            (&[(None, "/")], (None, "/a"), Some(&[0])),
            (&[(None, "/a")], (None, "/"), None),
            (&[(None, "/a")], (None, "/ab"), None),
            (&[(Some("x"), "/")], (None, "/"), None),
            (&[(Some("x"), "/")], (Some("y"), "/"), None),
            (&[(Some("x"), "/"), (Some("y"), "/")], (None, "/a"), Some(&[0, 1])),
            (&[(None, "/a/")], (None, "/a"), None),
            (&[(None, "/a")], (None, "/a/"), Some(&[0])),
        ];
        for (before, (listener, path), expected) in table {
            let before: Vec<_> = before.iter().map(|(listener, path)| route(*listener, path)).collect();
            let before: Vec<_> = before.iter().collect();
            let hidden = hidden_by(&route(listener, path), &before, &["x", "y"]);
            assert_eq!(hidden.as_deref(), expected, "{listener:?} {path}");
        }
    }

    proptest! {
        #[test]
        fn a_route_that_matches_anything_first_is_not_hidden(
            before in prop::collection::vec("(/[ab]{0,2}){1,3}", 0..4), path in "(/[ab]{0,2}){1,3}",
            asked in "(/[ab]{0,2}){1,4}"
        ) {
            let before: Vec<_> = before.iter().map(|path| route(None, path)).collect();
            let last = route(None, &path);
            let taken = last.matches("x", &asked) && !before.iter().any(|earlier| earlier.matches("x", &asked));
            prop_assert!(!(taken && hidden_by(&last, &before.iter().collect::<Vec<_>>(), &["x"]).is_some()));
        }
    }
}
