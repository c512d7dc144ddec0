//! The rule by which a client's message renews its credential.

use super::{Secret, credential};
use crate::event::{Data, Value};

/// A message renews the client's credential if it is a JSON object that has `value` at `path`. The new credential is the
/// text at `token`.
///
/// ```json
/// {"type":"auth.renew","token":"eyJhbGciOi…"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRule {
    /// The path of the value by which the message is recognised, such as `type`.
    pub path: Box<[String]>,
    /// The text that the message has there.
    pub value: String,
    /// The path of the credential.
    pub token: Box<[String]>,
}

/// A message that renews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalMessage {
    /// The new credential; `None` if the message has none, or a text that cannot be one.
    pub secret: Option<Secret>,
}

// === impl RenewalRule ===

impl RenewalRule {
    /// The message as one that renews; `None` if it is any other. A text and binary data are read as JSON.
    pub fn recognise(&self, data: &Data) -> Option<RenewalMessage> {
        let value = match data {
            Data::Json(text) => self.may_match(text.as_text()).then(|| data.to_value())?,
            Data::Value(Value::String(text)) => self.parsed(text)?,
            // A client that sends all its messages as binary must not send its credential to the upstream.
            Data::Value(Value::Bytes(bytes)) => self.parsed(str::from_utf8(bytes).ok()?)?,
            Data::Value(value @ Value::Record(_)) => value.clone(),
            Data::Value(_) => return None,
        };
        if at(&value, &self.path)?.as_str() != Some(&self.value) {
            return None;
        }
        let secret = at(&value, &self.token).and_then(Value::as_str);
        Some(RenewalMessage { secret: secret.and_then(credential::renewed) })
    }

    fn parsed(&self, text: &str) -> Option<Value> {
        self.may_match(text).then(|| Value::from_json(text).ok()).flatten()
    }

    /// Whether a JSON text may have the value, so that most messages are not parsed. A text with escapes may spell it in
    /// another way.
    fn may_match(&self, text: &str) -> bool {
        text.contains(&self.value) || text.contains('\\')
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> RenewalRule {
        let path = |text: &str| text.split('.').map(str::to_owned).collect();
        RenewalRule { path: path("type"), value: "auth.renew".to_owned(), token: path("auth.token") }
    }

    fn found(text: &str) -> Option<Option<String>> {
        let forms = [
            Some(Data::from(Value::string(text))),
            Some(Data::from(Value::Bytes(text.as_bytes().to_vec().into()))),
            Data::json(text.into()).ok(),
            Value::from_json(text).ok().map(Data::from),
        ];
        let mut found = forms.iter().flatten().map(|data| {
            rule().recognise(data).map(|message| message.secret.map(|secret| secret.expose().to_owned()))
        });
        let first = found.next().unwrap();
        assert!(found.all(|other| other == first), "all forms are the same message: {text}");
        first
    }

    #[test]
    fn a_message_with_the_value_renews() {
        let token = |text: &str| Some(Some(text.to_owned()));
        for (text, expected) in [
            (r#"{"type":"auth.renew","auth":{"token":"t"}}"#, token("t")),
            (r#"{"auth": {"token": "t"}, "type": "auth.renew", "other": [1]}"#, token("t")),
            (r#"{"type":"auth\u002erenew","auth":{"token":"t"}}"#, token("t")),
            (r#"{"type":"auth.renew"}"#, Some(None)),
            (r#"{"type":"auth.renew","auth":{"token":""}}"#, Some(None)),
            (r#"{"type":"auth.renew","auth":{"token":7}}"#, Some(None)),
            (r#"{"type":"auth.renew","auth":null}"#, Some(None)),
            (r#"{"type":"auth.renew","auth":{"token":"a\nb"}}"#, Some(None)),
            (r#"{"type":"auth.renew","auth":{"token":"ä"}}"#, Some(None)),
            (r#"{"type":"auth.renewed","auth":{"token":"t"}}"#, None),
            (r#"{"type":["auth.renew"],"auth":{"token":"t"}}"#, None),
            (r#"{"kind":"auth.renew","auth":{"token":"t"}}"#, None),
            (r#"["auth.renew"]"#, None),
            (r#""auth.renew""#, None),
            ("auth.renew", None),
            (r#"{"type":"auth.renew""#, None),
            ("", None),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        assert_eq!(rule().recognise(&Data::from(Value::Bytes([0xff, b'{'][..].into()))), None);
    }

    #[test]
    fn a_credential_that_is_too_long_is_none() {
        use super::super::CREDENTIAL_MAX;
        let text =
            |length: usize| format!(r#"{{"type":"auth.renew","auth":{{"token":"{}"}}}}"#, "x".repeat(length));
        assert!(found(&text(CREDENTIAL_MAX)).unwrap().is_some());
        assert_eq!(found(&text(CREDENTIAL_MAX + 1)), Some(None));
    }

    #[test]
    fn no_form_of_a_message_shows_the_credential() {
        let data = Data::from(Value::string(r#"{"type":"auth.renew","auth":{"token":"hunter2"}}"#));
        assert!(!format!("{:?}", rule().recognise(&data)).contains("hunter2"));
    }
}
