//! The baton that workers pass: exactly one of them runs, and who is next is the schedule's choice.
//!
//! In: workers that come to a point where another could run. Out: they go on, one at a time, in an order that can be repeated.
//! Invariant: only the worker that holds the baton touches what is shared; a worker that ends, however it ends, hands it on.
//! Cost: a switch is one wake and one wait of a thread (a few µs); a point without a switch is one lock nobody else wants.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, Thread},
};

use crate::{
    simulate::schedule::{Picker, Schedule, Strategy, Switch},
    state::clock::Clock,
};

/// Something a worker did, in the order it happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Who.
    pub worker: usize,
    /// What.
    pub action: Action,
}

/// What a worker did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A request was answered.
    Answer {
        /// Its place in the traffic.
        request: usize,
        /// What the client saw; 0: nothing.
        status: u16,
        /// Whether it reached the upstream.
        admitted: bool,
    },
    /// A hostcall on shared state, or one that was made to fail.
    Call {
        /// Which.
        name: &'static str,
        /// The key, or the number of the queue or metric.
        key: Vec<u8>,
        /// The version given (set) or received (get).
        cas: u32,
        /// The value written or read.
        value: Vec<u8>,
        /// What the guest was told.
        status: i32,
        /// The simulation answered in the host's place.
        injected: bool,
    },
    /// The VM ended in the middle of a hostcall, as an injected crash.
    Crash {
        /// Which hostcall.
        call: &'static str,
    },
    /// A request begins.
    Request {
        /// Its place in the traffic.
        request: usize,
    },
    /// A VM started: the first one, or one after a crash or a restart.
    Start,
    /// The host's timer ran.
    Tick,
}

/// No worker's number: nobody has the baton yet, or all are done.
const NOBODY: usize = usize::MAX;

pub(super) struct World {
    turn: AtomicUsize,
    threads: OnceLock<Vec<Thread>>,
    inner: Mutex<Inner>,
    pub(super) clocks: Vec<Clock>,
    /// Time passed for all, in nanoseconds.
    pub(super) passed: AtomicU64,
}

struct Inner {
    picker: Picker,
    ready: Vec<bool>,
    /// Points each worker has passed.
    points: Vec<u64>,
    steps: u64,
    schedule: Schedule,
    hash: DefaultHasher,
    events: Option<Vec<Event>>,
}

/// What is left when all workers are done.
pub(super) struct Ending {
    pub(super) strategy: Strategy,
    pub(super) steps: u64,
    pub(super) schedule: Schedule,
    pub(super) fingerprint: u64,
    pub(super) events: Vec<Event>,
}

impl World {
    pub(super) fn new(picker: Picker, clocks: Vec<Clock>, record: bool) -> Self {
        Self {
            turn: AtomicUsize::new(NOBODY),
            threads: OnceLock::new(),
            inner: Mutex::new(Inner {
                picker,
                ready: vec![true; clocks.len()],
                points: vec![0; clocks.len()],
                steps: 0,
                schedule: Schedule::default(),
                // Its keys are fixed.
                hash: DefaultHasher::new(),
                events: record.then(Vec::new),
            }),
            clocks,
            passed: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the first worker go, once all threads are there.
    pub(super) fn begin(&self, threads: Vec<Thread>) {
        let _ = self.threads.set(threads);
        let mut inner = self.lock();
        let Inner { picker, ready, .. } = &mut *inner;
        let first = picker.first(ready).unwrap_or(0);
        inner.schedule.first = first;
        drop(inner);
        self.pass(first);
    }

    fn pass(&self, to: usize) {
        self.turn.store(to, Ordering::Release);
        if let Some(thread) = self.threads.get().and_then(|threads| threads.get(to)) {
            thread.unpark();
        }
    }

    fn wait(&self, me: usize) {
        while self.turn.load(Ordering::Acquire) != me {
            thread::park();
        }
    }

    /// Waits for the baton; it is handed on when what this returns is dropped.
    pub(super) fn join(&self, me: usize) -> Turn<'_> {
        self.wait(me);
        Turn { world: self, me }
    }

    /// A point where another worker may run before this one goes on. Answers how many points this worker has passed.
    pub(super) fn point(&self, me: usize) -> u64 {
        let mut inner = self.lock();
        let (next, at) = inner.next(me, false);
        drop(inner);
        if let Some(next) = next.filter(|next| *next != me) {
            self.pass(next);
            self.wait(me);
        }
        at
    }

    pub(super) fn note(&self, worker: usize, action: Action) {
        let event = Event { worker, action };
        let mut inner = self.lock();
        event.hash(&mut inner.hash);
        if let Some(events) = &mut inner.events {
            events.push(event);
        }
    }

    pub(super) fn end(self) -> Ending {
        let inner = self.inner.into_inner();
        let inner = inner.unwrap_or_else(PoisonError::into_inner);
        Ending {
            strategy: inner.picker.strategy(),
            steps: inner.steps,
            schedule: inner.schedule,
            fingerprint: inner.hash.finish(),
            events: inner.events.unwrap_or_default(),
        }
    }
}

impl Inner {
    /// Who goes on, and the number of this point of `me`.
    fn next(&mut self, me: usize, done: bool) -> (Option<usize>, u64) {
        let mut at = 0;
        if let Some(points) = self.points.get_mut(me).filter(|_| !done) {
            *points += 1;
            at = *points;
        }
        self.steps += 1;
        if let Some(ready) = self.ready.get_mut(me).filter(|_| done) {
            *ready = false;
        }
        let point = (!done).then_some(at);
        let next = self.picker.next(me, point, self.steps, &self.ready);
        if let Some(to) = next.filter(|to| *to != me) {
            self.schedule.switches.push(Switch {
                from: me,
                at: point,
                to,
            });
        }
        (next, at)
    }
}

/// The baton in a worker's hand; it goes on when this is dropped, by a panic too.
pub(super) struct Turn<'a> {
    world: &'a World,
    me: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let (next, _) = self.world.lock().next(self.me, true);
        self.world.pass(next.unwrap_or(NOBODY));
    }
}
