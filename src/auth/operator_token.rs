//! The token that an operator sends with an action to the admin server.

use super::Secret;

/// Minimum length of a token, in bytes. A random token of this length cannot be guessed.
const TOKEN_MIN: usize = 16;

/// Maximum length of a token, in bytes. It fits into a header.
const TOKEN_MAX: usize = 512;

/// Permissions of users who are neither the owner of a file nor in its group.
const OTHERS: u32 = 0o007;

/// Why a file does not have a usable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperatorTokenError {
    /// Every user of the machine may use the file. The number is its mode.
    #[error(
        "every user of the machine may use the file (mode {0:04o}); allowed: no permissions for others, as after \
         chmod o= FILE"
    )]
    Shared(u32),
    /// The file has nothing but spaces and line ends.
    #[error("the file is empty; allowed: one token of {TOKEN_MIN} to {TOKEN_MAX} characters")]
    Empty,
    /// The token has this many characters.
    #[error("the token has {0} characters; allowed: {TOKEN_MIN} to {TOKEN_MAX}")]
    Length(usize),
    /// The token has characters that a header cannot carry.
    #[error("the token has a space, a line end or another character that is not visible ASCII")]
    Characters,
}

/// Reads the token in the text of a file with these permissions. Spaces and line ends around the token are ignored.
///
/// # Errors
/// When the file has no token, more than one, or a short one, or when every user may use the file.
pub fn parse(text: &str, mode: u32) -> Result<Secret, OperatorTokenError> {
    if mode & OTHERS != 0 {
        return Err(OperatorTokenError::Shared(mode & 0o7777));
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(OperatorTokenError::Empty);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(OperatorTokenError::Characters);
    }
    match (TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) {
        true => Ok(Secret::from(token)),
        false => Err(OperatorTokenError::Length(token.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn the_token_is_the_text_without_outer_spaces() {
        for text in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!(" {TOKEN}\r\n\n")] {
            assert_eq!(parse(&text, 0o100_640).unwrap().expose(), TOKEN);
        }
    }

    #[test]
    fn an_unusable_file_is_an_error_that_says_what_is_allowed() {
        let long = "a".repeat(TOKEN_MAX + 1);
        let table = [
            (TOKEN, 0o644, "(mode 0644); allowed: no permissions for others"),
            (TOKEN, 0o602, "(mode 0602)"),
            ("", 0o600, "empty; allowed: one token of 16 to 512 characters"),
            (" \n", 0o600, "empty"),
            ("0123456789abcde", 0o600, "15 characters; allowed: 16 to 512"),
            (&long, 0o600, "513 characters"),
            ("0123456789 abcdef", 0o600, "not visible ASCII"),
            ("0123456789abcdef\n0123456789abcdef", 0o600, "a line end"),
            ("0123456789abcdeä", 0o600, "not visible ASCII"),
        ];
        for (text, mode, expected) in table {
            let error = parse(text, mode).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains(TOKEN), "{error}");
        }
    }
}
