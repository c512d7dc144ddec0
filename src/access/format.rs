//! The format of the access log: `${peer} "${path}" ${code}`.

use super::field::Field;
use crate::placeholders;

/// Whether lines are text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The format with values in place of its placeholders.
    Text,
    /// An object with the fields that the format names.
    Json,
}

/// The format of an access line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFormat {
    style: Style,
    parts: Box<[Part]>,
}

/// A part of a format.
pub(super) type Part = placeholders::Part<Field>;

/// Why a text is not a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFormatError {
    /// A placeholder does not end.
    #[error("a placeholder such as ${{code}} ends with }}; write $${{ for ${{ itself")]
    Open,
    /// A placeholder names no field.
    #[error("there is no field ${{{name}}}; known: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// No placeholder.
    #[error("names no field; one is ${{session}}")]
    Empty,
}

// === impl LineFormat ===

impl LineFormat {
    /// Parses a text. `$${` produces a literal `${`; any other `$` is literal.
    ///
    /// # Errors
    /// When a placeholder names no field or does not end, and when there is none.
    pub fn parse(style: Style, text: &str) -> Result<Self, LineFormatError> {
        let field = |name: &str| Field::named(name).ok_or_else(|| unknown(name));
        let format = Self { style, parts: placeholders::parse(text, LineFormatError::Open, field)? };
        if format.fields().next().is_none() { Err(LineFormatError::Empty) } else { Ok(format) }
    }

    /// Whether lines are text or JSON.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The fields, in order. One that is named twice comes once.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        let all = || {
            self.parts.iter().filter_map(|part| match part {
                Part::Placeholder(field) => Some(field),
                Part::Text(_) => None,
            })
        };
        all()
            .enumerate()
            .filter(move |(at, field)| !all().take(*at).any(|earlier| earlier == *field))
            .map(|(_, field)| field)
    }
}

fn unknown(name: &str) -> LineFormatError {
    LineFormatError::Unknown { name: name.to_owned(), known: Field::names().collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_texts_and_fields() {
        let format = LineFormat::parse(Style::Text, "a $5 $${x} ${code}/${peer} ${code}").unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        let parts = [
            text("a $5 ${x} "),
            Part::Placeholder(Field::Code),
            text("/"),
            Part::Placeholder(Field::Peer),
            text(" "),
            Part::Placeholder(Field::Code),
        ];
        assert_eq!(format.parts(), parts);
        assert_eq!(format.fields().collect::<Vec<_>>(), [&Field::Code, &Field::Peer]);
    }

    #[test]
    fn a_text_that_is_no_format_is_refused() {
        assert_eq!(LineFormat::parse(Style::Text, "${code"), Err(LineFormatError::Open));
        assert_eq!(LineFormat::parse(Style::Json, "code"), Err(LineFormatError::Empty));
        let error = LineFormat::parse(Style::Text, "${cod}").unwrap_err().to_string();
        assert!(error.starts_with("there is no field ${cod}; known: opened, closed, session"), "{error}");
    }
}
