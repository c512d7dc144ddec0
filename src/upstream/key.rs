//! The value that selects the endpoint of a session with `balance = "hash"`.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use tokio::sync::Notify;

use super::balance::hash;
use crate::event::{Data, Value};

/// The hash that selects the endpoint of a session; `None` if nothing selects it. Clones share it.
#[derive(Clone)]
pub struct SessionKey(Option<Rc<Shared>>);

struct Shared {
    /// The hash; `Some(None)` if the client's request or first message does not have the value.
    key: OnceCell<Option<u64>>,
    /// The path of the value in the client's first message; `None` if the request has it.
    path: Option<Arc<[String]>>,
    /// Wakes the dial that waits for the first message.
    taken: Notify,
}

impl SessionKey {
    /// A key that the client's request determines.
    pub fn known(key: Option<u64>) -> Self {
        let shared = |key| Shared { key: OnceCell::from(Some(key)), path: None, taken: Notify::new() };
        Self(key.map(|key| Rc::new(shared(key))))
    }

    /// A key that is the value at this path of the client's first message; the whole message if the path is empty.
    pub fn of_first_message(path: Arc<[String]>) -> Self {
        Self(Some(Rc::new(Shared { key: OnceCell::new(), path: Some(path), taken: Notify::new() })))
    }

    /// The hash; `None` if the client has not sent the value.
    pub fn get(&self) -> Option<u64> {
        self.0.as_ref()?.key.get().copied().flatten()
    }

    /// Whether the client's first message will determine it.
    pub fn is_awaited(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.key.get().is_none())
    }

    /// Takes the client's first message. Later messages have no effect.
    pub fn take(&self, data: &Data) {
        let Some(shared) = &self.0 else { return };
        let path = shared.path.as_deref().unwrap_or_default();
        if shared.key.set(hash_of(data, path)).is_ok() {
            shared.taken.notify_one();
        }
    }

    /// Resolves when the key is determined. One dial of the session waits at a time.
    pub async fn wait(&self) {
        let Some(shared) = &self.0 else { return };
        while self.is_awaited() {
            shared.taken.notified().await;
        }
    }
}

/// The hash of the value at a path; `None` if there is none or it is null. A text is read as JSON.
fn hash_of(data: &Data, path: &[String]) -> Option<u64> {
    let value = match data.to_value() {
        Value::String(text) if !path.is_empty() => Value::from_json(&text).ok()?,
        value => value,
    };
    let found = path.iter().try_fold(&value, |value, key| value.get(key))?;
    match found {
        Value::Null => None,
        Value::String(text) => Some(hash(text.as_bytes())),
        other => Some(hash(other.to_json().as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Arc<[String]> {
        text.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn the_value_is_found_in_text_and_in_json() {
        let text = r#"{"params": {"room": "lobby", "id": 7, "none": null}}"#;
        let forms = [
            Data::from(Value::string(text)),
            Data::json(text.into()).unwrap(),
            Value::from_json(text).unwrap().into(),
        ];
        for data in &forms {
            for (path_text, value) in [
                ("params.room", Some("lobby")),
                ("params.id", Some("7")),
                ("params.none", None),
                ("params.other", None),
                ("params.room.deeper", None),
            ] {
                assert_eq!(
                    hash_of(data, &path(path_text)),
                    value.map(|value| hash(value.as_bytes())),
                    "{path_text}"
                );
            }
        }
        assert_eq!(hash_of(&forms[0], &[]), Some(hash(text.as_bytes())), "the whole message");
        assert_eq!(hash_of(&Data::from(Value::string("no JSON")), &path("a")), None);
    }

    #[actix::test]
    async fn the_first_message_decides_and_wakes_the_dial() {
        let key = SessionKey::of_first_message(path("a"));
        let waiting = actix_rt::spawn({
            let key = key.clone();
            async move {
                key.wait().await;
                key.get()
            }
        });
        tokio::task::yield_now().await;
        assert!(key.is_awaited() && key.get().is_none());
        key.take(&Data::from(Value::string(r#"{"a": "x"}"#)));
        key.take(&Data::from(Value::string(r#"{"a": "y"}"#)));
        assert_eq!(waiting.await.unwrap(), Some(hash(b"x")));
        key.wait().await;
        let known = SessionKey::known(None);
        known.take(&Data::from(Value::string("x")));
        known.wait().await;
        assert_eq!(known.get(), None, "the request decided");
    }
}
