//! Checks which pipelines of a route write to the ports `journal` and `move`.
//!
//! The journal of a session reads messages as the upstream gets and sends them. So the pipeline that says what they are
//! has to be the one next to the upstream.

use std::sync::Arc;

use super::{Pipeline, Route};
use crate::{
    settings::read::{Section, quoted},
    trickle::Port,
};

/// Reports pipelines whose messages for port `journal` have no effect, and a route whose upstream needs one.
pub(super) fn check(section: &Section<'_>, route: &Route) {
    let lists = [("incoming", &route.incoming), ("outgoing", &route.outgoing), ("errors", &route.errors)];
    // The position of a pipeline is known only if all are.
    if lists.iter().any(|(key, list)| section.list(key).len() != list.len()) {
        return;
    }
    for (key, list) in lists {
        for text in misplaced(key, list, route).into_iter().chain(idle_move(key, list, route)) {
            section.problem(key, text);
        }
    }
    let Some(upstream) = &route.upstream else { return };
    let needs_one = upstream.recovery.by_program && route.keeps_client() && !route.routed_by_url;
    if needs_one && !route.incoming.iter().any(uses_journal) {
        let text = format!(
            "upstream.{}.recovery.preset = \"program\" needs an incoming pipeline that says what the client's messages \
             are (into journal)",
            upstream.name
        );
        match section.said("incoming") {
            Some(_) => section.problem("incoming", text),
            None => section.section_problem(text),
        }
    }
}

fn uses_journal(pipeline: &Arc<Pipeline>) -> bool {
    pipeline.program.uses_port(Port::Journal)
}

/// Why a pipeline of the list writes to port `move` without effect; `None` if none does.
fn idle_move(key: &str, list: &[Arc<Pipeline>], route: &Route) -> Option<String> {
    let pipeline = list.iter().find(|pipeline| pipeline.program.uses_port(Port::Move))?;
    let why = match key {
        "outgoing" if route.moves() => return None,
        "outgoing" if route.routed_by_url => {
            "and its sessions do not move: programs choose the server of each event ($url)"
        }
        "outgoing" if route.upstream.is_some() => {
            "and its sessions do not move: the route closes the client when the connection is lost; a route keeps it with \
             on_upstream_loss = \"keep\" or stateless = true"
        }
        _ => "which takes messages of the upstream",
    };
    Some(format!("pipeline {} writes to port move, {why}", quoted(&pipeline.name)))
}

/// Why a pipeline of the list writes to port `journal` without effect; `None` if none does.
fn misplaced(key: &str, list: &[Arc<Pipeline>], route: &Route) -> Option<String> {
    let writes = |pipeline: &&Arc<Pipeline>| uses_journal(pipeline);
    let why = |pipeline: &Arc<Pipeline>, text: &str| {
        format!("pipeline {} writes to port journal, {text}", quoted(&pipeline.name))
    };
    let first = list.iter().find(writes)?;
    let Some(upstream) = route.upstream.as_ref().filter(|_| key != "errors") else {
        return Some(why(first, "which takes messages to and from the upstream"));
    };
    if !upstream.recovery.by_program {
        let text = format!("which needs upstream.{}.recovery.preset = \"program\"", upstream.name);
        return Some(why(first, &text));
    }
    let next_to_it =
        "which is next to the upstream: messages have to pass it as the upstream gets and sends them";
    match key {
        "incoming" => {
            let wrong = list.iter().rev().skip(1).find(writes)?;
            Some(why(wrong, &format!("and is not the last one, {next_to_it}")))
        }
        _ => {
            let wrong = list.iter().skip(1).find(writes)?;
            Some(why(wrong, &format!("and is not the first one, {next_to_it}")))
        }
    }
}
