//! Who runs next: strategies that draw it from a seed, and schedules that are written down and played again.
//!
//! In: at each point where a worker could be interrupted, who is there to go on. Out: one of them.
//! Invariant: the choice depends on the seed and the points passed so far only; no worker waits for ever while another spins.
//! Source: `Priority` is probabilistic concurrency testing (Burckhardt and others, 2010): with d changes it finds a bug of depth d with a
//! known probability, where uniform choice rarely lets one worker run far ahead.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::simulate::random::Choices;

/// How interruptions are drawn; the seed says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The workers have priorities, the highest runs; at a few points drawn beforehand the running one falls to the lowest.
    Priority,
    /// A schedule that was written down.
    Replay,
    /// The running worker goes on seven times of eight.
    Sticky,
    /// Any worker, each as likely.
    Uniform,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Priority => "priority",
            Self::Replay => "replay",
            Self::Sticky => "sticky",
            Self::Uniform => "uniform",
        })
    }
}

/// A worker hands over to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Who.
    pub from: usize,
    /// At which of its own points, counted from 1; `None`: when it was done.
    pub at: Option<u64>,
    /// To whom.
    pub to: usize,
}

/// A whole schedule: who begins, and every switch in order. As text: `0 0.5>1 1.end>0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Who begins.
    pub first: usize,
    /// The switches.
    pub switches: Vec<Switch>,
}

impl Schedule {
    /// Switches away from a worker that could have gone on.
    #[must_use]
    pub fn interruptions(&self) -> usize {
        let interrupts = |switch: &&Switch| switch.at.is_some();
        self.switches.iter().filter(interrupts).count()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        for Switch { from, at, to } in &self.switches {
            match at {
                Some(at) => write!(f, " {from}.{at}>{to}")?,
                None => write!(f, " {from}.end>{to}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |word: &str| {
            format!("`{word}` is no part of a schedule; it is written such as `0 0.5>1 1.end>0`")
        };
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let first = first.parse().map_err(|_| bad(first))?;
        let switch = |word: &str| -> Option<Switch> {
            let (left, to) = word.split_once('>')?;
            let (from, at) = left.split_once('.')?;
            Some(Switch {
                from: from.parse().ok()?,
                at: match at {
                    "end" => None,
                    at => Some(at.parse().ok()?),
                },
                to: to.parse().ok()?,
            })
        };
        let switches = words
            .map(|word| switch(word).ok_or_else(|| bad(word)))
            .collect::<Result<_, _>>()?;
        Ok(Self { first, switches })
    }
}

/// Points one worker may pass while others wait, before one of them gets its turn: a guest that waits for another in a loop must not
/// wait for ever.
const PATIENCE: u64 = 5_000;

/// Most points at which the running worker loses its priority.
const MAX_CHANGES: u64 = 5;

pub(super) struct Picker {
    strategy: Strategy,
    choices: Choices,
    /// `Priority`: the higher runs.
    priorities: Vec<u64>,
    /// `Priority`: points at which the running worker falls to the lowest priority.
    changes: Vec<u64>,
    /// The priority that falls below all others next.
    lowest: u64,
    script: BTreeMap<(usize, Option<u64>), usize>,
    first: usize,
    /// Points passed in a row by the one that runs.
    run: u64,
}

impl Picker {
    /// A strategy drawn from the seed. `points` is a guess at how many there will be.
    pub(super) fn seeded(seed: u64, workers: usize, points: u64) -> Self {
        let mut choices = Choices::new(seed, 0);
        let strategy = match choices.below(4) {
            0 | 1 => Strategy::Priority,
            2 => Strategy::Sticky,
            _ => Strategy::Uniform,
        };
        let mut priorities: Vec<u64> = (0..workers)
            .map(|worker| 1_000_000 + worker as u64)
            .collect();
        for last in (1..priorities.len()).rev() {
            let other = choices.index(last + 1);
            priorities.swap(last, other);
        }
        let mut changes = Vec::new();
        for _ in 0..=choices.below(MAX_CHANGES) {
            changes.push(1 + choices.below(points));
        }
        Self {
            strategy,
            choices,
            priorities,
            changes,
            lowest: 1_000_000,
            script: BTreeMap::new(),
            first: 0,
            run: 0,
        }
    }

    /// A schedule played again.
    pub(super) fn replay(schedule: &Schedule) -> Self {
        Self {
            strategy: Strategy::Replay,
            choices: Choices::new(0, 0),
            priorities: Vec::new(),
            changes: Vec::new(),
            lowest: 0,
            script: schedule
                .switches
                .iter()
                .map(|switch| ((switch.from, switch.at), switch.to))
                .collect(),
            first: schedule.first,
            run: 0,
        }
    }

    pub(super) const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Who begins.
    pub(super) fn first(&mut self, ready: &[bool]) -> Option<usize> {
        if self.strategy == Strategy::Replay {
            let first = self.first;
            return Some(first).filter(|first| is_ready(ready, *first));
        }
        self.another(None, ready)
    }

    /// Who goes on when `from` is at its point `at`, the `step`th of all; or when it is done (`at` is `None`).
    pub(super) fn next(
        &mut self,
        from: usize,
        at: Option<u64>,
        step: u64,
        ready: &[bool],
    ) -> Option<usize> {
        self.run += 1;
        let next = if at.is_some() && self.run > PATIENCE {
            self.fall(from);
            self.another(Some(from), ready).or(Some(from))
        } else {
            self.choose(from, at, step, ready)
        };
        if next != Some(from) {
            self.run = 0;
        }
        next
    }

    fn choose(&mut self, from: usize, at: Option<u64>, step: u64, ready: &[bool]) -> Option<usize> {
        match self.strategy {
            Strategy::Replay => {
                let written = self.script.get(&(from, at)).copied();
                let stay = at.map(|_| from);
                written
                    .filter(|to| is_ready(ready, *to))
                    .or(stay)
                    .or_else(|| ready.iter().position(|ready| *ready))
            }
            Strategy::Sticky if at.is_some() && self.choices.below(8) != 0 => Some(from),
            Strategy::Sticky | Strategy::Uniform => self.another(None, ready),
            Strategy::Priority => {
                if self.changes.contains(&step) {
                    self.fall(from);
                }
                self.another(None, ready)
            }
        }
    }

    fn fall(&mut self, worker: usize) {
        self.lowest = self.lowest.saturating_sub(1);
        if let Some(priority) = self.priorities.get_mut(worker) {
            *priority = self.lowest;
        }
    }

    /// One who is ready, by priority or by chance.
    fn another(&mut self, except: Option<usize>, ready: &[bool]) -> Option<usize> {
        let able = |worker: &usize| is_ready(ready, *worker) && Some(*worker) != except;
        let count = (0..ready.len()).filter(able).count();
        if self.strategy == Strategy::Priority {
            return (0..ready.len())
                .filter(able)
                .max_by_key(|worker| self.priorities.get(*worker).copied());
        }
        let chosen = self.choices.index(count);
        (0..ready.len()).filter(able).nth(chosen)
    }
}

fn is_ready(ready: &[bool], worker: usize) -> bool {
    ready.get(worker).copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_written_and_read() {
        let text = "1 1.5>0 0.end>2 2.7>1";
        let schedule: Schedule = text.parse().expect("a schedule");
        assert_eq!(schedule.to_string(), text);
        assert_eq!((schedule.first, schedule.interruptions()), (1, 2));
        for bad in ["", "x", "0 1>2", "0 1.x>2", "0 1.2>", "0 .2>1", "0 1.2"] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_strategy_repeats_picks_only_who_is_ready_and_starves_nobody() {
        let mut strategies = Vec::new();
        for seed in 0..40 {
            let play = || {
                let mut picker = Picker::seeded(seed, 3, 100);
                let ready = [true, false, true];
                let mut who = picker.first(&ready).expect("somebody");
                let mut seen = vec![who];
                for step in 1..3 * PATIENCE {
                    who = picker
                        .next(who, Some(step), step, &ready)
                        .expect("somebody");
                    seen.push(who);
                }
                assert_eq!(picker.next(0, None, 0, &[false, false, false]), None);
                (picker.strategy(), seen)
            };
            let (strategy, seen) = play();
            assert_eq!(play().1, seen, "seed {seed}");
            assert!(
                seen.contains(&0) && seen.contains(&2) && !seen.contains(&1),
                "seed {seed}, {strategy}"
            );
            if !strategies.contains(&strategy) {
                strategies.push(strategy);
            }
        }
        assert_eq!(strategies.len(), 3, "{strategies:?}");
    }
}
