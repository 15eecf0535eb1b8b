//! The set-associative table over a [`CounterStore`]: a fixed set of keys, one entry a set.
//!
//! **In:** the limits that share a client key. **Out:** their outcomes, written in one compare-and-swap.
//! **Invariant:** a refused request writes nothing. A swap without a version from the store is never tried.
//! **Cost:** a load and a swap; at most [`MAX_TRIES`] of them under contention.

use alloc::vec::Vec;

use super::bytes::MAX_TIME;
use super::concurrency::{self, Held};
use super::counts::{Exhausted, Rule};
use super::entry::{self, Change, Next, Slot, Visit};
use super::fields::Met;
use super::lease::{Lease, Leases};
use super::presence;
use super::{Algorithm, Bans, Due, Limit, LimitStage, Place, Reservation, Worker};
use crate::env::{Cas, Env, Outside, TableEvent};
use crate::sets::{MAX_TRIES, Sets, load, swap};
use crate::units::{Monotonic, Quota};
use crate::verdict::Reason;

/// Sets when the policy says nothing: 65,536 clients a limit.
pub const DEFAULT_SETS: u32 = 8192;
/// Clients that a set holds for each limit, when the policy says nothing.
pub const DEFAULT_WAYS: u8 = 8;

/// Below this an entry is not checked against its bound.
const SMALL: usize = 512;

/// What a visit may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Charge if nobody refuses.
    Charge,
    /// Only tell what would be refused.
    Look,
}

/// What one limit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Charged under `mark`.
    Admitted { mark: u64 },
    /// Over its quota; not by its own charges if it only meets the floor.
    Refused { wait_ms: u64, own: bool },
}

/// One limit's work on a client's state.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) index: usize,
    pub(super) outcome: Outcome,
    pub(super) quota: Quota,
    cost: u32,
    monitor: bool,
    id: u32,
    /// When it was looked at.
    now: u64,
    state: State,
    /// What of the charge is not for this request.
    lease: Option<Lease>,
}

/// What a limit keeps of a client.
#[derive(Debug, Clone)]
enum State {
    Charged(Rule, Slot),
    InFlight(Held),
}

impl Work {
    /// Charges that count now, an admitted one's own among them.
    pub(super) fn used(&self) -> u64 {
        match &self.state {
            State::Charged(rule, slot) => slot.counts.total(*rule),
            State::InFlight(held) => held.used(),
        }
    }

    /// What a newcomer found charged already, in thousandths of its quota; 0 for a client of its own record.
    fn floor(&self) -> u32 {
        let State::Charged(rule, slot) = &self.state else {
            return 0;
        };
        if slot.resident {
            return 0;
        }
        let own = match self.outcome {
            Outcome::Admitted { .. } => u64::from(self.cost),
            Outcome::Refused { .. } => 0,
        };
        let met = self.used().saturating_sub(own).saturating_mul(1000);
        let share = met.checked_div(u64::from(rule.capacity()));
        u32::try_from(share.unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Charges that could still be made now.
    pub(super) fn remaining(&self) -> u64 {
        match &self.state {
            State::Charged(rule, slot) => slot.counts.remaining(*rule),
            State::InFlight(held) => u64::from(self.quota.count).saturating_sub(held.used()),
        }
    }

    /// As it stands now, for the client.
    pub(super) fn met(&self, key: u64) -> Met {
        let wait_ms = match (&self.state, self.outcome) {
            (State::InFlight(_), _) => None,
            (State::Charged(..), Outcome::Refused { wait_ms, .. }) => Some(wait_ms),
            (State::Charged(rule, slot), Outcome::Admitted { .. }) => {
                more_ms(slot, *rule, self.now).map(|more| more.saturating_sub(self.now))
            }
        };
        // What it has charged ahead is the client's.
        let ahead = self.lease.map_or(0, |lease| u64::from(lease.left));
        Met {
            index: self.index,
            quota: self.quota,
            remaining: self.remaining().saturating_add(ahead),
            wait_ms,
            key: Some(key),
            taken: match self.outcome {
                Outcome::Admitted { .. } => self.cost,
                Outcome::Refused { .. } => 0,
            },
        }
    }

    /// What gives a charge back.
    pub(super) const fn reservation(&self, key: u64) -> Option<Reservation> {
        match (&self.state, self.outcome) {
            (State::Charged(..), Outcome::Admitted { mark }) => Some(Reservation {
                limit: self.index,
                key,
                slot: mark,
                cost: self.cost,
                quota: self.quota,
            }),
            _ => None,
        }
    }

    /// The place in flight that was taken.
    pub(super) fn place(&self, key: u64) -> Option<Place> {
        match (&self.state, self.outcome) {
            (State::InFlight(_), Outcome::Admitted { mark }) => Some(Place {
                limit: self.index,
                key,
                quota: self.quota,
                taken: concurrency::Taken::of_mark(mark),
            }),
            _ => None,
        }
    }

    /// Keeps what was charged ahead; an older lease has gone back with the same swap.
    fn keep_lease(&self, key: u64, leases: &mut Leases) {
        if !matches!(self.outcome, Outcome::Admitted { .. }) {
            return;
        }
        if leases.left(self.id, key).is_some() {
            leases.end(self.id, key);
        }
        if let Some(lease) = self.lease {
            leases.put(lease);
        }
    }

    /// Whether the list of workers must be read again to judge this.
    const fn meets_newer(&self) -> bool {
        matches!(&self.state, State::InFlight(held) if held.newer)
    }
}

/// How often a visit reads the list of workers again: each time another has joined meanwhile. More than that is no
/// worker's doing.
const MAX_LOOKS: u32 = 4;

/// How a limit stands for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    /// Charges that count now.
    pub(super) used: u64,
    /// Charges that could still be made.
    pub(super) remaining: u64,
    /// Until there is one more; nothing: all are there, or nobody knows.
    pub(super) wait_ms: Option<u64>,
}

/// A set's entry, as a request has read it.
#[derive(Debug)]
pub(super) struct Seen {
    name: [u8; 8],
    cas: Cas,
    entry: Vec<u8>,
}

impl Seen {
    /// The time to judge by, never before the newest of the entry, and the bans in it.
    pub(super) fn bans(&self, now: Monotonic) -> (u64, &[u8]) {
        let now = now.0.min(MAX_TIME).max(entry::newest(&self.entry));
        (now, entry::body(&self.entry, entry::BANS, now))
    }
}

/// The table of one policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'p> {
    stage: &'p LimitStage,
    sets: Sets,
}

impl<'p> Table<'p> {
    pub(super) fn new(stage: &'p LimitStage) -> Self {
        let sets = Sets::new(*b"pl", entry::LAYOUT, stage.sets);
        Self { stage, sets }
    }

    pub(super) const fn bans(self) -> &'p Bans {
        &self.stage.bans
    }

    /// Reads the set of a key.
    pub(super) fn see<S: Outside>(self, key: u64, env: &mut Env<'_, S>) -> Result<Seen, Reason> {
        let name = self.sets.name(key);
        let mut entry = Vec::new();
        let cas = read(env.counters, &name, &mut entry)?;
        Ok(Seen { name, cas, entry })
    }

    /// How a limit stands for a key. Writes nothing.
    pub(super) fn peek<S: Outside>(
        self,
        limit: &Limit,
        quota: Quota,
        key: u64,
        env: &mut Env<'_, S>,
    ) -> Result<Stand, Reason> {
        let Seen { entry, .. } = self.see(key, env)?;
        let now = env.now.0.min(MAX_TIME).max(entry::newest(&entry));
        let (id, tag) = (limit.id(quota), entry::tag_of(key));
        if limit.algorithm == Algorithm::Concurrency {
            let ways = self.stage.ways();
            let presence = &env.counters.worker().presence;
            let used = Held::read(entry::body(&entry, id, now), tag, ways, presence).used();
            return Ok(Stand {
                used,
                remaining: u64::from(quota.count).saturating_sub(used),
                wait_ms: None,
            });
        }
        let rule = Rule::new(limit, quota);
        let slot = entry::slot(&entry, id, tag, rule, now);
        Ok(Stand {
            used: slot.counts.total(rule),
            remaining: slot.counts.remaining(rule),
            wait_ms: more_ms(&slot, rule, now).map(|more| more.saturating_sub(now)),
        })
    }

    /// Lets `judge` change the bans in a key's set: it gets them and the time, writes all of them anew, and says when
    /// nothing of them counts any more. Nothing: they stay as they are. Again when somebody else wrote first.
    pub(super) fn change_bans<T, S: Outside>(
        self,
        key: u64,
        env: &mut Env<'_, S>,
        mut judge: impl FnMut(&[u8], u64, &mut Vec<u8>) -> (T, Option<u64>),
    ) -> Result<T, Reason> {
        let name = self.sets.name(key);
        let (mut old, mut new, mut bans) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..MAX_TRIES {
            let cas = read(env.counters, &name, &mut old)?;
            let now = env.now.0.min(MAX_TIME).max(entry::newest(&old));
            bans.clear();
            let (answer, gone_by) = judge(entry::body(&old, entry::BANS, now), now, &mut bans);
            let Some(gone_by) = gone_by else {
                return Ok(answer);
            };
            let next = Next::Bans {
                body: &bans,
                gone_by,
            };
            let id = entry::BANS;
            let visit = self.visit_of(0, now);
            self.rewrite(&old, visit, &[Change { id, next }], &mut new);
            if swap(env.counters, &name, &new, cas)? {
                return Ok(answer);
            }
            env.counters.table(TableEvent::Conflict);
        }
        Err(Reason::CountersContended)
    }

    /// Judges all of `due` that have `key`, and writes what they charge. What was `seen` of the set stands for the first
    /// look: if it is not so any more, the swap fails.
    pub(super) fn visit<S: Outside>(
        self,
        due: &[Due<'p>],
        key: u64,
        purpose: Purpose,
        seen: &mut Option<Seen>,
        env: &mut Env<'_, S>,
    ) -> Result<Vec<Work>, Reason> {
        let name = self.sets.name(key);
        let tag = entry::tag_of(key);
        let mut old = Vec::new();
        let mut new = Vec::new();
        let mut works: Vec<Work> = Vec::new();
        let flies = |one: &Due<'_>| one.key == key && one.limit.algorithm == Algorithm::Concurrency;
        if due.iter().any(flies) {
            presence::join(env)?;
        }
        // Who goes to the store for one limit charges the others there as well.
        let lends = due.iter().all(|one| one.key != key || one.limit.lease > 0);
        let mut looks = 0_u32;
        let mut seen = seen.take_if(|seen| seen.name == name);
        for _ in 0..MAX_TRIES {
            let cas = if let Some(seen) = seen.take() {
                old = seen.entry;
                seen.cas
            } else {
                read(env.counters, &name, &mut old)?
            };
            let now = env.now.0.min(MAX_TIME).max(entry::newest(&old));
            let worker = env.counters.worker();
            works.clear();
            for one in due.iter().filter(|one| one.key == key) {
                works.push(work(one, &old, self.visit_of(tag, now), lends, worker));
            }
            if looks < MAX_LOOKS && works.iter().any(Work::meets_newer) {
                looks = looks.saturating_add(1);
                presence::look(env)?;
                continue;
            }
            let floor = works.iter().fold(0, |most, work| most.max(work.floor()));
            if floor > 0 {
                env.counters.table(TableEvent::Floor(floor));
            }
            let refused = works
                .iter()
                .any(|work| !work.monitor && !matches!(work.outcome, Outcome::Admitted { .. }));
            if refused || purpose == Purpose::Look {
                return Ok(works);
            }
            let presence = &env.counters.worker().presence;
            let mut changes: Vec<Change<'_>> = Vec::new();
            for work in &works {
                if matches!(work.outcome, Outcome::Admitted { .. }) {
                    changes.push(Change {
                        id: work.id,
                        next: match &work.state {
                            State::Charged(rule, slot) => Next::Charged { rule: *rule, slot },
                            State::InFlight(held) => Next::InFlight { held, presence },
                        },
                    });
                }
            }
            if changes.is_empty() {
                return Ok(works);
            }
            let visit = self.visit_of(tag, now);
            let evicted = self.rewrite(&old, visit, &changes, &mut new);
            if swap(env.counters, &name, &new, cas)? {
                if evicted > 0 {
                    env.counters.table(TableEvent::Evicted(evicted));
                }
                if lends {
                    let leases = &mut env.counters.worker().leases;
                    for work in &works {
                        work.keep_lease(key, leases);
                    }
                }
                return Ok(works);
            }
            env.counters.table(TableEvent::Conflict);
        }
        Err(Reason::CountersContended)
    }

    /// Takes back one charge, if it still counts. What the store refuses stays charged.
    pub(super) fn give_back<S: Outside>(self, reservation: &Reservation, env: &mut Env<'_, S>) {
        let Some(limit) = self.stage.limits.get(reservation.limit) else {
            return;
        };
        let name = self.sets.name(reservation.key);
        let tag = entry::tag_of(reservation.key);
        let rule = Rule::new(limit, reservation.quota);
        let id = limit.id(reservation.quota);
        let mut old = Vec::new();
        let mut new = Vec::new();
        for _ in 0..MAX_TRIES {
            let Ok(cas) = load(env.counters, &name, &mut old) else {
                return;
            };
            let now = env.now.0.min(MAX_TIME).max(entry::newest(&old));
            let mut slot = entry::slot(&old, id, tag, rule, now);
            // The floor is not the client's own: an evicted client's charge cannot be taken back.
            let (mark, cost) = (reservation.slot, reservation.cost);
            if !slot.resident || !slot.counts.give_back(rule, now, mark, cost) {
                return;
            }
            self.rewrite(
                &old,
                self.visit_of(tag, now),
                &[Change {
                    id,
                    next: Next::Charged { rule, slot: &slot },
                }],
                &mut new,
            );
            match swap(env.counters, &name, &new, cas) {
                Ok(false) => env.counters.table(TableEvent::Conflict),
                Ok(true) | Err(_) => return,
            }
        }
    }

    /// Gives back a place in flight. One that is not there any more (its worker was taken for dead) is done with.
    pub(super) fn leave<S: Outside>(
        self,
        place: &Place,
        env: &mut Env<'_, S>,
    ) -> Result<(), Reason> {
        let Some(limit) = self.stage.limits.get(place.limit) else {
            return Ok(());
        };
        let name = self.sets.name(place.key);
        let tag = entry::tag_of(place.key);
        let id = limit.id(place.quota);
        let mut old = Vec::new();
        let mut new = Vec::new();
        for _ in 0..MAX_TRIES {
            let cas = load(env.counters, &name, &mut old)?;
            let now = env.now.0.min(MAX_TIME).max(entry::newest(&old));
            let presence = &env.counters.worker().presence;
            let body = entry::body(&old, id, now);
            let Some(held) = Held::without(body, tag, place.taken, presence) else {
                return Ok(());
            };
            let next = Next::InFlight {
                held: &held,
                presence,
            };
            let changes = [Change { id, next }];
            self.rewrite(&old, self.visit_of(tag, now), &changes, &mut new);
            if swap(env.counters, &name, &new, cas)? {
                return Ok(());
            }
        }
        Err(Reason::CountersContended)
    }

    pub(super) fn sets(self) -> u64 {
        self.sets.count()
    }

    pub(super) fn most_bytes(self) -> u64 {
        self.sets.most_bytes(self.entry_bytes())
    }

    /// Bytes of the longest entry of this policy.
    fn entry_bytes(self) -> u64 {
        let records = u64::try_from(self.stage.ways().saturating_add(1)).unwrap_or(u64::MAX);
        let bans = entry::ENTRY_BYTES.saturating_add(self.stage.bans.group_bytes());
        self.stage.limits.iter().fold(bans, |sum, limit| {
            let state = match limit.algorithm {
                Algorithm::Concurrency => concurrency::most_bytes(limit.quotas().1),
                _ => Rule::new(limit, limit.quota).most_bytes(),
            };
            let record = state.saturating_add(entry::RECORD_BYTES);
            sum.saturating_add(entry::GROUP_BYTES)
                .saturating_add(record.saturating_mul(records))
        })
    }

    fn visit_of(self, tag: u64, now: u64) -> Visit {
        let ways = self.stage.ways();
        Visit { tag, now, ways }
    }

    /// The next value. Counts of an older policy's limits stay as long as there is room for them.
    fn rewrite(self, old: &[u8], visit: Visit, changes: &[Change<'_>], new: &mut Vec<u8>) -> u32 {
        let evicted = entry::rewrite(old, visit, changes, None, new);
        if new.len() <= SMALL {
            return evicted;
        }
        let most = usize::try_from(self.entry_bytes()).unwrap_or(usize::MAX);
        if new.len() > most {
            let mut ids = Vec::new();
            if self.stage.bans.is_used() {
                ids.push(entry::BANS);
            }
            for limit in &self.stage.limits {
                ids.push(limit.id(limit.quota));
            }
            entry::rewrite(old, visit, changes, Some(&ids), new);
        }
        evicted
    }
}

/// Reads an entry; one that cannot be read in full is told.
fn read<S: Outside>(store: &mut S, name: &[u8], out: &mut Vec<u8>) -> Result<Cas, Reason> {
    let cas = load(store, name, out)?;
    if !entry::is_sound(out) {
        store.table(TableEvent::Unreadable);
    }
    Ok(cas)
}

/// Judges one limit on a copy of the client's state.
fn work(due: &Due<'_>, entry: &[u8], visit: Visit, lends: bool, worker: &mut Worker) -> Work {
    let Visit { tag, now, ways } = visit;
    let id = due.limit.id(due.quota);
    let presence = &worker.presence;
    let mut lease = None;
    let (outcome, state) = if due.limit.algorithm == Algorithm::Concurrency {
        let mut held = Held::read(entry::body(entry, id, now), tag, ways, presence);
        let outcome = match held.admit(due.quota.count, presence.id()) {
            Some(taken) => Outcome::Admitted { mark: taken.mark() },
            None => Outcome::Refused {
                wait_ms: concurrency::WAIT_MS,
                own: false,
            },
        };
        (outcome, State::InFlight(held))
    } else {
        let rule = Rule::new(due.limit, due.quota);
        let mut slot = entry::slot(entry, id, tag, rule, now);
        let outcome = if lends {
            let leases = &mut worker.leases;
            if let Some(rest) = leases.left(id, due.key)
                && slot.resident
            {
                slot.counts.give_back(rule, now, rest.mark, rest.left);
            }
            ahead(&mut slot, due, rule, now, leases, &mut lease)
        } else {
            None
        };
        let outcome = outcome.unwrap_or_else(|| judge(&mut slot, due, rule, now));
        (outcome, State::Charged(rule, slot))
    };
    Work {
        index: due.index,
        outcome,
        quota: due.quota,
        cost: due.cost,
        monitor: due.limit.monitor,
        id,
        now,
        state,
        lease,
    }
}

/// Charges a whole lease, for a client that has used as much already: who comes once needs none. Nothing: it is not to
/// be had, or there is no room for it.
fn ahead(
    slot: &mut Slot,
    due: &Due<'_>,
    rule: Rule,
    now: u64,
    leases: &mut Leases,
    lease: &mut Option<Lease>,
) -> Option<Outcome> {
    let (id, key) = (due.limit.id(due.quota), due.key);
    let most = due.limit.lease;
    if slot.counts.total(rule) < u64::from(most) || most <= due.cost || !leases.has_room(id, key) {
        return None;
    }
    let mark = slot.counts.admit(rule, now, most).ok()?;
    *lease = Some(Lease {
        limit: id,
        key,
        left: most.saturating_sub(due.cost),
        mark,
        until_ms: rule.lease_until(now),
        used: slot.counts.total(rule),
        remaining: slot.counts.remaining(rule),
        more_ms: more_ms(slot, rule, now),
        quota: due.quota,
    });
    Some(Outcome::Admitted { mark })
}

/// When there is more than now; nothing: all is there.
fn more_ms(slot: &Slot, rule: Rule, now: u64) -> Option<u64> {
    // More than there is: it says until when that is so. More than there can be: all is there.
    let more = slot.counts.remaining(rule).saturating_add(1);
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    if more > rule.capacity() {
        return None;
    }
    let exhausted = slot.counts.clone().admit(rule, now, more).err()?;
    Some(exhausted.until_ms)
}

fn judge(slot: &mut Slot, due: &Due<'_>, rule: Rule, now: u64) -> Outcome {
    match slot.counts.admit(rule, now, due.cost) {
        Ok(mark) => Outcome::Admitted { mark },
        Err(Exhausted { until_ms }) => Outcome::Refused {
            wait_ms: until_ms.saturating_sub(now),
            own: slot.resident,
        },
    }
}
