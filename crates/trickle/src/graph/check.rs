//! Checks of a graph: a cycle is an error; unreachable nodes and unread streams are warnings.

use std::collections::HashSet;

use super::{
    IN, Node, Stream,
    names::{StreamInfo, StreamKind},
    nodes::Draft,
};
use crate::{compile::world::World, diagnostic::Diagnostic, source::Span};

/// Maximum number of names shown at each end of a long cycle.
const CYCLE_ENDS: usize = 4;

/// Adds the errors and warnings of a graph to the world. If there are no errors, the nodes are sorted in
/// execution order.
pub(super) fn check(draft: &mut Draft, end: Span, world: &mut World<'_>) {
    world.warnings.extend(loose_ends(draft));
    if draft.nodes.is_empty() {
        let error = Diagnostic::new(end, "the program has no `select` statement", "")
            .help("the smallest program is: select event from in into out;");
        return world.errors.push(error);
    }
    let nodes = std::mem::take(&mut draft.nodes);
    match sort(nodes, draft.streams.len()) {
        Ok(sorted) => draft.nodes = sorted,
        Err(left) => world.errors.push(cycle(&left, &draft.streams)),
    }
}

// --- loose ends ---

/// The warnings for streams that no statement writes to, and streams that no statement reads from.
fn loose_ends(draft: &Draft) -> Vec<Diagnostic> {
    let mut read = vec![false; draft.streams.len()];
    let mut written = vec![false; draft.streams.len()];
    written[IN] = true;
    let mut warnings = Vec::new();
    for node in &draft.nodes {
        read[node.input] = true;
        for stream in node.writes() {
            written[stream] = true;
        }
    }
    // For a node with several inputs, one that is written is enough; otherwise warn once.
    let is_entrance = |info: &StreamInfo| matches!(info.kind, StreamKind::Entrance(_));
    let infos = || draft.streams.iter().enumerate();
    let mut entered: HashSet<Span> =
        infos().filter(|(stream, info)| is_entrance(info) && written[*stream]).map(|(_, i)| i.span).collect();
    for (stream, info) in infos() {
        if !(is_entrance(info) && !written[stream] && !entered.insert(info.span)) {
            warnings.extend(loose_end(info, read[stream], written[stream]));
        }
    }
    warnings
}

fn loose_end(info: &StreamInfo, read: bool, written: bool) -> Option<Diagnostic> {
    let name = &info.name;
    let (message, label) = match (info.kind, read, written) {
        (StreamKind::In, ..) | (_, true, true) => return None,
        (StreamKind::Created, false, false) => (format!("the stream `{name}` is never used"), ""),
        (StreamKind::Created, true, false) => {
            (format!("nothing writes to the stream `{name}`"), "selects from it receive no events")
        }
        (StreamKind::Created, false, true) => {
            (format!("nothing reads from the stream `{name}`"), "events sent to it are lost")
        }
        (StreamKind::Entrance(kind), _, false) => {
            (format!("nothing writes to the {} `{name}`", kind.noun()), "it is never reached")
        }
        (StreamKind::Entrance(kind), false, true) => (
            format!("the {} `{name}` does not read the events sent to it", kind.noun()),
            "events sent to it are lost",
        ),
        // A port exists because a select reads it, and its script writes it.
        (StreamKind::Port, ..) => return None,
    };
    Some(Diagnostic::new(info.span, message, label))
}

// --- order ---

/// Sorts nodes topologically. Of several ready nodes, the first in the program comes first. If there is a
/// cycle, returns the nodes that are never ready as the error.
fn sort(mut left: Vec<Node>, streams: usize) -> Result<Vec<Node>, Vec<Node>> {
    let mut writers = vec![0_usize; streams];
    for stream in left.iter().flat_map(Node::writes) {
        writers[stream] += 1;
    }
    left.sort_by_key(|node| node.order);
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let Some(ready) = left.iter().position(|node| writers[node.input] == 0) else { return Err(left) };
        let node = left.remove(ready);
        for stream in node.writes() {
            writers[stream] -= 1;
        }
        sorted.push(node);
    }
    Ok(sorted)
}

/// The error for a cycle. `left` are the nodes that the sort could not place.
fn cycle(left: &[Node], streams: &[StreamInfo]) -> Diagnostic {
    let mut seen: Vec<Stream> = Vec::new();
    let mut at = &left[0];
    // Follow writers upstream until a stream repeats: every remaining stream has a remaining writer.
    while !seen.contains(&at.input) {
        seen.push(at.input);
        at = left.iter().find(|node| node.writes().contains(&at.input)).unwrap_or(at);
    }
    let begin = seen.iter().position(|stream| *stream == at.input).unwrap_or(0);
    let mut names: Vec<&str> =
        seen[begin..].iter().rev().map(|stream| streams[*stream].name.as_str()).collect();
    if let Some(first) = names.first().copied() {
        names.push(first);
    }
    if names.len() > 2 * CYCLE_ENDS {
        names.splice(CYCLE_ENDS..names.len() - CYCLE_ENDS, ["…"]);
    }
    let message = format!("events would circulate forever: {}", names.join(" -> "));
    Diagnostic::new(at.span, message, "this closes the cycle")
}
