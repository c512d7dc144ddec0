//! MQTT control packets, as far as the journal reads them (MQTT 3.1.1 and 5.0, sections 2 and 3).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::outcome::Message;

/// The first byte of packets that the journal writes: kind and flags (section 2.1).
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xa2;
const UNSUBACK: u8 = 0xb0;
const PINGRESP: u8 = 0xd0;

/// The protocol level of MQTT 5 in CONNECT (5.0, section 3.1.2.2).
const LEVEL_5: u8 = 5;

/// Property identifiers (5.0, section 2.2.2.2).
const SESSION_EXPIRY_INTERVAL: u32 = 0x11;
const TOPIC_ALIAS_MAXIMUM: u32 = 0x22;

/// Unspecified error (5.0, section 2.4); the only failure of a SUBACK in 3.1.1.
pub(super) const FAILURE: u8 = 0x80;

/// A parsed packet.
#[derive(Debug)]
pub(super) enum Packet {
    Connect(Connect),
    Connack {
        session_present: bool,
        code: u8,
    },
    Publish {
        qos: u8,
        id: u16,
    },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack {
        kind: Ack,
        id: u16,
        code: u8,
    },
    Subscribe(Subscribe),
    Suback {
        id: u16,
        codes: Bytes,
    },
    Unsubscribe {
        id: u16,
        filters: Box<[Bytes]>,
    },
    Unsuback {
        id: u16,
    },
    Disconnect {
        code: u8,
    },
    Auth,
    /// PINGREQ, PINGRESP.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) is_v5: bool,
    /// The session at the broker ends with the connection.
    pub(super) is_clean: bool,
    /// The place of the connect flags in the packet.
    pub(super) flags_at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscribe {
    pub(super) id: u16,
    /// Length and properties; empty in 3.1.1.
    pub(super) properties: Bytes,
    /// Each topic filter, with its options.
    pub(super) filters: Box<[(Bytes, u8)]>,
}

/// Why bytes are not a valid MQTT packet.
pub(super) type Malformed = &'static str;

const TRUNCATED: Malformed = "an MQTT packet is shorter than its content";

/// Reads a complete `packet`.
pub(super) fn read(packet: &Bytes, is_v5: bool) -> Result<Packet, Malformed> {
    let (first, start) = (packet[0], header_length(packet));
    let mut body = packet.slice(start..);
    Ok(match first >> 4 {
        1 => Packet::Connect(connect(body, start)?),
        2 => {
            let (flags, code) = (take_u8(&mut body)?, take_u8(&mut body)?);
            Packet::Connack { session_present: flags & 1 == 1, code }
        }
        3 => publish(first, body)?,
        kind @ 4..=7 => {
            let kind = [Ack::Puback, Ack::Pubrec, Ack::Pubrel, Ack::Pubcomp][usize::from(kind) - 4];
            let id = take_u16(&mut body)?;
            Packet::Ack { kind, id, code: body.first().copied().unwrap_or_default() }
        }
        8 => Packet::Subscribe(subscribe(body, is_v5)?),
        9 => {
            let id = take_u16(&mut body)?;
            take_properties(&mut body, is_v5)?;
            Packet::Suback { id, codes: body }
        }
        10 => {
            let id = take_u16(&mut body)?;
            take_properties(&mut body, is_v5)?;
            let mut filters = Vec::new();
            while !body.is_empty() {
                filters.push(take_string(&mut body)?);
            }
            Packet::Unsubscribe { id, filters: filters.into() }
        }
        11 => Packet::Unsuback { id: take_u16(&mut body)? },
        14 => Packet::Disconnect { code: body.first().copied().unwrap_or_default() },
        15 => Packet::Auth,
        12 | 13 => Packet::Other,
        _ => return Err("an MQTT packet has the reserved type 0"),
    })
}

/// Section 3.1: protocol name, level, flags, keep alive, properties.
fn connect(mut body: Bytes, start: usize) -> Result<Connect, Malformed> {
    let name = take_string(&mut body)?;
    let level = take_u8(&mut body)?;
    let flags = take_u8(&mut body)?;
    take_u16(&mut body)?;
    let is_v5 = level == LEVEL_5;
    let mut properties = take_properties(&mut body, is_v5)?;
    let is_kept = is_v5 && expiry(&mut properties) > 0;
    let is_clean = !is_kept && (is_v5 || flags & 2 != 0);
    Ok(Connect { is_v5, is_clean, flags_at: start + 2 + name.len() + 1 })
}

/// The session expiry interval, 0 when absent. It is found without a table of all properties, because CONNECT has
/// few that come before it: each is skipped by its type (5.0, section 2.2.2.2).
fn expiry(properties: &mut Bytes) -> u32 {
    find_property(properties, SESSION_EXPIRY_INTERVAL)
        .map_or(0, |mut value| value.try_get_u32().unwrap_or_default())
}

/// The bytes from the value of property `wanted`; `properties` begins with their length.
fn find_property(properties: &mut Bytes, wanted: u32) -> Option<Bytes> {
    take_varint(properties).ok()?;
    while !properties.is_empty() {
        let identifier = take_varint(properties).ok()?;
        if identifier == wanted {
            return Some(properties.clone());
        }
        let length = match identifier {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => 1,
            0x13 | 0x21..=0x23 => 2,
            0x02 | 0x11 | 0x18 | 0x27 => 4,
            0x0b => {
                take_varint(properties).ok()?;
                0
            }
            0x26 => {
                take_string(properties).ok()?;
                take_string(properties).ok()?;
                0
            }
            _ => {
                take_string(properties).ok()?;
                0
            }
        };
        properties.try_advance(length)?;
    }
    None
}

trait TryAdvance {
    fn try_advance(&mut self, length: usize) -> Option<()>;
}

impl TryAdvance for Bytes {
    fn try_advance(&mut self, length: usize) -> Option<()> {
        (length <= self.len()).then(|| self.advance(length))
    }
}

fn publish(first: u8, mut body: Bytes) -> Result<Packet, Malformed> {
    let qos = first >> 1 & 3;
    take_string(&mut body)?;
    let id = if qos > 0 { take_u16(&mut body)? } else { 0 };
    Ok(Packet::Publish { qos, id })
}

fn subscribe(mut body: Bytes, is_v5: bool) -> Result<Subscribe, Malformed> {
    let id = take_u16(&mut body)?;
    let properties = take_properties(&mut body, is_v5)?;
    let mut filters = Vec::new();
    while !body.is_empty() {
        let filter = take_string(&mut body)?;
        filters.push((filter, take_u8(&mut body)?));
    }
    Ok(Subscribe { id, properties, filters: filters.into() })
}

fn take_u8(body: &mut Bytes) -> Result<u8, Malformed> {
    body.try_get_u8().map_err(|_| TRUNCATED)
}

fn take_u16(body: &mut Bytes) -> Result<u16, Malformed> {
    body.try_get_u16().map_err(|_| TRUNCATED)
}

fn take_string(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = usize::from(take_u16(body)?);
    if length > body.len() {
        return Err(TRUNCATED);
    }
    Ok(body.split_to(length))
}

/// Length and properties; empty in 3.1.1.
fn take_properties(body: &mut Bytes, is_v5: bool) -> Result<Bytes, Malformed> {
    if !is_v5 {
        return Ok(Bytes::new());
    }
    let mut rest = body.clone();
    let length = take_varint(&mut rest)? as usize;
    let whole = body.len() - rest.len() + length;
    if whole > body.len() {
        return Err(TRUNCATED);
    }
    Ok(body.split_to(whole))
}

/// A variable byte integer of at most four bytes (section 2.2.3; 5.0, section 1.5.5).
fn take_varint(body: &mut Bytes) -> Result<u32, Malformed> {
    let (value, length) = varint(body)?.ok_or(TRUNCATED)?;
    body.advance(length);
    Ok(value)
}

/// Value and length of the integer at the start of `bytes`; `None` when it is incomplete.
fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err("an MQTT length has more than four bytes") }
}

/// The length of the fixed header of a complete packet.
fn header_length(packet: &[u8]) -> usize {
    1 + packet[1..].iter().take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1
}

/// The packet id of a SUBSCRIBE or UNSUBSCRIBE.
pub(super) fn id_of(packet: &[u8]) -> Option<u16> {
    packet.get(header_length(packet)..)?.try_get_u16().ok()
}

/// The length of the packet at the start of `bytes`; `None` when its header is incomplete.
pub(super) fn packet_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((_, rest)) = bytes.split_first() else { return Ok(None) };
    let header = varint(rest)?;
    Ok(header.map(|(length, bytes)| 1 + bytes + length as usize))
}

/// CONNECT for the replay: the session at the broker goes on where it is kept.
pub(super) fn resuming(packet: &Bytes, connect: Connect) -> Bytes {
    let mut packet = BytesMut::from(&packet[..]);
    if !connect.is_clean {
        packet[connect.flags_at] &= !2;
    }
    packet.freeze()
}

/// CONNACK without topic aliases: the broker would forget them with the connection (5.0, section 3.2.2.3.8).
pub(super) fn without_aliases(packet: &Bytes) -> Option<Bytes> {
    let start = header_length(packet) + 2;
    let mut properties = (start <= packet.len()).then(|| packet.slice(start..))?;
    let value = find_property(&mut properties, TOPIC_ALIAS_MAXIMUM).filter(|value| value.len() >= 2)?;
    let at = packet.len() - value.len();
    let mut packet = BytesMut::from(&packet[..]);
    packet[at..at + 2].fill(0);
    Some(packet.freeze())
}

// === packets that the journal writes ===

fn packet(first: u8, parts: &[&[u8]]) -> Message {
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    let mut packet = BytesMut::with_capacity(length + 5);
    packet.put_u8(first);
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        packet.put_u8((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    parts.iter().for_each(|part| packet.put_slice(part));
    Message::binary(packet)
}

/// The empty properties of MQTT 5.
fn no_properties(is_v5: bool) -> &'static [u8] {
    if is_v5 { &[0] } else { &[] }
}

pub(super) fn subscribe_one(id: u16, properties: &[u8], filter: &[u8], options: u8) -> Message {
    let length = (filter.len() as u16).to_be_bytes();
    packet(SUBSCRIBE, &[&id.to_be_bytes(), properties, &length, filter, &[options]])
}

pub(super) fn unsubscribe(is_v5: bool, id: u16, filters: &[Bytes]) -> Message {
    let mut body = BytesMut::new();
    for filter in filters {
        body.put_u16(filter.len() as u16);
        body.put_slice(filter);
    }
    packet(UNSUBSCRIBE, &[&id.to_be_bytes(), no_properties(is_v5), &body])
}

pub(super) fn suback(is_v5: bool, id: u16, codes: &[u8]) -> Message {
    packet(SUBACK, &[&id.to_be_bytes(), no_properties(is_v5), codes])
}

/// UNSUBACK has codes in MQTT 5 only.
pub(super) fn unsuback(is_v5: bool, id: u16, codes: &[u8]) -> Message {
    let codes = if is_v5 { codes } else { &[] };
    packet(UNSUBACK, &[&id.to_be_bytes(), no_properties(is_v5), codes])
}

/// The failure of a PUBLISH, which 3.1.1 does not have.
pub(super) fn publish_failed(is_v5: bool, qos: u8, id: u16) -> Option<Message> {
    let first = if qos == 1 { 0x40 } else { 0x50 };
    is_v5.then(|| packet(first, &[&id.to_be_bytes(), &[FAILURE]]))
}

pub(super) fn pubrel(id: u16) -> Message {
    packet(PUBREL, &[&id.to_be_bytes()])
}

pub(super) fn pubcomp(id: u16) -> Message {
    packet(PUBCOMP, &[&id.to_be_bytes()])
}

pub(super) fn pingresp() -> Message {
    packet(PINGRESP, &[])
}

/// A packet of the type PUBLISH with any `body`, even a malformed one.
#[cfg(test)]
pub(super) fn publish_of(body: &[u8]) -> Bytes {
    packet(0x30, &[body]).payload
}
