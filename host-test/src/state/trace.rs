//! What ran in a VM: callbacks and hostcalls, in order, with what each cost.
//!
//! In: a note before and after each callback and each hostcall. Out: a `Trace`.
//! Invariant: a VM without a trace pays one branch a note: no clock is read, no fuel is asked for. A hostcall's callback is the one it was
//! made in; hostcalls made by the guest's allocator stand after the hostcall that needed the memory.
//! Cost: at most `MAX` notes of each kind are kept, so a trace nobody takes does not grow.

use std::time::Instant;

/// Callbacks, and hostcalls, kept in a trace nobody takes.
const MAX: usize = 1 << 20;

/// What ran, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Callbacks, `instantiate` (a module's start function) and `_initialize` or `_start` among them.
    pub callbacks: Vec<Callback>,
    /// Hostcalls, WASI's among them.
    pub hostcalls: Vec<Hostcall>,
}

/// A call into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Name of the export.
    pub name: &'static str,
    /// The context it was called for; 0 before there is one.
    pub context: u32,
    /// Fuel it used; 0 when fuel is not measured. The same for the same guest, configuration and input.
    pub fuel: u64,
    /// Time it took, its hostcalls included.
    pub nanos: u64,
}

/// A call out of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hostcall {
    /// Name of the import; `wasi_unsupported` for WASI functions that answer an errno and no more.
    pub name: &'static str,
    /// The callback it was made in: an index into [`Trace::callbacks`].
    pub callback: usize,
    /// Fuel that callback had used when the call was made.
    pub fuel: u64,
    /// Bytes the host read from the guest's memory.
    pub bytes_in: u64,
    /// Bytes the host wrote to the guest's memory, results such as a size or a pointer among them.
    pub bytes_out: u64,
    /// What the guest got; [`Hostcall::ENDED`] if the guest ended in this call.
    pub status: i32,
}

impl Hostcall {
    /// The status of a call that did not return.
    pub const ENDED: i32 = i32::MIN;
}

impl Trace {
    /// How often a hostcall was made.
    #[must_use]
    pub fn count(&self, hostcall: &str) -> usize {
        self.hostcalls
            .iter()
            .filter(|call| call.name == hostcall)
            .count()
    }

    /// Fuel of all callbacks.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.callbacks.iter().map(|callback| callback.fuel).sum()
    }

    /// Names of the hostcalls, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.hostcalls.iter().map(|call| call.name).collect()
    }
}

/// A trace being written, or none.
#[derive(Default)]
pub(crate) struct Recorder {
    trace: Option<Trace>,
    /// The callback that runs, if it is recorded.
    running: Option<(usize, Instant)>,
}

impl Recorder {
    pub(crate) fn new(on: bool) -> Self {
        Self {
            trace: on.then(Trace::default),
            running: None,
        }
    }

    /// Whether the hostcalls of the callback that runs are recorded.
    pub(crate) const fn is_on(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn take(&mut self) -> Trace {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn begin_callback(&mut self, name: &'static str, context: u32) {
        let Some(trace) = self.trace.as_mut() else {
            return;
        };
        if trace.callbacks.len() >= MAX {
            return;
        }
        self.running = Some((trace.callbacks.len(), Instant::now()));
        trace.callbacks.push(Callback {
            name,
            context,
            fuel: 0,
            nanos: 0,
        });
    }

    pub(crate) fn end_callback(&mut self, fuel: u64) {
        let Some((position, begun)) = self.running.take() else {
            return;
        };
        let trace = self.trace.as_mut();
        if let Some(callback) = trace.and_then(|trace| trace.callbacks.get_mut(position)) {
            callback.fuel = fuel;
            callback.nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        }
    }

    /// The place of this hostcall in the trace, for [`Recorder::end_hostcall`].
    pub(crate) fn begin_hostcall(&mut self, name: &'static str, fuel: u64) -> Option<usize> {
        let (callback, _) = self.running?;
        let calls = &mut self.trace.as_mut()?.hostcalls;
        if calls.len() >= MAX {
            return None;
        }
        calls.push(Hostcall {
            name,
            callback,
            fuel,
            bytes_in: 0,
            bytes_out: 0,
            status: Hostcall::ENDED,
        });
        Some(calls.len() - 1)
    }

    pub(crate) fn end_hostcall(
        &mut self,
        position: usize,
        status: i32,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        let trace = self.trace.as_mut();
        if let Some(call) = trace.and_then(|trace| trace.hostcalls.get_mut(position)) {
            call.status = status;
            call.bytes_in = bytes_in;
            call.bytes_out = bytes_out;
        }
    }
}
