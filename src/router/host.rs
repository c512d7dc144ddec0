//! Hosts of requests and of origins, compared without case and without port.

use std::{borrow::Cow, net::Ipv6Addr};

use super::PatternError;

/// Maximum length of a host name (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

/// The hosts that a route matches. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// All hosts that end with this text, which begins with a dot, and have at least one label before it.
    Below(String),
}

// === impl HostPattern ===

impl HostPattern {
    /// Parses a name, an address, or a name after `*.`, which stands for one or more labels.
    ///
    /// ```
    /// # use towline::router::HostPattern;
    /// let pattern = HostPattern::parse("*.Example.com").unwrap();
    /// assert!(pattern.matches("a.b.example.com"));
    /// assert!(!pattern.matches("example.com"));
    /// assert!(HostPattern::parse("example.com:80").is_err());
    /// ```
    ///
    /// # Errors
    /// When the text has a port, a `*` elsewhere, or characters that a host name does not have.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix("*.") {
            Some(name) if is_name(name) => Ok(Self::Below(format!(".{name}"))),
            None if is_name(&lower) => Ok(Self::Exact(lower)),
            None if address(&lower).is_some() => Ok(Self::Exact(normal(&lower).into_owned())),
            _ => Err(PatternError::Host),
        }
    }

    /// Whether the pattern matches a host in lower case, without port and without a dot at the end.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
        }
    }

    /// Whether the pattern matches every host that `other` matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(end), Self::Below(longer)) => longer.ends_with(end.as_str()),
            (Self::Exact(_), Self::Below(_)) => false,
            (_, Self::Exact(name)) => self.matches(name),
        }
    }
}

/// The host of a `Host` header in the form that patterns are compared with: without port and without the dot
/// that ends an absolute name, in lower case, and an IPv6 address in its shortest form.
pub fn normal(host: &str) -> Cow<'_, str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_cut(name) => name,
        _ => host,
    };
    if let Some(address) = address(name) {
        return Cow::Owned(format!("[{address}]"));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// Whether the text is the beginning of an IPv6 address in brackets.
fn is_cut(text: &str) -> bool {
    text.starts_with('[') && !text.ends_with(']')
}

/// The IPv6 address in brackets.
fn address(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Whether the text is a host name or an IPv4 address, without the dot that ends an absolute name.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= NAME_MAX && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_port_case_and_last_dot() {
        for (host, expected) in [
            ("Chat.Example.COM:9139", "chat.example.com"),
            ("chat.example.com.", "chat.example.com"),
            ("chat.example.com.:80", "chat.example.com"),
            ("chat.example.com:", "chat.example.com"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("a:b", "a:b"),
            ("", ""),
        ] {
            assert_eq!(normal(host), expected, "{host}");
        }
    }

    #[test]
    fn a_star_stands_for_one_or_more_labels() {
        for (pattern, host, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "example.com.evil.test", false),
            ("EXAMPLE.com", "example.com", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("[0::1]", "[::1]", true),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn other_texts_are_no_hosts() {
        let long = format!("{}.com", "a".repeat(250));
        for text in [
            "",
            "*",
            "*.",
            "a.*",
            "*a.com",
            "a..b",
            ".a",
            "a.",
            "a:80",
            "https://a",
            "a/b",
            "a b",
            "[::1",
            "b\u{fc}.de",
            &long,
        ] {
            assert_eq!(HostPattern::parse(text), Err(PatternError::Host), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_those_below_it() {
        for (wide, narrow, expected) in [
            ("*.a.b", "x.a.b", true),
            ("*.a.b", "*.x.a.b", true),
            ("*.a.b", "*.a.b", true),
            ("*.x.a.b", "*.a.b", false),
            ("*.a.b", "a.b", false),
            ("x.a.b", "*.a.b", false),
            ("a.b", "a.b", true),
        ] {
            let covers = HostPattern::parse(wide).unwrap().covers(&HostPattern::parse(narrow).unwrap());
            assert_eq!(covers, expected, "{wide} {narrow}");
        }
    }
}
