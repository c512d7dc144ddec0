//! Messages to data and data to messages: processors and codec of one side, put together. The only room
//! that knows both wire messages and event data.

use bytestring::ByteString;

use crate::{
    codec::Codec,
    event::Data,
    processor::{Postprocessors, Preprocessors},
    settings::Format,
    wire::Message,
};

/// From the wire: one message in, the data of any number of events out, one at a time.
pub struct Inbound {
    codec: &'static dyn Codec,
    preprocessors: Preprocessors,
    binary: bool,
}

/// To the wire: the data of one event in, any number of messages out.
pub struct Outbound {
    codec: &'static dyn Codec,
    postprocessors: Postprocessors,
}

impl Inbound {
    /// The way in of one connection.
    pub fn new(format: &Format) -> Self {
        Self { codec: format.codec, preprocessors: Preprocessors::new(&format.preprocessors), binary: false }
    }

    /// Takes a message. Ask [`Inbound::next`] until there is nothing more before the next one.
    pub fn feed(&mut self, message: Message) {
        self.binary = message.is_binary();
        self.preprocessors.feed(message.into_bytes());
    }

    /// The data of the next event; `None` when another message is needed.
    ///
    /// # Errors
    /// What preprocessors or codec say of bytes they cannot read; it stands in the place of one event.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: feed and ask again")]
    pub fn next(&mut self) -> Option<Result<Data, String>> {
        let chunk = self.preprocessors.next()?;
        Some(match chunk {
            Ok(chunk) => self.codec.decode(chunk).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Whether the message that was fed last was a binary one.
    pub fn is_binary(&self) -> bool {
        self.binary
    }
}

impl Outbound {
    /// The way out of one connection.
    pub fn new(format: &Format) -> Self {
        Self { codec: format.codec, postprocessors: Postprocessors::new(&format.postprocessors) }
    }

    /// The messages that the data becomes, binary or text as asked. Takes the data, so that a payload
    /// nobody else holds need not be copied further on.
    ///
    /// # Errors
    /// What codec or postprocessors say of data they cannot write, or that it is no text.
    pub fn encode(&mut self, data: Data, binary: bool) -> Result<Vec<Message>, String> {
        let chunk = self.codec.encode(&data).map_err(|error| error.to_string())?;
        drop(data);
        let mut chunks = Vec::with_capacity(1);
        self.postprocessors.process(chunk, &mut chunks).map_err(|error| error.to_string())?;
        chunks
            .into_iter()
            .map(|chunk| match binary {
                true => Ok(Message::Binary(chunk)),
                false => ByteString::try_from(chunk)
                    .map(Message::Text)
                    .map_err(|error| format!("{error} of a text message ($binary is false)")),
            })
            .collect()
    }
}
