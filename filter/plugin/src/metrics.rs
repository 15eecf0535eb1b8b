//! The metric names, from one table, and the counts between two ticks.
//!
//! | name (Envoy shows it as `wasmcustom.<name>`) | counts |
//! |---|---|
//! | `palisade.requests` | requests judged |
//! | `palisade.streamed` | bodies that passed unseen (gRPC, upgrades, streaming routes), or unseen behind `body.max` |
//! | `palisade.host_failures` | requests refused because a hostcall failed |
//! | `palisade.fleet.calls` | calls to rate limit services |
//! | `palisade.fleet.failures` | those without an answer that can be read |
//! | `palisade.table.evictions` | clients that made room in a full set of the limits' table |
//! | `palisade.table.conflicts` | charges tried again because another worker wrote first |
//! | `palisade.table.bans_dropped` | bans that stood and had to go for want of room |
//! | `palisade.table.unreadable` | values in shared data that nobody of ours can have written: what they held counts for nothing |
//! | `palisade.leases.taken` | times that a worker charged places ahead (`lease`) |
//! | `palisade.leases.returned` | those of which some were not used, and given back |
//! | `palisade.except.<name>` | requests that would have had points but for this exception of `injection.except` |
//! | `palisade.denied.<code>` | refusals by reason |
//! | `palisade.monitored.<code>` | findings that monitor mode let pass, by reason |
//! | `palisade.stage.<stage>.denied`, `….monitored` | the same by stage |
//!
//! **Invariant:** a name never holds a byte a client chose. Hosts have no labels: `stats_tags` takes the last part.

use palisade_engine::verdict::{Reason, Stage};

/// Something to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A request was judged.
    Request,
    /// A body passed unseen.
    Streamed,
    /// A hostcall failed.
    HostFailure,
    /// A rate limit service was called.
    FleetCall,
    /// It did not answer so that it can be read.
    FleetFailure,
    /// So many clients made room in the limits' table.
    Evicted(u32),
    /// So many lost races for an entry of it.
    Conflicts(u32),
    /// So many bans that stood had to go.
    BansDropped(u32),
    /// So many values could not be read.
    Unreadable(u32),
    /// So many times places were charged ahead.
    LeasesTaken(u64),
    /// So many of those were not used up, and given back.
    LeasesReturned(u64),
    /// A refusal.
    Denied(Stage, Reason),
    /// A finding that was let pass.
    Monitored(Stage, Reason),
}

/// Counts since the last flush, in the order of [`names`].
#[derive(Debug)]
pub struct Meters {
    counts: [u64; SLOTS],
}

impl Default for Meters {
    fn default() -> Self {
        Self { counts: [0; SLOTS] }
    }
}

impl Meters {
    /// Counts one.
    pub fn add(&mut self, count: Count) {
        match count {
            Count::Request => self.bump(0),
            Count::Streamed => self.bump(1),
            Count::HostFailure => self.bump(2),
            Count::FleetCall => self.bump(3),
            Count::FleetFailure => self.bump(4),
            Count::Evicted(many) => self.bump_by(5, u64::from(many)),
            Count::Conflicts(many) => self.bump_by(6, u64::from(many)),
            Count::BansDropped(many) => self.bump_by(7, u64::from(many)),
            Count::Unreadable(many) => self.bump_by(8, u64::from(many)),
            Count::LeasesTaken(many) => self.bump_by(9, many),
            Count::LeasesReturned(many) => self.bump_by(10, many),
            Count::Denied(stage, reason) => {
                self.bump(DENIED.saturating_add(reason_index(reason)));
                self.bump(STAGE_DENIED.saturating_add(stage_index(stage)));
            }
            Count::Monitored(stage, reason) => {
                self.bump(MONITORED.saturating_add(reason_index(reason)));
                self.bump(STAGE_MONITORED.saturating_add(stage_index(stage)));
            }
        }
    }

    /// Counts several.
    pub fn add_times(&mut self, count: Count, times: u32) {
        for _ in 0..times {
            self.add(count);
        }
    }

    /// Takes all counts: position in [`names`] and number, the zeros too.
    pub fn take(&mut self) -> impl Iterator<Item = u64> {
        core::mem::replace(&mut self.counts, [0; SLOTS]).into_iter()
    }

    fn bump(&mut self, index: usize) {
        self.bump_by(index, 1);
    }

    fn bump_by(&mut self, index: usize, many: u64) {
        if let Some(slot) = self.counts.get_mut(index) {
            *slot = slot.saturating_add(many);
        }
    }
}

/// The gauge beside the counters: the highest floor of the limits' table that newcomers met between two ticks of the worker
/// that reported last, in thousandths of their quota.
pub const FLOOR: &str = "palisade.table.floor";

/// Before the name of an exception: requests that it was of use to.
pub const EXCEPT: &str = "palisade.except.";

/// All names, in order. Configure time only.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "requests",
        "streamed",
        "host_failures",
        "fleet.calls",
        "fleet.failures",
        "table.evictions",
        "table.conflicts",
        "table.bans_dropped",
        "table.unreadable",
        "leases.taken",
        "leases.returned",
    ]
    .map(|name| format!("palisade.{name}"))
    .into();
    for kind in ["denied", "monitored"] {
        for reason in Reason::ALL {
            names.push(format!("palisade.{kind}.{}", reason.row().code));
        }
    }
    for kind in ["denied", "monitored"] {
        for stage in STAGES {
            names.push(format!("palisade.stage.{}.{kind}", stage_name(stage)));
        }
    }
    names
}

/// A stage's name in metrics and events.
#[must_use]
pub const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Request => "request",
        Stage::Route => "route",
        Stage::Access => "access",
        Stage::Headers => "headers",
        Stage::Limits => "limits",
        Stage::Token => "token",
        Stage::Authorize => "authorize",
        Stage::Injection => "injection",
        Stage::Body => "body",
    }
}

const STAGES: [Stage; 9] = [
    Stage::Request,
    Stage::Route,
    Stage::Access,
    Stage::Headers,
    Stage::Limits,
    Stage::Token,
    Stage::Authorize,
    Stage::Injection,
    Stage::Body,
];
const REASONS: usize = Reason::ALL.len();
const DENIED: usize = 11;
const MONITORED: usize = DENIED + REASONS;
const STAGE_DENIED: usize = MONITORED + REASONS;
const STAGE_MONITORED: usize = STAGE_DENIED + STAGES.len();
const SLOTS: usize = STAGE_MONITORED + STAGES.len();

fn reason_index(reason: Reason) -> usize {
    Reason::ALL
        .iter()
        .position(|other| *other == reason)
        .unwrap_or(SLOTS)
}

fn stage_index(stage: Stage) -> usize {
    STAGES
        .iter()
        .position(|other| *other == stage)
        .unwrap_or(SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count: Count) -> Vec<String> {
        let mut meters = Meters::default();
        meters.add(count);
        let found = names()
            .into_iter()
            .zip(meters.take())
            .filter(|(_, number)| *number == 1)
            .map(|(name, _)| name)
            .collect();
        assert!(meters.take().all(|number| number == 0));
        found
    }

    #[test]
    fn names_and_slots_agree() {
        assert_eq!(names().len(), SLOTS);
        assert_eq!(counted(Count::Request), ["palisade.requests"]);
        assert_eq!(counted(Count::LeasesTaken(1)), ["palisade.leases.taken"]);
        assert_eq!(
            counted(Count::LeasesReturned(1)),
            ["palisade.leases.returned"]
        );
        assert_eq!(counted(Count::Streamed), ["palisade.streamed"]);
        assert_eq!(counted(Count::HostFailure), ["palisade.host_failures"]);
        assert_eq!(counted(Count::FleetCall), ["palisade.fleet.calls"]);
        assert_eq!(counted(Count::FleetFailure), ["palisade.fleet.failures"]);
        assert_eq!(counted(Count::Evicted(1)), ["palisade.table.evictions"]);
        assert_eq!(counted(Count::Conflicts(1)), ["palisade.table.conflicts"]);
        assert_eq!(
            counted(Count::BansDropped(1)),
            ["palisade.table.bans_dropped"]
        );
        assert_eq!(counted(Count::Unreadable(1)), ["palisade.table.unreadable"]);
        for reason in Reason::ALL {
            for stage in STAGES {
                let (code, name) = (reason.row().code, stage_name(stage));
                assert_eq!(
                    counted(Count::Denied(stage, reason)),
                    [
                        format!("palisade.denied.{code}"),
                        format!("palisade.stage.{name}.denied")
                    ]
                );
                assert_eq!(
                    counted(Count::Monitored(stage, reason)),
                    [
                        format!("palisade.monitored.{code}"),
                        format!("palisade.stage.{name}.monitored")
                    ]
                );
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut all = names();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), SLOTS);
    }
}
