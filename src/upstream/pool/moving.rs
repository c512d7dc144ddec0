//! The endpoints that give sessions away, and those that take them.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{EndpointState, LOSSES_MAX, Member, Pick, Pool, Reachability, Use, Wait};
use crate::{
    policy::Rebalance,
    upstream::{
        Endpoint,
        balance::{Candidate, Chance},
    },
};

impl Pool {
    /// Removes the endpoints that are no longer in the settings and have no sessions, unless an operator drains them
    /// and no endpoint of the settings has that order.
    pub(in crate::upstream) fn forget_unlisted(&mut self) {
        let listed = self.members.iter().filter(|member| member.is_listed && member.is_drained_by_operator);
        let drained: HashSet<_> = listed.map(|member| member.server.clone()).collect();
        self.members.retain(|member| {
            member.is_present() || member.is_drained_by_operator && !drained.contains(&member.server)
        });
    }

    /// The endpoints whose sessions move to others: those that drain and have sessions.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        let draining = self.members.iter().filter(|member| member.is_draining);
        draining.map(|member| &member.endpoint).filter(|endpoint| endpoint.sessions() > 0)
    }

    /// The endpoint has closed a connection because it stops or restarts. Others are preferred until a probe of it
    /// succeeds.
    pub fn leaving(&mut self, endpoint: &Arc<Endpoint>) {
        if let Some(member) = self.member(endpoint)
            && matches!(member.state, Reachability::Up | Reachability::Suspect)
        {
            (member.state, member.losses) = (Reachability::Suspect, LOSSES_MAX);
        }
    }

    /// Reserves a place for a reconnect at another endpoint than this one.
    pub fn reserve_besides(
        &mut self,
        endpoint: &Arc<Endpoint>,
        now: Instant,
        key: Option<u64>,
        chance: Chance,
    ) -> Pick {
        self.pick_for(Use::Later, now, key, std::slice::from_ref(endpoint), chance)
    }

    /// The endpoint that is furthest above both thresholds, and how many sessions it gives away; `None` if there is
    /// none, or no other endpoint is below its share.
    pub fn overloaded(&self, rebalance: Rebalance, now: Instant) -> Option<(Arc<Endpoint>, usize)> {
        let shares = self.shares(now);
        shares.iter().find(|(candidate, fair)| (candidate.sessions as f64) < fair.floor())?;
        let excess = |(candidate, fair): &(Candidate, f64)| {
            let kept = (fair.ceil() as usize).max(rebalance.min_sessions);
            let limit = fair * f64::from(rebalance.max_share) / 100.0;
            let is_above = candidate.sessions > kept && candidate.sessions as f64 > limit;
            is_above.then(|| (candidate.index, candidate.sessions - kept))
        };
        let (index, excess) = shares.iter().filter_map(excess).max_by_key(|(_, excess)| *excess)?;
        Some((Arc::clone(&self.members[index].endpoint), excess))
    }

    /// Chooses the endpoint for a session that leaves the overloaded endpoint `from`: the one that is furthest below
    /// its share.
    pub fn pick_below_share(&mut self, from: &Arc<Endpoint>, now: Instant) -> Pick {
        let shares = self.shares(now);
        let takes = |(candidate, fair): &&(Candidate, f64)| {
            let member = &self.members[candidate.index];
            (candidate.sessions as f64) < fair.floor()
                && !Arc::ptr_eq(&member.endpoint, from)
                && member.fitness(&self.policy, Use::Now, now).is_some()
        };
        let load = |(candidate, fair): &(Candidate, f64)| candidate.sessions as f64 / fair;
        let lightest = shares.iter().filter(takes).min_by(|one, other| load(one).total_cmp(&load(other)));
        match lightest.map(|(candidate, _)| candidate.index) {
            Some(at) => Pick::Endpoint(self.members[at].lease(&self.policy, Use::Now, now)),
            None => Pick::Wait(Wait::Exhausted),
        }
    }

    /// The endpoints of the first tier that are up, each with its share by weight of their sessions.
    fn shares(&self, now: Instant) -> Vec<(Candidate, f64)> {
        let is_up = |member: &&Member| matches!(member.state(now), EndpointState::Up | EndpointState::Trial);
        let tier = self.members.iter().filter(is_up).map(|member| member.priority).min();
        let members = self.members.iter().enumerate().filter(|(_, member)| is_up(member));
        let candidates: Vec<_> = members
            .filter(|(_, member)| Some(member.priority) == tier)
            .map(|(index, member)| member.candidate(index, &self.policy, now))
            .collect();
        let weights: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let sessions = candidates.iter().map(|candidate| candidate.sessions).sum::<usize>() as f64;
        let share = |candidate: Candidate| (candidate, sessions * candidate.weight / weights);
        candidates.into_iter().map(share).collect()
    }
}
