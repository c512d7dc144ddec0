//! Chooses one of several endpoints.
//!
//! No clocks are used here: random numbers are passed in.

use crate::policy::Balance;

/// The smallest share of an endpoint that starts slowly.
const SHARE_MIN: f64 = 0.1;

/// An endpoint that a connection may go to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place in the pool.
    pub index: usize,
    /// The same number for the same endpoint, in every process.
    pub identity: u64,
    /// Its share of the connections, relative to the others; above 0.
    pub weight: f64,
    /// Whether it starts slowly: its part of the new connections is at most its part of the weights.
    pub is_slow: bool,
    /// Its sessions, dials in progress included.
    pub sessions: usize,
    /// The weight that [`Balance::RoundRobin`] has credited to it and that it has not used. Changed by [`pick`].
    pub credit: f64,
}

/// The random numbers of a choice, in [0, 1).
pub type Chance = [f64; 3];

/// The part of its weight that an endpoint gets that came up `up_for` seconds ago and starts slowly over `start` seconds.
pub fn share(up_for: f64, start: f64) -> f64 {
    if start <= 0.0 { 1.0 } else { (up_for / start).clamp(SHARE_MIN, 1.0) }
}

/// The index of the chosen candidate; `None` if there is none. `key` is what [`Balance::Hash`] keeps together; a
/// connection without a key goes to the endpoint with the fewest sessions. `chance` has random numbers in [0, 1).
pub fn pick(
    balance: Balance,
    candidates: &mut [Candidate],
    key: Option<u64>,
    [one, two, slow]: Chance,
) -> Option<usize> {
    match (balance, key) {
        (Balance::RoundRobin, _) => in_turn(candidates).copied(),
        (Balance::Hash, Some(key)) => highest(candidates, |candidate| rendezvous(key, candidate)).copied(),
        (Balance::Random, _) => slowly(candidates, slow, |candidates| of_two(candidates, [one, two])),
        (Balance::LeastSessions, _) | (Balance::Hash, None) => {
            slowly(candidates, slow, |candidates| least(candidates, one))
        }
    }
    .map(|candidate| candidate.index)
}

/// A choice by sessions, in which endpoints that start slowly get no more than their part of the new connections. By
/// their sessions alone they would get all, because they have none.
fn slowly(
    candidates: &[Candidate],
    chance: f64,
    choose: impl Fn(&[Candidate]) -> Option<&Candidate>,
) -> Option<Candidate> {
    let chosen = *choose(candidates)?;
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    if !chosen.is_slow || chance < chosen.weight / total {
        return Some(chosen);
    }
    let others: Vec<_> = candidates.iter().filter(|candidate| !candidate.is_slow).copied().collect();
    Some(choose(&others).copied().unwrap_or(chosen))
}

/// A hash of a text that is the same in every process (FNV-1a).
pub fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Smooth weighted round robin: in each turn every candidate earns its weight as credit, and the chosen one pays the
/// sum of all weights.
fn in_turn(candidates: &mut [Candidate]) -> Option<&Candidate> {
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    candidates.iter_mut().for_each(|candidate| candidate.credit += candidate.weight);
    let at = highest(candidates, |candidate| candidate.credit).map(|chosen| chosen.index)?;
    let chosen = candidates.iter_mut().find(|candidate| candidate.index == at)?;
    chosen.credit -= total;
    Some(chosen)
}

/// Ties go to the first one from a random place on, so that endpoints without sessions are used alike.
fn least(candidates: &[Candidate], chance: f64) -> Option<&Candidate> {
    let start = position(candidates.len(), chance);
    let (behind, before) = candidates.split_at(start);
    before.iter().chain(behind).min_by(|one, other| load(one).total_cmp(&load(other)))
}

fn of_two(candidates: &[Candidate], chance: [f64; 2]) -> Option<&Candidate> {
    let first = weighted(candidates, None, chance[0])?;
    let second = weighted(candidates, Some(first.index), chance[1]).unwrap_or(first);
    Some(if load(second) < load(first) { second } else { first })
}

/// One at random, by weight, other than the one with the index `besides`.
fn weighted(candidates: &[Candidate], besides: Option<usize>, chance: f64) -> Option<&Candidate> {
    let others = || candidates.iter().filter(|candidate| Some(candidate.index) != besides);
    let mut left = chance * others().map(|candidate| candidate.weight).sum::<f64>();
    let found = others().find(|candidate| {
        left -= candidate.weight;
        left < 0.0
    });
    found.or_else(|| others().next_back())
}

/// Weighted rendezvous hashing. Without one endpoint, only its keys move; a new endpoint takes only its share.
fn rendezvous(key: u64, candidate: &Candidate) -> f64 {
    // 53 bits, so that the number is exact, and above zero.
    let uniform = ((mixed(key ^ mixed(candidate.identity)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -candidate.weight / uniform.ln()
}

/// Spreads the bits of a number (splitmix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn highest(candidates: &[Candidate], score: impl Fn(&Candidate) -> f64) -> Option<&Candidate> {
    // The first of equals.
    candidates.iter().rev().max_by(|one, other| score(one).total_cmp(&score(other)))
}

/// Sessions by weight, with the connection that is about to begin, so that weights count from the first one.
fn load(candidate: &Candidate) -> f64 {
    (candidate.sessions + 1) as f64 / candidate.weight
}

fn position(count: usize, chance: f64) -> usize {
    ((count as f64 * chance) as usize).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Balance; 4] = [Balance::LeastSessions, Balance::RoundRobin, Balance::Random, Balance::Hash];

    fn candidates(weights: &[f64]) -> Vec<Candidate> {
        let candidate = |(index, weight): (usize, &f64)| Candidate {
            index,
            identity: hash(format!("ws://10.0.0.{index}:8139").as_bytes()),
            weight: *weight,
            is_slow: false,
            sessions: 0,
            credit: 0.0,
        };
        weights.iter().enumerate().map(candidate).collect()
    }

    /// Numbers that are random and always the same.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(1);
            (mixed(self.0) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// How many of `count` sessions that stay each candidate gets.
    fn spread(balance: Balance, weights: &[f64], count: u64, seed: u64) -> Vec<usize> {
        let (mut all, mut numbers) = (candidates(weights), Numbers(seed));
        for number in 0..count {
            let key = hash(format!("user-{seed}-{number}").as_bytes());
            let chance = [(); 3].map(|()| numbers.next());
            let at = pick(balance, &mut all, Some(key), chance).unwrap();
            all[at].sessions += 1;
        }
        all.iter().map(|candidate| candidate.sessions).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// For any weights, each strategy gives each endpoint its share within 10 %.
        #[test]
        fn sessions_are_spread_by_weight(weights in prop::collection::vec(1..4_u32, 1..6), seed: u64) {
            let weights: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let total: f64 = weights.iter().sum();
            for balance in ALL {
                for (got, weight) in spread(balance, &weights, 12_000, seed).iter().zip(&weights) {
                    let share = 12_000.0 * weight / total;
                    let off = (*got as f64 - share).abs() / share;
                    prop_assert!(off <= 0.1, "{:?} {:?}: {} instead of {}", balance, weights, got, share);
                }
            }
        }

        #[test]
        fn only_the_keys_of_an_endpoint_that_leaves_move(count in 2..9_usize, leaves in 0..9_usize) {
            let mut all = candidates(&vec![1.0; count]);
            let mut left = all.clone();
            left.remove(leaves % count);
            for number in 0..500_u64 {
                let key = hash(&number.to_le_bytes());
                let before = pick(Balance::Hash, &mut all, Some(key), [0.0; 3]).unwrap();
                let after = pick(Balance::Hash, &mut left, Some(key), [0.0; 3]).unwrap();
                prop_assert!(before == after || before == leaves % count);
            }
        }

        /// Any strategy chooses one of the candidates, with any numbers.
        #[test]
        fn one_of_the_candidates_is_chosen(
            weights in prop::collection::vec(0.001..1000.0_f64, 0..5),
            key: Option<u64>,
            chance in (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
        ) {
            for balance in ALL {
                let mut all = candidates(&weights);
                let picked = pick(balance, &mut all, key, chance.into());
                prop_assert_eq!(picked.is_some(), !weights.is_empty());
                prop_assert!(picked.is_none_or(|index| index < weights.len()));
            }
        }
    }

    /// One of three endpoints has come up without sessions, and its share grows from a tenth.
    #[test]
    fn an_endpoint_that_starts_slowly_gets_its_part_of_the_new_sessions() {
        for balance in [Balance::LeastSessions, Balance::Random, Balance::RoundRobin] {
            for share in [0.1, 0.5, 0.9] {
                let (mut all, mut numbers) = (candidates(&[1.0, 1.0, share]), Numbers(7));
                all[2].is_slow = true;
                (all[0].sessions, all[1].sessions) = (100_000, 100_000);
                for _ in 0..30_000 {
                    let at = pick(balance, &mut all, None, [(); 3].map(|()| numbers.next())).unwrap();
                    all[at].sessions += 1;
                }
                let part = 30_000.0 * share / (2.0 + share);
                let got = all[2].sessions as f64;
                assert!(got <= part * 1.1, "{balance:?}: {got} instead of {part}");
                assert!(balance == Balance::Random || got >= part * 0.9, "{balance:?}: {got} of {part}");
                let (one, two) = (all[0].sessions as f64, all[1].sessions as f64);
                assert!((one - two).abs() <= 0.1 * (one - 100_000.0), "{balance:?}: {one} and {two}");
            }
        }
    }

    #[test]
    fn endpoints_that_all_start_slowly_share_the_sessions() {
        let mut all = candidates(&[0.1, 0.1]);
        all.iter_mut().for_each(|candidate| candidate.is_slow = true);
        for _ in 0..10 {
            let at = pick(Balance::LeastSessions, &mut all, None, [0.0, 0.0, 0.999]).unwrap();
            all[at].sessions += 1;
        }
        assert_eq!([all[0].sessions, all[1].sessions], [5, 5]);
    }

    #[test]
    fn turns_are_interleaved_not_in_blocks() {
        let mut all = candidates(&[2.0, 1.0]);
        let turns = [(); 6].map(|()| pick(Balance::RoundRobin, &mut all, None, [0.0; 3]).unwrap());
        assert_eq!(turns, [0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn an_endpoint_that_starts_slowly_begins_with_a_tenth() {
        for (up_for, expected) in [(0.0, 0.1), (1.0, 0.1), (5.0, 0.5), (10.0, 1.0), (99.0, 1.0)] {
            assert_eq!(share(up_for, 10.0), expected, "{up_for}");
        }
        assert_eq!(share(0.0, 0.0), 1.0);
    }
}
