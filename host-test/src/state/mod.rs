//! What the host keeps for its guests: time, logs, headers, shared data, and the state of one VM.
//!
//! Invariant: this is plain data; what happens when is decided in `vm.rs` and `stream.rs`, what guests may do in `hostcalls/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use wasmtime::{Memory, ResourceLimiter, TypedFunc};

use crate::{
    abi::types::Status,
    foreign::ForeignFunctions,
    module::Abi,
    state::{callouts::Callouts, clock::Clock, log::Log, shared::Shared, trace::Recorder},
    stream::state::StreamState,
    vm::{Access, Fault, Watch},
    warning::Warning,
};

pub(crate) mod callouts;
pub(crate) mod clock;
pub(crate) mod headers;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod shared;
pub(crate) mod trace;

pub(crate) struct HostState {
    pub(crate) root_id: String,
    pub(crate) plugin_name: String,
    pub(crate) vm_id: String,
    pub(crate) properties: Vec<(String, Vec<u8>)>,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) shared: Shared,
    pub(crate) clock: Clock,
    pub(crate) random: random::Random,
    pub(crate) log: Log,
    pub(crate) fault: Option<Fault>,
    pub(crate) watch: Option<Watch>,
    pub(crate) trace: Recorder,
    /// Fuel a callback starts with.
    pub(crate) fuel_limit: Option<u64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) memory_guard: MemoryGuard,
    pub(crate) allocator: Option<TypedFunc<i32, i32>>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) last_hostcall: Option<&'static str>,
    /// The guest's name, its ABI, and the callback that runs.
    pub(crate) guest: String,
    pub(crate) abi: Abi,
    pub(crate) callback: &'static str,
    /// Calls of the guest's allocator that have not returned.
    pub(crate) allocating: u32,
    /// Bytes the running callback has handed to the host.
    pub(crate) handed: usize,
    pub(crate) warnings: Vec<Warning>,
    /// The last warning of this callback.
    pub(crate) last_warning: Option<Warning>,
    pub(crate) roots: BTreeMap<u32, RootState>,
    pub(crate) streams: BTreeMap<u32, StreamState>,
    pub(crate) callouts: Callouts,
    pub(crate) foreign: ForeignFunctions,
    pub(crate) without_functions: BTreeSet<String>,
    /// Arguments of `proxy_on_foreign_function`, while it runs.
    pub(crate) call_data: Option<Vec<u8>>,
    /// The context hostcalls act on.
    pub(crate) current: u32,
    /// Streams to look at after the callback: resumed, replied to, or done, from outside their own callbacks.
    pub(crate) touched: Vec<u32>,
}

/// How far the end of a root context has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It lives.
    #[default]
    No,
    /// `proxy_on_done` said no: its call-outs and ticks go on until `proxy_done`.
    AwaitsDone,
    /// It can be deleted.
    Done,
}

#[derive(Default)]
pub(crate) struct RootState {
    pub(crate) ending: Ending,
    pub(crate) configuration: Vec<u8>,
    /// In `proxy_on_configure`, the only callback that can read it.
    pub(crate) configuring: bool,
    pub(crate) tick_period: Option<Duration>,
    pub(crate) queues: Vec<u32>,
    /// Code and message for `proxy_get_status`.
    pub(crate) call_status: (i32, String),
}

/// Warnings kept that nobody takes.
const MAX_WARNINGS: usize = 1000;

impl HostState {
    pub(crate) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning.clone());
        }
        self.last_warning = Some(warning);
    }

    /// A callback begins.
    pub(crate) fn begin(&mut self, callback: &'static str, context: u32) {
        self.current = context;
        self.callback = callback;
        self.last_hostcall = None;
        self.last_warning = None;
        self.allocating = 0;
        self.handed = 0;
        self.memory_guard.hit = false;
    }

    /// The stream hostcalls act on, if the current context is one.
    pub(crate) fn stream(&mut self) -> Option<&mut StreamState> {
        self.streams.get_mut(&self.current)
    }

    /// Shows an access to somebody who watches.
    pub(crate) fn seen<T>(
        &mut self,
        hostcall: &'static str,
        key: &[u8],
        cas: u32,
        value: &[u8],
        result: &Result<T, Status>,
    ) {
        if let Some(watch) = &mut self.watch {
            let status = result.as_ref().err().copied().unwrap_or(Status::Ok);
            watch(&Access {
                hostcall,
                key,
                cas,
                value,
                status: status.number(),
            });
        }
    }

    /// The root of the current context.
    pub(crate) fn root(&mut self) -> Option<&mut RootState> {
        let root = self.root_of_current()?;
        self.roots.get_mut(&root)
    }

    /// The id of the root of the current context.
    pub(crate) fn root_of_current(&self) -> Option<u32> {
        let root = self
            .streams
            .get(&self.current)
            .map_or(self.current, |stream| stream.root);
        self.roots.contains_key(&root).then_some(root)
    }
}

/// Holds a guest to its memory, and remembers that it wanted more.
pub(crate) struct MemoryGuard {
    pub(crate) limit_bytes: usize,
    pub(crate) hit: bool,
}

/// Elements of a table; a filter's function table has some thousands.
const MAX_TABLE: usize = 1 << 20;

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.limit_bytes;
        self.hit |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= MAX_TABLE;
        self.hit |= !allowed;
        Ok(allowed)
    }
}
