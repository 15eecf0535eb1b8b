//! What is still to happen in a VM's own time: ticks, and answers to call-outs that a script gave.
//!
//! In: time that passes. Out: callbacks in the order they are due; a call-out's answer comes before a tick of the same moment.
//! Invariant: nothing waits for real time. A virtual clock moves with the agenda; beside a system clock only the order counts.

use std::time::Duration;

use crate::{
    error::Error,
    state::callouts::{CallId, Callout, CalloutEvent, CalloutFailure, CalloutScript},
    stream::{Step, StreamId},
    vm::Vm,
};

/// Call-outs remembered for the next outcome.
const MAX_SEEN: usize = 1 << 16;
/// Things that may happen in one moment: a guest that answers each answer with a call does not hold up time for ever.
pub(crate) const MAX_AT_ONCE: usize = 1000;

/// Streams that moved.
type Moved = Vec<(StreamId, Step)>;

#[derive(Default)]
pub(crate) struct Agenda {
    pub(crate) script: Option<CalloutScript>,
    /// How long until each event, in the order they were foreseen.
    due: Vec<(Duration, CallId, CalloutEvent)>,
    since_tick: Duration,
    seen: Vec<Callout>,
}

impl Agenda {
    pub(crate) fn new(script: Option<CalloutScript>) -> Self {
        Self {
            script,
            ..Self::default()
        }
    }

    /// A tick has just run.
    pub(crate) const fn ticked(&mut self) {
        self.since_tick = Duration::ZERO;
    }

    /// Call-outs since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Callout> {
        std::mem::take(&mut self.seen)
    }

    /// Takes in what a guest asked for.
    fn foresee(&mut self, callout: Callout) {
        let id = callout.id();
        if matches!(callout, Callout::Cancel { .. }) {
            self.due.retain(|(_, call, _)| *call != id);
        } else {
            let timeout = callout.timeout();
            let limit = timeout.unwrap_or(Duration::MAX);
            let mut answers = self
                .script
                .as_mut()
                .map(|script| script(&callout))
                .unwrap_or_default();
            // An answer in the last moment is in time; what comes after the last event is dropped by `deliver`.
            answers.retain(|(delay, _)| *delay <= limit);
            let late = timeout.map_or_else(Vec::new, |_| callout.failed(CalloutFailure::Timeout));
            let late = late.into_iter().map(|event| (limit, event));
            self.due.extend(
                answers
                    .into_iter()
                    .chain(late)
                    .map(|(delay, event)| (delay, id, event)),
            );
        }
        if self.seen.len() < MAX_SEEN {
            self.seen.push(callout);
        }
    }

    fn next(&self) -> Option<(usize, Duration)> {
        self.due
            .iter()
            .enumerate()
            .map(|(position, (left, _, _))| (position, *left))
            .min_by_key(|(_, left)| *left)
    }
}

impl Vm {
    /// Lets time pass: ticks and scripted answers to call-outs happen when they are due, a virtual clock moving along. Returns the
    /// streams that moved.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn advance(&mut self, by: Duration) -> Result<Vec<(StreamId, Step)>, Error> {
        let mut left = by;
        let mut moved = self.poll()?;
        let mut at_once = 0;
        while let Some((passed, steps)) = self.next_event(left)? {
            moved.extend(steps);
            left = left.saturating_sub(passed);
            at_once = if passed.is_zero() { at_once + 1 } else { 0 };
            if at_once > MAX_AT_ONCE {
                break;
            }
        }
        self.pass(left);
        Ok(moved)
    }

    /// Moves on to the next thing due within `limit` and does it; says how long that took. `None`: nothing is due, no time has passed.
    pub(crate) fn next_event(
        &mut self,
        limit: Duration,
    ) -> Result<Option<(Duration, Moved)>, Error> {
        self.foresee();
        let tick = self
            .tick_period()
            .map(|period| period.saturating_sub(self.agenda.since_tick));
        let answer = self.agenda.next();
        let answer_first =
            answer.filter(|(_, left)| tick.is_none_or(|until_tick| *left <= until_tick));
        if let Some((position, left)) = answer_first {
            if left > limit {
                return Ok(None);
            }
            let (_, call, event) = self.agenda.due.remove(position);
            self.pass(left);
            return Ok(Some((left, self.deliver(call, event)?)));
        }
        let Some(left) = tick.filter(|left| *left <= limit) else {
            return Ok(None);
        };
        self.pass(left);
        Ok(Some((left, self.tick()?)))
    }

    /// Asks the script about what the guest has asked for by now.
    pub(crate) fn foresee(&mut self) {
        for callout in self.take_callouts() {
            self.agenda.foresee(callout);
        }
    }

    fn pass(&mut self, by: Duration) {
        self.clock().advance(by);
        if self.tick_period().is_some() {
            self.agenda.since_tick = self.agenda.since_tick.saturating_add(by);
        }
        for (left, _, _) in &mut self.agenda.due {
            *left = left.saturating_sub(by);
        }
    }
}
