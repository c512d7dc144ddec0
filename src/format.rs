//! Converts messages to data and data to messages: the processors and the codec of one side together. No
//! other module converts between the two.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    codec::{self, Codec},
    event::{Data, Meta, Record, Value},
    format_error::FormatError,
    processor::{Postprocessors, Preprocessors},
    settings::Format,
    wire::Message,
};

/// The decoder of one connection: converts a message to the data of any number of events, one at a time.
pub struct Inbound {
    codec: &'static dyn Codec,
    /// The preprocessors; `None` if a message is one event.
    preprocessors: Option<Box<Preprocessors>>,
    /// The message that was fed last; `None` once it is taken. Boxed, because an idle connection has none.
    passing: Option<Box<Message>>,
    binary: bool,
}

/// The encoder of one connection: converts the data of one event to any number of messages.
pub struct Outbound {
    codec: &'static dyn Codec,
    /// The postprocessors; `None` if an event is one message.
    postprocessors: Option<Box<Postprocessors>>,
}

impl Inbound {
    /// Creates the decoder of a connection.
    pub fn new(format: &Format) -> Self {
        let specs = &format.preprocessors;
        let preprocessors = (!specs.is_empty()).then(|| Box::new(Preprocessors::new(specs)));
        Self { codec: format.codec, preprocessors, passing: None, binary: false }
    }

    /// Starts decoding a message. Call [`Inbound::next`] until it returns `None` before the next message.
    pub fn feed(&mut self, message: Message) {
        self.binary = message.is_binary();
        match &mut self.preprocessors {
            Some(preprocessors) => preprocessors.feed(message.into_bytes()),
            None => self.passing = Some(Box::new(message)),
        }
    }

    /// Decodes a message at once if it is one event, because there are no preprocessors. Otherwise, this is the same as
    /// [`Inbound::feed`], and returns `None`.
    ///
    /// # Errors
    /// The same errors as [`Inbound::next`].
    pub fn decode(&mut self, message: Message) -> Option<Result<Data, FormatError>> {
        if self.preprocessors.is_some() {
            self.feed(message);
            return None;
        }
        self.binary = message.is_binary();
        Some(self.decoded(message))
    }

    /// Whether each message is one event with the same content.
    pub fn keeps_messages(&self) -> bool {
        self.preprocessors.is_none() && self.codec.keeps_messages()
    }

    /// Whether [`Inbound::next`] may return data. False between two messages that were decoded by [`Inbound::decode`].
    #[inline]
    pub fn has_input(&self) -> bool {
        self.passing.is_some() || self.preprocessors.is_some()
    }

    /// The data of the next event; `None` when another message is needed.
    ///
    /// # Errors
    /// When preprocessors or codec cannot decode the bytes. The error stands for one event.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: feed and ask again")]
    pub fn next(&mut self) -> Option<Result<Data, FormatError>> {
        let decoded = match &mut self.preprocessors {
            Some(preprocessors) => match preprocessors.next()? {
                Ok(chunk) => self.codec.decode_chunk(chunk, self.binary),
                Err(error) => return Some(Err(error)),
            },
            None => {
                let message = self.passing.take()?;
                self.decoded(*message)
            }
        };
        Some(decoded)
    }

    fn decoded(&self, message: Message) -> Result<Data, FormatError> {
        match message {
            Message::Text(text) => self.codec.decode_text(text),
            Message::Binary(bytes) => self.codec.decode(bytes),
        }
    }

    /// Marks the end of input, after the peer has closed. [`Inbound::next`] then returns incomplete input as
    /// events.
    pub fn finish(&mut self) {
        if let Some(preprocessors) = &mut self.preprocessors {
            preprocessors.finish();
        }
    }

    /// Drops incomplete input after the connection was lost. Returns the error to report for it; `None` if
    /// there was no input.
    pub fn abandon(&mut self) -> Option<FormatError> {
        self.preprocessors.as_mut()?.abandon()
    }

    /// Whether a message would begin or end within an event. Call it only before the message is fed.
    pub fn splits(&self, message: &Message) -> bool {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        self.preprocessors.as_ref().is_some_and(|preprocessors| preprocessors.splits(bytes))
    }

    /// Number of bytes held of messages that are not events yet.
    pub fn held(&self) -> usize {
        let passing = self.passing.as_ref().map_or(0, |message| message.len());
        passing + self.preprocessors.as_ref().map_or(0, |preprocessors| preprocessors.held())
    }

    /// Whether the last message was binary.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// The metadata for an event with this data from the last message. `rest` is the metadata besides
    /// `$binary`.
    pub fn meta(&self, data: &Data, rest: Option<Arc<Record>>) -> Meta {
        let meta = Meta::new(self.binary, rest);
        // Where codecs differ, the other side must not choose the message kind by the data's type.
        let is_bytes = matches!(data, Data::Value(Value::Bytes(_)));
        if is_bytes == self.binary { meta } else { meta.with_binary_set() }
    }
}

impl Outbound {
    /// Creates the encoder of a connection.
    pub fn new(format: &Format) -> Self {
        let specs = &format.postprocessors;
        let postprocessors = (!specs.is_empty()).then(|| Box::new(Postprocessors::new(specs)));
        Self { codec: format.codec, postprocessors }
    }

    /// Whether each event is one message, because there are no postprocessors.
    #[inline]
    pub fn encodes_one(&self) -> bool {
        self.postprocessors.is_none()
    }

    /// Whether an event made by a codec that keeps messages is one message with the same content.
    pub fn keeps_messages(&self) -> bool {
        self.postprocessors.is_none() && self.codec.keeps_messages()
    }

    /// The message for an event, without postprocessors. See [`Outbound::encode`].
    ///
    /// # Errors
    /// When the codec cannot encode the data, or a text message would not be UTF-8.
    pub fn encode_one(&self, data: Data, meta: &Meta) -> Result<Message, FormatError> {
        match self.codec.is_binary(&data, meta) {
            true => self.codec.encode(data).map(Message::Binary),
            false => self.codec.encode_text(data).map(Message::Text),
        }
    }

    /// Appends the messages for an event. The data is taken by value, so that an unshared payload is not
    /// copied later.
    ///
    /// # Errors
    /// When codec or postprocessors cannot encode the data, or a text message would not be UTF-8. `messages`
    /// is unchanged then.
    pub fn encode(
        &mut self,
        data: Data,
        meta: &Meta,
        messages: &mut Vec<Message>,
    ) -> Result<(), FormatError> {
        // Usually one; the default growth to four would stay allocated in every idle session.
        messages.reserve_exact(1);
        let Some(postprocessors) = &mut self.postprocessors else {
            messages.push(self.encode_one(data, meta)?);
            return Ok(());
        };
        let binary = self.codec.is_binary(&data, meta);
        let chunk = self.codec.encode(data)?;
        let mut chunks = Vec::with_capacity(1);
        postprocessors.process(chunk, &mut chunks)?;
        let before = messages.len();
        for chunk in chunks {
            match message(chunk, binary) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    messages.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

fn message(chunk: Bytes, binary: bool) -> Result<Message, FormatError> {
    match binary {
        true => Ok(Message::Binary(chunk)),
        false => codec::text_of(chunk).map(Message::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec, format_error::FormatErrorKind, processor::Spec};

    fn format(name: &str, lines: bool) -> Format {
        let specs = || if lines { vec![Spec::Lines { buffered: false }] } else { Vec::new() };
        Format { codec: codec::lookup(name).unwrap(), preprocessors: specs(), postprocessors: specs() }
    }

    fn decoded(format: &Format, message: Message) -> Vec<Result<String, FormatError>> {
        let mut inbound = Inbound::new(format);
        inbound.feed(message);
        std::iter::from_fn(|| inbound.next())
            .map(|data| data.map(|data| data.into_value().to_json()))
            .collect()
    }

    #[test]
    fn each_line_of_a_message_is_an_event() {
        let got = decoded(&format("string", true), Message::Text("a\nb\n".into()));
        assert_eq!(got, [Ok("\"a\"".to_owned()), Ok("\"b\"".to_owned())]);
    }

    #[test]
    fn an_error_has_the_position_of_its_chunk() {
        let got = decoded(&format("json", true), Message::Text("1\n{\n2".into()));
        assert!(matches!(&got[..], [Ok(_), Err(_), Ok(_)]), "{got:?}");
        let bytes = Message::Binary(Bytes::from_static(b"\xff"));
        let expected =
            FormatError::new(FormatErrorKind::NotUtf8, "invalid utf-8 sequence of 1 bytes from index 0");
        assert_eq!(decoded(&format("string", false), bytes), [Err(expected)]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_sent_as_binary_only() {
        let mut outbound = Outbound::new(&format("binary", true));
        let data = || Data::from(Value::Bytes(Bytes::from_static(b"\xff")));
        let mut messages = Vec::new();
        assert!(outbound.encode(data(), &Meta::new(false, None), &mut messages).is_err());
        assert!(messages.is_empty());
        outbound.encode(data(), &Meta::new(true, None), &mut messages).unwrap();
        assert_eq!(messages, [Message::Binary(Bytes::from_static(b"\xff\n"))]);
    }

    /// Converts a message from one format to another, through one event.
    fn passed(from: &str, to: &str, message: Message) -> Message {
        let mut inbound = Inbound::new(&format(from, false));
        inbound.feed(message);
        let data = inbound.next().unwrap().unwrap();
        let meta = inbound.meta(&data, None);
        let mut messages = Vec::new();
        Outbound::new(&format(to, false)).encode(data, &meta, &mut messages).unwrap();
        messages.remove(0)
    }

    #[test]
    fn the_kind_of_a_message_survives_every_pair_of_codecs() {
        for from in codec::names() {
            for to in codec::names().into_iter().filter(|to| *to != "json" || from == "json") {
                for message in [Message::Text("1".into()), Message::Binary(Bytes::from_static(b"1"))] {
                    assert_eq!(passed(from, to, message.clone()), message, "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn lines_have_the_kind_of_their_message() {
        let mut inbound = Inbound::new(&format("message", true));
        inbound.feed(Message::Binary(Bytes::from_static(b"\xff\n\xfe")));
        for line in [&b"\xff"[..], b"\xfe"] {
            let data = inbound.next().unwrap().unwrap();
            assert!(!inbound.meta(&data, None).is_binary_set());
            assert_eq!(data.into_value(), Value::Bytes(Bytes::from_static(line)));
        }
        assert!(inbound.next().is_none());
        inbound.feed(Message::Text("a".into()));
        assert_eq!(inbound.next().unwrap().unwrap().into_value(), Value::string("a"));
    }
}
