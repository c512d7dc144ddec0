//! Frames as bytes, valid or not. This is a second implementation of RFC 6455 section 5.2, so that the
//! program is not tested against itself.

use std::io::{self, Read};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// One frame of RFC 6455.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    /// The three reserved bits.
    pub rsv: u8,
    pub opcode: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A message in one masked frame, as clients send it.
    pub fn client(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, rsv: 0, opcode, masked: true, payload: payload.as_ref().to_vec() }
    }

    /// A message in one unmasked frame, as servers send it.
    pub fn server(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { masked: false, ..Self::client(opcode, payload) }
    }

    /// Clears the FIN bit: more frames of the message follow.
    pub fn more(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The payload of a close frame.
    pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
        [&code.to_be_bytes(), reason.as_bytes()].concat()
    }

    /// Code and reason of a close frame. The code is 1005 if the payload is empty.
    pub fn close_parts(&self) -> (u16, String) {
        match self.payload.as_slice() {
            [high, low, reason @ ..] => {
                (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned())
            }
            _ => (1005, String::new()),
        }
    }

    /// The encoded frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Self::header(self.fin, self.rsv, self.opcode, self.masked, self.payload.len() as u64);
        if self.masked {
            let mask = [0x12, 0x34, 0x56, 0x78];
            bytes.extend(mask);
            bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// An encoded header that declares `length` bytes of payload, whatever follows.
    pub fn header(fin: bool, rsv: u8, opcode: u8, masked: bool, length: u64) -> Vec<u8> {
        let mut bytes = vec![u8::from(fin) << 7 | rsv << 4 | opcode];
        let mask_bit = u8::from(masked) << 7;
        match length {
            0..126 => bytes.push(mask_bit | length as u8),
            126..65_536 => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads one frame; `None` if the stream ends before the frame is complete.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Self>> {
        match Self::read_whole(stream) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            other => other.map(Some),
        }
    }

    fn read_whole(stream: &mut impl Read) -> io::Result<Self> {
        let [first, second] = read_array(stream)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(read_array(stream)?)),
            127 => u64::from_be_bytes(read_array(stream)?),
            short => u64::from(short),
        };
        let masked = second & 0x80 != 0;
        let mask = if masked { read_array(stream)? } else { [0; 4] };
        let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        stream.read_exact(&mut payload)?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Ok(Self { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 0xf, masked, payload })
    }
}

fn read_array<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
