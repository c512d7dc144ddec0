//! The least that a proxy executes for a message that it understands, step by step, and what decoder and outbox
//! execute, for messages one by one and for bursts. docs/performance.md has the numbers.
//!
//! ```console
//! $ cargo bench -p towline-wire --bench floor
//! ```
//!
//! The program runs itself under callgrind, with one number of rounds and with twice as many. The difference is the cost
//! of the messages. Without valgrind it measures nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark has no public interface, prints its result, and stops at an error"
)]

use std::{env, hint::black_box, process::Command, str};

use towline_wire::{BurstLimits, Decoder, Incoming, Limits, Outbox, Role};

/// Messages of one read.
const BURST: usize = 32;
/// Bytes of a message.
const SIZE: usize = 64;
const ROUNDS: usize = 100;
const KEY: [u8; 4] = [1, 2, 3, 4];
const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 1 << 20 };

/// What is executed for each message. Each of the first steps includes those before it.
const STEPS: [&str; 8] = [
    "header",
    "unmask",
    "utf-8",
    "copy",
    "mask",
    "ledger",
    "decoder and outbox, bursts",
    "decoder and outbox",
];

/// A direction: the role of the proxy at the connection that it reads, and at the one that it writes.
const DIRECTIONS: [(&str, Role, Role); 2] =
    [("client to upstream", Role::Server, Role::Client), ("upstream to client", Role::Client, Role::Server)];

/// The frames of a burst of text messages.
fn burst(reads: Role) -> Vec<u8> {
    let mut frame = vec![0x81, SIZE as u8];
    match reads {
        Role::Server => {
            frame[1] |= 0x80;
            frame.extend(KEY);
            frame.extend(KEY.iter().cycle().take(SIZE).map(|key| b'a' ^ key));
        }
        Role::Client => frame.extend([b'a'; SIZE]),
    }
    frame.repeat(BURST)
}

fn mask(data: &mut [u8], key: [u8; 4]) {
    let (chunks, _) = data.as_chunks_mut::<4>();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
}

/// Does what any proxy does to frames, without events, buffers and limits. `next_key` replaces the generator of masking
/// keys.
fn least<const STEP: usize>(frames: &mut [u8], out: &mut Vec<u8>, (reads, writes): (Role, Role)) -> u64 {
    let (mut at, mut settled, mut next_key) = (0, 0, 1_u32);
    while let Some([first, second]) = frames[at..].first_chunk().copied() {
        let (is_masked, len) = (second & 0x80 != 0, usize::from(second & 0x7f));
        if first != 0x81 || is_masked != (reads == Role::Server) || len > 125 {
            break;
        }
        at += 2;
        if is_masked {
            let key = *frames[at..].first_chunk().unwrap();
            at += 4;
            if STEP >= 1 {
                mask(&mut frames[at..at + len], key);
            }
        }
        let payload = &frames[at..at + len];
        at += len;
        if STEP >= 2 && !payload.is_ascii() && str::from_utf8(payload).is_err() {
            break;
        }
        if STEP >= 3 {
            let key = (writes == Role::Client).then(|| next_key.to_ne_bytes());
            next_key = next_key.wrapping_mul(0x9e37_79b1);
            out.extend_from_slice(&[first, len as u8 | if key.is_some() { 0x80 } else { 0 }]);
            if let Some(key) = key {
                out.extend_from_slice(&key);
            }
            let begin = out.len();
            out.extend_from_slice(payload);
            if STEP >= 4
                && let Some(key) = key
            {
                mask(&mut out[begin..], key);
            }
        }
        settled += u64::from(STEP >= 5);
    }
    settled
}

/// What the proxy does with decoder and outbox for messages that pass as bursts.
fn bursts(frames: &[u8], decoder: &mut Decoder, outbox: &mut Outbox<u64>) -> u64 {
    let (mut input, mut quota, mut settled) = (frames, usize::MAX, 0);
    let limits = BurstLimits { messages: usize::MAX, bytes: 16 * 1024, overhead: 256 };
    while let Some(burst) = decoder.decode_burst(&mut input, &mut quota, &limits) {
        let bytes = burst.bytes() as u64;
        outbox.push_burst(burst, bytes);
    }
    decoder.end_turn();
    outbox.advance(outbox.len(), |sent| settled += sent.into_token().unwrap_or_default());
    settled
}

/// What the proxy does with decoder and outbox for messages one by one, without events.
fn decoder_and_outbox(frames: &[u8], decoder: &mut Decoder, outbox: &mut Outbox<u64>) -> u64 {
    let (mut input, mut quota, mut settled) = (frames, usize::MAX, 0);
    while let Ok(Some(Incoming::Message(message))) = decoder.decode(&mut input, &mut quota) {
        let bytes = message.len() as u64;
        let _ = outbox.push(message, bytes);
    }
    decoder.end_turn();
    outbox.advance(outbox.len(), |sent| settled += sent.into_token().unwrap_or_default());
    settled
}

fn run(step: usize, (reads, writes): (Role, Role), rounds: usize) {
    let frames = burst(reads);
    let (mut decoder, mut outbox) = (Decoder::new(reads, LIMITS), Outbox::new(writes));
    let (mut copy, mut out) = (frames.clone(), Vec::with_capacity(frames.len() * 2));
    let run = [least::<0>, least::<1>, least::<2>, least::<3>, least::<4>, least::<5>];
    for _ in 0..rounds {
        match run.get(step) {
            Some(least) => {
                copy.copy_from_slice(&frames);
                out.clear();
                black_box(least(black_box(&mut copy), &mut out, (reads, writes)));
            }
            None => {
                let pass = if step == run.len() { bursts } else { decoder_and_outbox };
                black_box(pass(black_box(&frames), &mut decoder, &mut outbox));
            }
        }
    }
}

/// The instructions of the program in this run; `None` without valgrind.
fn count(step: usize, direction: usize, rounds: usize) -> Option<u64> {
    let numbers = [step, direction, rounds].map(|number| number.to_string());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = command.arg(env::current_exe().unwrap()).args(numbers).output().ok()?;
    let text = String::from_utf8(output.stderr).unwrap();
    text.split("Collected :").nth(1)?.split_whitespace().next()?.parse().ok()
}

fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    if let [step, direction, rounds] = numbers[..] {
        let (_, reads, writes) = DIRECTIONS[direction];
        return run(step, (reads, writes), rounds);
    }
    for (direction, (name, ..)) in DIRECTIONS.iter().enumerate() {
        println!("{name}: instructions for a message of {SIZE} bytes, in bursts of {BURST}");
        let mut before = 0;
        for (step, name) in STEPS.iter().enumerate() {
            let [Some(once), Some(twice)] = [1, 2].map(|times| count(step, direction, times * ROUNDS)) else {
                return println!("SKIPPED: no valgrind here; to have it: apt-get install valgrind");
            };
            let cost = (twice - once) / (ROUNDS * BURST) as u64;
            println!("{cost:8} {:+6} {name}", cost.cast_signed() - before);
            before = cost.cast_signed();
        }
    }
}
