//! Messages to data and data to messages: processors and codec of one side, put together. The only room
//! that knows both wire messages and event data.

use bytes::Bytes;

use crate::{
    codec::{self, Codec},
    event::Data,
    processor::{Postprocessors, Preprocessors},
    settings::Format,
    wire::Message,
};

/// From the wire: one message in, the data of any number of events out, one at a time.
pub struct Inbound {
    codec: &'static dyn Codec,
    /// None: a message is one event.
    preprocessors: Option<Preprocessors>,
    passing: Option<Message>,
    binary: bool,
}

/// To the wire: the data of one event in, any number of messages out.
pub struct Outbound {
    codec: &'static dyn Codec,
    /// None: an event is one message.
    postprocessors: Option<Postprocessors>,
}

impl Inbound {
    /// The way in of one connection.
    pub fn new(format: &Format) -> Self {
        let specs = &format.preprocessors;
        let preprocessors = (!specs.is_empty()).then(|| Preprocessors::new(specs));
        Self { codec: format.codec, preprocessors, passing: None, binary: false }
    }

    /// Takes a message. Ask [`Inbound::next`] until there is nothing more before the next one.
    pub fn feed(&mut self, message: Message) {
        self.binary = message.is_binary();
        match &mut self.preprocessors {
            Some(preprocessors) => preprocessors.feed(message.into_bytes()),
            None => self.passing = Some(message),
        }
    }

    /// The data of the next event; `None` when another message is needed.
    ///
    /// # Errors
    /// What preprocessors or codec say of bytes they cannot read; it stands in the place of one event.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: feed and ask again")]
    pub fn next(&mut self) -> Option<Result<Data, String>> {
        let decoded = match &mut self.preprocessors {
            Some(preprocessors) => match preprocessors.next()? {
                Ok(chunk) => self.codec.decode(chunk),
                Err(error) => return Some(Err(error.to_string())),
            },
            None => match self.passing.take()? {
                Message::Text(text) => self.codec.decode_text(text),
                Message::Binary(bytes) => self.codec.decode(bytes),
            },
        };
        Some(decoded.map_err(|error| error.to_string()))
    }

    /// Bytes held of messages that are no events yet.
    pub fn held(&self) -> usize {
        let passing = self.passing.as_ref().map_or(0, Message::len);
        passing + self.preprocessors.as_ref().map_or(0, Preprocessors::held)
    }

    /// Whether the message that was fed last was a binary one.
    pub fn is_binary(&self) -> bool {
        self.binary
    }
}

impl Outbound {
    /// The way out of one connection.
    pub fn new(format: &Format) -> Self {
        let specs = &format.postprocessors;
        let postprocessors = (!specs.is_empty()).then(|| Postprocessors::new(specs));
        Self { codec: format.codec, postprocessors }
    }

    /// Appends the messages that the data becomes, binary or text as asked. Takes the data, so that a
    /// payload nobody else holds need not be copied further on.
    ///
    /// # Errors
    /// What codec or postprocessors say of data they cannot write, or that it is no text; then `messages`
    /// is as it was.
    pub fn encode(&mut self, data: Data, binary: bool, messages: &mut Vec<Message>) -> Result<(), String> {
        // One is the rule; the usual first growth to four would stay with every idle session.
        messages.reserve_exact(1);
        let Some(postprocessors) = &mut self.postprocessors else {
            let encoded = match binary {
                true => self.codec.encode(data).map(Message::Binary),
                false => self.codec.encode_text(data).map(Message::Text),
            };
            messages.push(encoded.map_err(|error| error.to_string())?);
            return Ok(());
        };
        let chunk = self.codec.encode(data).map_err(|error| error.to_string())?;
        let mut chunks = Vec::with_capacity(1);
        postprocessors.process(chunk, &mut chunks).map_err(|error| error.to_string())?;
        let before = messages.len();
        for chunk in chunks {
            match message(chunk, binary) {
                Ok(message) => messages.push(message),
                Err(words) => {
                    messages.truncate(before);
                    return Err(words);
                }
            }
        }
        Ok(())
    }
}

fn message(chunk: Bytes, binary: bool) -> Result<Message, String> {
    match binary {
        true => Ok(Message::Binary(chunk)),
        false => codec::text_of(chunk).map(Message::Text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec, event::Value, processor::Spec};

    fn format(name: &str, lines: bool) -> Format {
        let specs = || if lines { vec![Spec::Lines { buffered: false }] } else { Vec::new() };
        Format { codec: codec::lookup(name).unwrap(), preprocessors: specs(), postprocessors: specs() }
    }

    fn decoded(format: &Format, message: Message) -> Vec<Result<String, String>> {
        let mut inbound = Inbound::new(format);
        inbound.feed(message);
        std::iter::from_fn(|| inbound.next())
            .map(|data| data.map(|data| data.into_value().to_json()))
            .collect()
    }

    #[test]
    fn a_message_of_lines_is_an_event_a_line() {
        let got = decoded(&format("string", true), Message::Text("a\nb\n".into()));
        assert_eq!(got, [Ok("\"a\"".to_owned()), Ok("\"b\"".to_owned())]);
    }

    #[test]
    fn what_cannot_be_decoded_stands_in_its_place() {
        let got = decoded(&format("json", true), Message::Text("1\n{\n2".into()));
        assert!(matches!(&got[..], [Ok(_), Err(_), Ok(_)]), "{got:?}");
        let bytes = Message::Binary(Bytes::from_static(b"\xff"));
        let expected = "invalid utf-8 sequence of 1 bytes from index 0".to_owned();
        assert_eq!(decoded(&format("string", false), bytes), [Err(expected)]);
    }

    #[test]
    fn bytes_that_are_no_text_go_out_as_binary_only() {
        let mut outbound = Outbound::new(&format("binary", true));
        let data = || Data::from(Value::Bytes(Bytes::from_static(b"\xff")));
        let mut messages = Vec::new();
        assert!(outbound.encode(data(), false, &mut messages).is_err());
        assert!(messages.is_empty());
        outbound.encode(data(), true, &mut messages).unwrap();
        assert_eq!(messages, [Message::Binary(Bytes::from_static(b"\xff\n"))]);
    }
}
