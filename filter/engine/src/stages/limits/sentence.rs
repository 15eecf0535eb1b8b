//! Between what is held against somebody and the table of bans: who is stopped, what counts as an excess, what is reported.
//!
//! **In:** facts of a request, refusals by limits. **Out:** a [`Denial`], findings. **Invariant:** who is banned is refused before any
//! limit of the phase is looked at; where a refusal is only reported, so is the ban. An excess that cannot be counted is
//! refused all the same, and said. Refusals of requests in flight (`concurrency`) are no excesses: the client cannot know how
//! many of its requests a slow upstream still holds. **Cost:** a look is one load, which the limits with the same key use
//! as well; an excess one load and one swap.

use super::bans::{self, Excess, Struck, Who};
use super::table::{Seen, Table};
use super::{Cause, Facts, Limit, LimitStage, Phase, Scope, fields, violated};
use crate::env::{Env, Note, Outside};
use crate::finding::{Finding, Findings};
use crate::verdict::{Denial, Reason, Stage};

impl LimitStage {
    /// Who asks, where anybody can be banned; nobody: whoever asks from an address that is never banned.
    #[must_use]
    pub fn who(&self, facts: &Facts<'_>) -> Option<Who> {
        (self.bans.is_used() && !self.never_bans(facts.client))
            .then(|| Who::new(&self.hash_key, facts))
            .flatten()
    }

    /// Something was seen of a request that may lead to a ban: `points` of an attack, for others 1. Milliseconds of the
    /// longest ban that begins and is enforced; 0: none.
    pub fn signal<S: Outside>(
        &self,
        cause: Cause,
        points: u32,
        who: Option<&Who>,
        monitor: bool,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> u64 {
        let mut banned_ms = 0;
        for signal in &self.bans.signals {
            if signal.cause == cause {
                let excess = Excess {
                    penalty: &signal.penalty,
                    rule: bans::rule(cause.name()),
                    points: if signal.points { points } else { 1 },
                    monitor,
                };
                banned_ms = banned_ms.max(self.strike(cause.name(), excess, who, env, found));
            }
        }
        banned_ms
    }

    /// Refuses who is banned; else the set that was looked at, for limits that count in it.
    pub(super) fn stopped<S: Outside>(
        &self,
        phase: Phase,
        who: Option<&Who>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<Option<Seen>, Denial> {
        let scope = match phase {
            _ if !self.bans.stop_in(phase) => return Ok(None),
            Phase::Subject => Scope::Subject,
            Phase::Client | Phase::Credential | Phase::Field => Scope::Client,
        };
        let Some(who) = who else {
            return Ok(None);
        };
        let (stands, seen) = match Table::new(self).look(who, scope, env) {
            Ok(looked) => looked,
            Err(reason) => {
                found.push(Finding::new(Stage::Limits, reason).rule(b"bans"));
                if self.bans.enforces {
                    return Err(Denial::new(Stage::Limits, reason));
                }
                return Ok(None);
            }
        };
        for standing in stands.monitored.iter().chain(&stands.enforced) {
            let finding = Finding::new(Stage::Limits, Reason::Banned);
            let finding = finding.rule(self.any_rule_name(standing.rule));
            found.push(finding.place(standing.scope.name().as_bytes(), b""));
            tell(standing.wait_ms, env);
        }
        let Some(standing) = stands.enforced else {
            return Ok(seen);
        };
        let mut denial = fields::banned(standing.wait_ms);
        let limits = self.limits.iter();
        denial.violated = violated(limits.filter(|it| bans::rule(&it.name) == standing.rule));
        Err(denial)
    }

    /// Holds refusals against whom the limits' penalties and the signals mean. Milliseconds of the longest ban that begins and is
    /// enforced; 0: none.
    pub(super) fn punish<S: Outside>(
        &self,
        excesses: &[&Limit],
        who: Option<&Who>,
        monitor: bool,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> u64 {
        let mut banned_ms = 0;
        for limit in excesses {
            if let Some(penalty) = &limit.penalty {
                let excess = Excess {
                    penalty,
                    rule: bans::rule(&limit.name),
                    points: 1,
                    monitor: limit.monitor || monitor,
                };
                banned_ms = banned_ms.max(self.strike(&limit.name, excess, who, env, found));
            }
        }
        if !excesses.is_empty() {
            let watched = monitor || excesses.iter().all(|limit| limit.monitor);
            let begun = self.signal(Cause::Limits, 1, who, watched, env, found);
            banned_ms = banned_ms.max(begun);
        }
        banned_ms
    }

    /// Holds one excess against whom its penalty means. Milliseconds of the ban that begins, if it is enforced; else 0.
    fn strike<S: Outside>(
        &self,
        name: &[u8],
        excess: Excess<'_>,
        who: Option<&Who>,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> u64 {
        let scope = excess.penalty.scope;
        let Some(who) = who.and_then(|who| who.identity(scope)) else {
            return 0;
        };
        match Table::new(self).strike(who, excess, env) {
            Ok(Struck::Noted) => 0,
            Ok(Struck::Banned { wait_ms, dropped }) => {
                let finding = Finding::new(Stage::Limits, Reason::Banned).rule(name);
                found.push(finding.place(scope.name().as_bytes(), b""));
                if dropped {
                    let finding = Finding::new(Stage::Limits, Reason::Banned).rule(b"table.bans");
                    found.push(finding.evidence(b"full: the ban that ends soonest was dropped"));
                }
                tell(wait_ms, env);
                if excess.monitor { 0 } else { wait_ms }
            }
            Err(reason) => {
                found.push(Finding::new(Stage::Limits, reason).rule(b"bans"));
                0
            }
        }
    }

    /// The name of what set a ban; empty when it is of an older policy.
    pub(super) fn rule_name(&self, rule: u32) -> &[u8] {
        let limits = self.limits.iter().map(|limit| limit.name.as_slice());
        let signals = self.bans.signals.iter().map(|signal| signal.cause.name());
        limits
            .chain(signals)
            .find(|name| bans::rule(name) == rule)
            .unwrap_or_default()
    }
}

fn tell<S: Outside>(wait_ms: u64, env: &mut Env<'_, S>) {
    if env.counters.listens() {
        env.counters.note(Note::Banned { wait_ms });
    }
}
