//! Whether a graph makes sense: a circle is an error, and what is not reached or leads nowhere a warning.

use std::collections::HashSet;

use super::{
    Channel, IN, Node,
    names::{ChannelInfo, ChannelKind},
    nodes::Draft,
};
use crate::{compile::world::World, diagnostic::Diagnostic, source::Span};

/// How many names of a long circle are shown from its beginning, and from its end.
const CIRCLE_ENDS: usize = 4;

/// Adds what is wrong with a graph to the errors and warnings of the world. A graph without errors has its
/// nodes in the order to run them.
pub(super) fn check(draft: &mut Draft, end: Span, world: &mut World<'_>) {
    world.warnings.extend(loose_ends(draft));
    if draft.nodes.is_empty() {
        let error = Diagnostic::new(end, "this program lets no event through", "no select statement")
            .help("the smallest program is: select event from in into out;");
        return world.errors.push(error);
    }
    let nodes = std::mem::take(&mut draft.nodes);
    match sort(nodes, draft.channels.len()) {
        Ok(sorted) => draft.nodes = sorted,
        Err(left) => world.errors.push(cycle(&left, &draft.channels)),
    }
}

// --- loose ends ---

/// Channels that nothing flows into, and channels that nothing flows out of.
fn loose_ends(draft: &Draft) -> Vec<Diagnostic> {
    let mut read = vec![false; draft.channels.len()];
    let mut written = vec![false; draft.channels.len()];
    written[IN] = true;
    let mut warnings = Vec::new();
    for node in &draft.nodes {
        read[node.input] = true;
        for channel in node.writes() {
            written[channel] = true;
        }
    }
    // Of what has several entrances, one is enough; without any, it is said once.
    let is_entrance = |info: &ChannelInfo| matches!(info.kind, ChannelKind::Entrance(_));
    let infos = || draft.channels.iter().enumerate();
    let mut entered: HashSet<Span> = infos()
        .filter(|(channel, info)| is_entrance(info) && written[*channel])
        .map(|(_, i)| i.span)
        .collect();
    for (channel, info) in infos() {
        if !(is_entrance(info) && !written[channel] && !entered.insert(info.span)) {
            warnings.extend(loose_end(info, read[channel], written[channel]));
        }
    }
    warnings
}

fn loose_end(info: &ChannelInfo, read: bool, written: bool) -> Option<Diagnostic> {
    let name = &info.name;
    let (message, label) = match (info.kind, read, written) {
        (ChannelKind::In, ..) | (_, true, true) => return None,
        (ChannelKind::Stream, false, false) => (format!("the stream `{name}` is never used"), ""),
        (ChannelKind::Stream, true, false) => {
            (format!("nothing flows into the stream `{name}`"), "selects from it are never reached")
        }
        (ChannelKind::Stream, false, true) => {
            (format!("nothing reads from the stream `{name}`"), "what flows into it is lost")
        }
        (ChannelKind::Entrance(kind), _, false) => {
            (format!("nothing flows into the {} `{name}`", kind.noun()), "it is never reached")
        }
        (ChannelKind::Entrance(kind), false, true) => (
            format!("the {} `{name}` does not read what flows into it", kind.noun()),
            "what flows into it is lost",
        ),
        // A port is made by the select that reads from it, and written by its script.
        (ChannelKind::Port, ..) => return None,
    };
    Some(Diagnostic::new(info.span, message, label))
}

// --- order ---

/// Puts nodes in an order to run them: of those that are ready always the one that the program names
/// first. Gives back what is left when nothing is ready any more.
fn sort(mut left: Vec<Node>, channels: usize) -> Result<Vec<Node>, Vec<Node>> {
    let mut writers = vec![0_usize; channels];
    for channel in left.iter().flat_map(Node::writes) {
        writers[channel] += 1;
    }
    left.sort_by_key(|node| node.order);
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let Some(ready) = left.iter().position(|node| writers[node.input] == 0) else { return Err(left) };
        let node = left.remove(ready);
        for channel in node.writes() {
            writers[channel] -= 1;
        }
        sorted.push(node);
    }
    Ok(sorted)
}

/// The error for nodes that wait for each other.
fn cycle(left: &[Node], channels: &[ChannelInfo]) -> Diagnostic {
    let mut seen: Vec<Channel> = Vec::new();
    let mut at = &left[0];
    // Upwards from writer to writer, until a channel comes again: all that is left has a writer left.
    while !seen.contains(&at.input) {
        seen.push(at.input);
        at = left.iter().find(|node| node.writes().contains(&at.input)).unwrap_or(at);
    }
    let begin = seen.iter().position(|channel| *channel == at.input).unwrap_or(0);
    let mut names: Vec<&str> =
        seen[begin..].iter().rev().map(|channel| channels[*channel].name.as_str()).collect();
    if let Some(first) = names.first().copied() {
        names.push(first);
    }
    if names.len() > 2 * CIRCLE_ENDS {
        names.splice(CIRCLE_ENDS..names.len() - CIRCLE_ENDS, ["…"]);
    }
    let message = format!("events would go round for ever: {}", names.join(" -> "));
    Diagnostic::new(at.span, message, "this closes the circle")
}
