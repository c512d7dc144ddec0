//! Packets from WebSocket messages: a message may have several packets, and a packet may span several messages (MQTT,
//! section 6).

use bytes::{Bytes, BytesMut};

use super::packet::{self, Malformed};

/// The unfinished packet of one direction.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    unfinished: BytesMut,
}

impl Assembler {
    /// The packets that `payload` completes, without a copy where it contains them whole.
    ///
    /// # Errors
    /// When a packet is longer than `limit`, or its length is malformed.
    pub(super) fn push(&mut self, payload: &Bytes, limit: usize) -> Result<Vec<Bytes>, Malformed> {
        if !self.unfinished.is_empty() {
            self.unfinished.extend_from_slice(payload);
            let mut packets = Vec::new();
            while let Some(length) = complete(&self.unfinished, limit)? {
                packets.push(self.unfinished.split_to(length).freeze());
            }
            if self.unfinished.is_empty() {
                self.unfinished = BytesMut::new();
            }
            return Ok(packets);
        }
        let (mut rest, mut packets) = (payload.clone(), Vec::new());
        while let Some(length) = complete(&rest, limit)? {
            packets.push(rest.split_to(length));
        }
        self.unfinished.extend_from_slice(&rest);
        Ok(packets)
    }

    pub(super) fn clear(&mut self) {
        self.unfinished = BytesMut::new();
    }

    pub(super) fn bytes(&self) -> usize {
        self.unfinished.len()
    }
}

/// The length of the first packet, once it is complete.
fn complete(bytes: &[u8], limit: usize) -> Result<Option<usize>, Malformed> {
    match packet::packet_length(bytes)? {
        Some(length) if length > limit => Err("an MQTT packet exceeds the limit of a message"),
        length => Ok(length.filter(|length| *length <= bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Wherever messages end, the packets are the same.
        #[test]
        fn packets_do_not_depend_on_messages(bodies in vec(vec(any::<u8>(), 0..300), 0..6), cuts in vec(1..40_usize, 1..20)) {
            let packets: Vec<Bytes> = bodies.iter().map(|body| packet::publish_of(body)).collect();
            let mut stream = Bytes::from(packets.concat());
            let mut assembler = Assembler::default();
            let mut found = Vec::new();
            for cut in cuts.into_iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                found.extend(assembler.push(&stream.split_to(cut.min(stream.len())), 1000).unwrap());
            }
            prop_assert_eq!(found, packets);
            prop_assert_eq!(assembler.bytes(), 0);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(messages in vec(vec(any::<u8>(), 0..30), 0..6), is_v5: bool) {
            let mut assembler = Assembler::default();
            for message in messages {
                let Ok(packets) = assembler.push(&message.into(), 40) else { break };
                prop_assert!(assembler.bytes() <= 70);
                for packet in packets {
                    let _ = packet::read(&packet, is_v5);
                    let _ = packet::without_aliases(&packet);
                }
            }
        }

        /// Packets of every kind whose length is right and whose content is random.
        #[test]
        fn no_content_makes_the_parser_panic(first: u8, body in vec(any::<u8>(), 0..40), is_v5: bool) {
            let packet = Bytes::from([&[first, body.len() as u8][..], &body].concat());
            let _ = packet::read(&packet, is_v5);
            let _ = packet::without_aliases(&packet);
        }
    }
}
