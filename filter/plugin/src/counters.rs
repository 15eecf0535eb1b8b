//! What the engine asks of the host: a counter store over shared data, signatures where it verifies them, and a listener
//! when the policy says `debug.trace`.
//!
//! **Invariant:** version 0 never reaches the host (it means "unconditional" there, DESIGN §3.4); any status that is
//! neither success, absence nor a lost race is `Failed`, and the stage's policy decides.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use palisade_engine::env::{
    Cas, CounterStore, HashName, HostVerdict, Note, Outside, Step, StoreError, TableEvent,
};
use palisade_engine::stages::limits::Worker;

use crate::abi::{Host, HostError, Level};
use crate::{signature, trace};

/// Shared data of the VM's `vm_id`.
pub(crate) struct SharedCounters<'h> {
    host: &'h Host,
    worker: &'h mut Worker,
    traced: bool,
    step: Step,
    /// Notes kept until the verdict stands: between two markers there is the decision and nothing else.
    kept: Vec<(Step, Note)>,
}

impl<'h> SharedCounters<'h> {
    pub(crate) fn new(host: &'h Host, worker: &'h mut Worker, traced: bool) -> Self {
        Self {
            host,
            worker,
            traced,
            step: Step::Request,
            kept: if traced {
                Vec::with_capacity(KEPT)
            } else {
                Vec::new()
            },
        }
    }

    /// The notes kept so far, each with the step it was made in.
    pub(crate) fn take_kept(&mut self) -> Vec<(Step, Note)> {
        core::mem::take(&mut self.kept)
    }
}

/// Whether this VM's host has said that it has no function for signatures: it cannot learn it while the VM lives. A host
/// that fails otherwise, or whose answer we cannot read, is asked again next time.
static ABSENT: AtomicBool = AtomicBool::new(false);

/// What happened to the limits' table since the last tick. A VM's, not a policy's: all policies share the table.
static EVICTED: AtomicU32 = AtomicU32::new(0);
static CONFLICTS: AtomicU32 = AtomicU32::new(0);
static FLOOR: AtomicU32 = AtomicU32::new(0);
static BANS_DROPPED: AtomicU32 = AtomicU32::new(0);
static UNREADABLE: AtomicU32 = AtomicU32::new(0);

/// What happened to the limits' table.
pub(crate) struct Happened {
    /// Clients that made room.
    pub(crate) evicted: u32,
    /// Lost races.
    pub(crate) conflicts: u32,
    /// The highest floor met, in thousandths of a quota.
    pub(crate) floor: u32,
    /// Bans that had to go.
    pub(crate) bans_dropped: u32,
    /// Values that cannot be read.
    pub(crate) unreadable: u32,
}

/// Since the last tick.
pub(crate) fn take_table() -> Happened {
    let take = |counter: &AtomicU32| counter.swap(0, Ordering::Relaxed);
    Happened {
        evicted: take(&EVICTED),
        conflicts: take(&CONFLICTS),
        floor: take(&FLOOR),
        bans_dropped: take(&BANS_DROPPED),
        unreadable: take(&UNREADABLE),
    }
}

/// Room made at once: growing would show in a step's cost.
const KEPT: usize = 16;

impl Outside for SharedCounters<'_> {
    #[inline]
    fn worker(&mut self) -> &mut Worker {
        self.worker
    }

    #[inline]
    fn listens(&self) -> bool {
        self.traced
    }

    #[cold]
    fn note(&mut self, note: Note) {
        if let Note::Enter(step) = note {
            self.step = step;
            self.host.log(Level::Info, trace::marker(step));
            if step == Step::End {
                // The second tells what a marker costs.
                self.host.log(Level::Info, trace::marker(step));
            }
        } else {
            self.kept.push((self.step, note));
        }
    }

    fn table(&mut self, event: TableEvent) {
        match event {
            TableEvent::Evicted(many) => EVICTED.fetch_add(many, Ordering::Relaxed),
            TableEvent::Conflict => CONFLICTS.fetch_add(1, Ordering::Relaxed),
            TableEvent::Floor(share) => FLOOR.fetch_max(share, Ordering::Relaxed),
            TableEvent::BanDropped => BANS_DROPPED.fetch_add(1, Ordering::Relaxed),
            TableEvent::Unreadable => UNREADABLE.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn verify_signature(
        &mut self,
        hash: HashName,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> HostVerdict {
        if ABSENT.load(Ordering::Relaxed) {
            return HostVerdict::Absent;
        }
        let arguments = signature::arguments(hash, key, message, signature);
        let mut answer = Vec::new();
        match self
            .host
            .call_foreign(signature::NAME, &arguments, &mut answer)
        {
            Ok(()) => signature::verdict(&answer).unwrap_or(HostVerdict::Absent),
            Err(HostError::NotFound) => {
                ABSENT.store(true, Ordering::Relaxed);
                HostVerdict::Absent
            }
            Err(_) => HostVerdict::Absent,
        }
    }
}

impl CounterStore for SharedCounters<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        match self.host.shared_data(key, out) {
            Ok(0) => Err(StoreError::Failed),
            Ok(cas) => Ok(Cas(cas)),
            Err(HostError::NotFound) => Ok(Cas::ABSENT),
            Err(_) => Err(StoreError::Failed),
        }
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if cas == Cas(0) {
            return Err(StoreError::Failed);
        }
        match self.host.set_shared_data(key, value, cas.0) {
            Ok(()) => Ok(()),
            Err(HostError::CasMismatch) => Err(StoreError::CasMismatch),
            Err(_) => Err(StoreError::Failed),
        }
    }
}
