//! Fuzzes splitting of messages into chunks for the codec, and joining of chunks to messages.
//!
//! The first byte of an input chooses the processors: `l` for lines, `b` for buffered lines, `c` for both in
//! a row, any other for none. The second chooses how messages are cut into parts. The rest is messages,
//! separated by zero bytes; each byte 255 in them stands for 400,000 letters.

use bytes::Bytes;
use towline::processor::{Postprocessors, Preprocessor, Preprocessors, Spec};

use super::socket::Sizes;

/// Maximum length of a line, in bytes, the limit of the preprocessor.
const LINE_MAX: usize = 1 << 20;

/// The number of letters that a byte 255 stands for.
const LONG: usize = 400_000;

/// A chunk; `None` for a refused line.
type Chunk = Option<Vec<u8>>;

/// For any cut of a message, the chunks agree with the reference implementation. Little memory is held
/// between messages. Joined chunks are split to the same chunks.
pub fn run(data: &[u8]) {
    let Some(([choice, cuts], text)) = data.split_first_chunk() else { return };
    let specs = chosen(*choice);
    let mut long = 0;
    let messages: Vec<_> =
        text.split(|byte| *byte == 0).map(|message| inflated(message, &mut long)).collect();
    let expected = specs.iter().fold(whole(&messages), |chunks, spec| plainly(spec, chunks));
    assert_eq!(chained(&specs, &messages), expected);
    if let [spec] = &specs[..] {
        assert_eq!(in_parts(spec, &messages, *cuts), expected, "in parts");
    }
    join(expected);
}

fn chosen(choice: u8) -> Vec<Spec> {
    let (lines, buffered) = (Spec::Lines { buffered: false }, Spec::Lines { buffered: true });
    match choice {
        b'l' => vec![lines],
        b'b' => vec![buffered],
        b'c' => vec![buffered, lines],
        _ => Vec::new(),
    }
}

fn inflated(message: &[u8], long: &mut usize) -> Vec<u8> {
    let mut inflated = Vec::new();
    for byte in message {
        match byte {
            255 if *long < 6 => {
                *long += 1;
                inflated.resize(inflated.len() + LONG, b'x');
            }
            byte => inflated.push(*byte),
        }
    }
    inflated
}

fn whole(messages: &[Vec<u8>]) -> Vec<Chunk> {
    messages.iter().cloned().map(Some).collect()
}

/// The reference implementation of `lines`. A line that is too long is reported when it ends, or when its
/// length is certain to exceed the limit.
fn plainly(spec: &Spec, chunks: Vec<Chunk>) -> Vec<Chunk> {
    let Spec::Lines { buffered } = *spec;
    let mut out = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let mut refused = false;
    for chunk in chunks {
        let Some(chunk) = chunk else {
            out.push(None);
            continue;
        };
        let mut lines: Vec<_> = chunk.split(|byte| *byte == b'\n').collect();
        let last = lines.pop().unwrap_or_default();
        for line in &lines {
            open.extend_from_slice(line);
            let line = std::mem::take(&mut open);
            if !std::mem::take(&mut refused) {
                out.push(Some(line).filter(|line| line.len() <= LINE_MAX));
            }
        }
        open.extend_from_slice(last);
        if !buffered {
            let line = std::mem::take(&mut open);
            if lines.is_empty() || !line.is_empty() {
                out.push(Some(line).filter(|line| line.len() <= LINE_MAX));
            }
        } else if open.len() > LINE_MAX && !refused {
            refused = true;
            out.push(None);
        }
    }
    out
}

fn chained(specs: &[Spec], messages: &[Vec<u8>]) -> Vec<Chunk> {
    let mut chain = Preprocessors::new(specs);
    let mut chunks = Vec::new();
    for message in messages {
        chain.feed(Bytes::from(message.clone()));
        while let Some(chunk) = chain.next() {
            chunks.push(chunk.ok().map(Vec::from));
        }
        check_held(chain.held());
    }
    chunks
}

fn in_parts(spec: &Spec, messages: &[Vec<u8>], cuts: u8) -> Vec<Chunk> {
    let mut stage = spec.preprocessor();
    let mut sizes = Sizes::new(cuts);
    let mut chunks = Vec::new();
    for message in messages {
        let mut rest = &message[..];
        // Cut long messages into long pieces: the positions of cuts matter, not their number.
        let scale = 1 + rest.len() / 4096;
        while let Some(size) = sizes.next().map(|size| size * scale).filter(|size| *size < rest.len()) {
            feed(&mut *stage, &rest[..size], false, &mut chunks);
            rest = &rest[size..];
        }
        feed(&mut *stage, rest, true, &mut chunks);
    }
    chunks
}

fn feed(stage: &mut dyn Preprocessor, part: &[u8], ends_message: bool, chunks: &mut Vec<Chunk>) {
    stage.feed(Bytes::copy_from_slice(part), ends_message);
    while let Some(chunk) = stage.next() {
        chunks.push(chunk.ok().map(Vec::from));
    }
    check_held(stage.held());
}

/// Checks the memory between messages: only an incomplete line is held, in a buffer that grows by doubling.
fn check_held(bytes: usize) {
    assert!(bytes <= 2 * LINE_MAX, "{bytes} bytes held");
}

/// Checks that chunks without line feeds are split to the same chunks after they were joined.
fn join(chunks: Vec<Chunk>) {
    let lines: Vec<Vec<u8>> = chunks
        .into_iter()
        .flatten()
        .filter(|line| line.len() <= LINE_MAX && !line.contains(&b'\n'))
        .collect();
    let mut joined = Vec::new();
    let mut post = Postprocessors::new(&[Spec::Lines { buffered: false }]);
    for line in &lines {
        post.process(Bytes::from(line.clone()), &mut joined).expect("any chunk can be a line");
    }
    assert_eq!(joined.len(), lines.len());
    let again = chained(&[Spec::Lines { buffered: true }], &[joined.concat()]);
    assert_eq!(again, whole(&lines));
}
