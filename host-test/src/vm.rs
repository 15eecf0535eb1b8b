//! One VM: a guest started and configured.
//!
//! In: a module and a configuration. Out: a VM whose callbacks can be run; its streams are in `stream/`.
//! Invariant: every call into the guest goes through `Vm::call`: fuel is filled up, a fault is named and kills this VM, no other.
//! Source: ABI v0.2.1, sections Integration, Context lifecycle, Configuration; on a reload what Envoy does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use wasmtime::{AsContext, Store, Trap, TypedFunc, WasmBacktrace, WasmParams, WasmResults};

use crate::{
    abi::exports::Exports,
    agenda::Agenda,
    error::{Error, LAST_LINES},
    foreign::ForeignFunctions,
    module::{ALLOCATORS, Limits, Module, epochs},
    state::{
        HostState, MemoryGuard, RootState,
        callouts::{CalloutScript, Callouts, Clusters},
        clock::Clock,
        log::{Log, LogLevel, LogLine, LogSink},
        random::Random,
        shared::Shared,
        trace::{Recorder, Trace},
    },
    stream::{Step, StreamId},
    warning::Warning,
};

/// May answer any hostcall in the host's place: called with its name; `None` lets the host answer.
pub type Fault = Box<dyn FnMut(&'static str) -> Option<Injected> + Send>;

/// What a [`Fault`] does instead of a hostcall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The guest gets this status, whether or not the ABI knows it, and nothing else happens.
    Status(i32),
    /// The VM ends in this hostcall, as if it had trapped.
    Crash,
}

/// Is shown what workers share, access by access, after it was made.
pub type Watch = Box<dyn FnMut(&Access<'_>) + Send>;

/// An access to shared data, queues or metrics.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Which hostcall.
    pub hostcall: &'static str,
    /// The key, or the number of the queue or metric.
    pub key: &'a [u8],
    /// The version written on or read; 0 where there is none.
    pub cas: u32,
    /// The value written or read.
    pub value: &'a [u8],
    /// What the guest is told.
    pub status: i32,
}

/// How a VM is started.
pub struct VmConfig {
    /// Which root context of the module.
    pub root_id: String,
    /// Name of the plugin (property `plugin_name`).
    pub plugin_name: String,
    /// Scope of shared queues (property `plugin_vm_id`).
    pub vm_id: String,
    /// Properties of the proxy itself (`node.id`, `cluster_name` …), for every context: path segments joined by `.`, and the raw value.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Bytes for `proxy_on_vm_start`.
    pub vm_configuration: Vec<u8>,
    /// Bytes for `proxy_on_configure`.
    pub plugin_configuration: Vec<u8>,
    /// Environment variables the guest sees.
    pub environment: Vec<(String, String)>,
    /// Shared data, queues and metrics; give several VMs clones of one.
    pub shared: Shared,
    /// Time; give several VMs clones of one.
    pub clock: Clock,
    /// Lines below this are dropped, and the guest is told so.
    pub log_level: LogLevel,
    /// Gets each log line as it is written; they are kept besides.
    pub log_sink: Option<LogSink>,
    /// Envoy's flag: with it a pause in the headers callback lets body callbacks come, without it none come until the stream is
    /// resumed. Envoy's default is off.
    pub allow_on_headers_stop_iteration: bool,
    /// Answers of hostcalls injected by a test.
    pub fault: Option<Fault>,
    /// Sees accesses to what VMs share.
    pub watch: Option<Watch>,
    /// Where call-outs may go; to any other name they answer BAD_ARGUMENT.
    pub clusters: Clusters,
    /// Answers call-outs in [`Vm::exchange`].
    pub callouts: Option<CalloutScript>,
    /// Functions for `proxy_call_foreign_function`, by name.
    pub foreign_functions: ForeignFunctions,
    /// Names that `proxy_call_foreign_function` does not know, though they are built in ([`crate::BUILT_IN_FUNCTIONS`]): how a guest
    /// does on a host that has less than Envoy.
    pub without_functions: BTreeSet<String>,
    /// Seed for `random_get`; `None` takes the system's randomness.
    pub seed: Option<u64>,
    /// Whether [`Vm::take_trace`] gets something; a host that serves turns it off.
    pub trace: bool,
}

impl Default for VmConfig {
    fn default() -> Self {
        Self {
            root_id: String::new(),
            plugin_name: String::new(),
            vm_id: String::new(),
            properties: Vec::new(),
            vm_configuration: Vec::new(),
            plugin_configuration: Vec::new(),
            environment: Vec::new(),
            shared: Shared::new(),
            clock: Clock::system(),
            log_level: LogLevel::Trace,
            log_sink: None,
            allow_on_headers_stop_iteration: false,
            fault: None,
            watch: None,
            clusters: Clusters::default(),
            callouts: None,
            foreign_functions: ForeignFunctions::new(),
            without_functions: BTreeSet::new(),
            seed: None,
            trace: true,
        }
    }
}

impl fmt::Debug for VmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets.
        f.debug_struct("VmConfig")
            .field("root_id", &self.root_id)
            .finish_non_exhaustive()
    }
}

/// What a guest stored with `proxy_set_property`, under the names Envoy gives it (`wasm.` and the path).
pub type FilterState = BTreeMap<String, Vec<u8>>;

/// A guest, started. It can move to another thread. After a fatal error it is dead and every call says so.
pub struct Vm {
    module: Module,
    pub(crate) store: Store<HostState>,
    pub(crate) exports: Exports,
    pub(crate) allow_on_headers_stop_iteration: bool,
    pub(crate) agenda: Agenda,
    /// The root context new streams run under.
    pub(crate) root: u32,
    last_context: u32,
    dead: bool,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("guest", &self.module.name)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// Starts a guest: `_initialize` or `_start`, a root context, `proxy_on_vm_start`, `proxy_on_configure`.
    ///
    /// # Errors
    /// `Rejected` with the guest's logs if it says no; the guest's faults.
    pub fn start(module: &Module, config: VmConfig) -> Result<Self, Error> {
        let state = HostState {
            root_id: config.root_id,
            plugin_name: config.plugin_name,
            vm_id: config.vm_id,
            properties: config.properties,
            vm_configuration: config.vm_configuration,
            environment: config.environment,
            shared: config.shared,
            clock: config.clock,
            random: config.seed.map_or(Random::System, Random::Seeded),
            log: Log::new(config.log_level, config.log_sink),
            fault: config.fault,
            watch: config.watch,
            trace: Recorder::new(config.trace),
            fuel_limit: module.limits.fuel,
            memory: None,
            memory_guard: MemoryGuard {
                limit_bytes: module.limits.memory_bytes,
                hit: false,
            },
            allocator: None,
            exit_code: None,
            last_hostcall: None,
            guest: module.name.clone(),
            abi: module.abi,
            callback: "instantiate",
            allocating: 0,
            handed: 0,
            warnings: Vec::new(),
            last_warning: None,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            callouts: Callouts::new(config.clusters),
            foreign: config.foreign_functions,
            without_functions: config.without_functions,
            call_data: None,
            current: 0,
            touched: Vec::new(),
        };
        let mut store = Store::new(module.instance_pre.module().engine(), state);
        store.limiter(|state| &mut state.memory_guard);
        refuel(&mut store, module.limits);
        store.data_mut().trace.begin_callback("instantiate", 0);
        let instance = module.instance_pre.instantiate(&mut store);
        let used = fuel_used(&store, module.limits.fuel);
        store.data_mut().trace.end_callback(used);
        let instance =
            instance.map_err(|error| fault(module, &mut store, "instantiate", &error))?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let allocator = ALLOCATORS
            .iter()
            .find_map(|name| instance.get_typed_func(&mut store, name).ok());
        if allocator.is_none() {
            let missing = "proxy_on_memory_allocate (nor malloc) of type (i32) -> i32";
            return Err(Error::NotPlugin {
                guest: module.name.clone(),
                missing,
            });
        }
        store.data_mut().allocator = allocator;
        let exports = Exports::bind(&module.name, &instance, &mut store)?;
        let mut vm = Self {
            module: module.clone(),
            store,
            exports,
            allow_on_headers_stop_iteration: config.allow_on_headers_stop_iteration,
            agenda: Agenda::new(config.callouts),
            root: 0,
            last_context: 0,
            dead: false,
        };
        if let Some(initialize) = vm.exports.initialize.clone() {
            vm.call("_initialize", 0, &initialize, ())?;
            if let Some(main) = vm.exports.main.clone() {
                vm.call("main", 0, &main, (0, 0))?;
            }
        } else if let Some(start) = vm.exports.start.clone() {
            match vm.call("_start", 0, &start, ()) {
                // How a WASI command ends well; the guest goes on as a plugin.
                Err(Error::Exit { code: 0, .. }) => {
                    vm.dead = false;
                    vm.store.data_mut().exit_code = None;
                }
                other => other?,
            }
        }
        vm.root = vm.start_root(&config.plugin_configuration)?;
        Ok(vm)
    }

    /// Gives the guest another plugin configuration, as Envoy does on an update: the VM is reused, a new root context starts, and if
    /// it accepts, new streams run under it while old ones finish under theirs.
    ///
    /// # Errors
    /// `Rejected` (not fatal: the old configuration stays); the guest's faults.
    pub fn configure(&mut self, plugin_configuration: &[u8]) -> Result<(), Error> {
        self.root = self.start_root(plugin_configuration)?;
        self.drop_idle_roots()
    }

    /// A root context, started and configured; gone again if the guest rejects it.
    fn start_root(&mut self, plugin_configuration: &[u8]) -> Result<u32, Error> {
        let configuration = plugin_configuration.to_vec();
        let root = self.create_context(0, |state, root| {
            let held = RootState {
                configuration,
                ..RootState::default()
            };
            state.roots.insert(root, held);
        })?;
        let state = self.store.data_mut();
        // Only what is logged from here on explains a rejection.
        let logged = state.log.mark();
        let vm_size = size(state.vm_configuration.len());
        let plugin_size = size(plugin_configuration.len());
        for (name, callback, size) in [
            ("proxy_on_vm_start", self.exports.vm_start.clone(), vm_size),
            (
                "proxy_on_configure",
                self.exports.configure.clone(),
                plugin_size,
            ),
        ] {
            let Some(callback) = callback else { continue };
            let configuring = name == "proxy_on_configure";
            if let Some(held) = self.store.data_mut().roots.get_mut(&root) {
                held.configuring = configuring;
            }
            let answer = self.call(name, root, &callback, (root.cast_signed(), size))?;
            if let Some(held) = self.store.data_mut().roots.get_mut(&root) {
                held.configuring = false;
            }
            if answer == 0 {
                self.drop_root(root)?;
                let logs = self.store.data().log.since(logged);
                return Err(Error::Rejected {
                    guest: self.module.name.clone(),
                    callback: name,
                    logs,
                });
            }
        }
        Ok(root)
    }

    /// A context of the guest; its parent is a root, or 0 for a root. The host's side of it is there before the guest hears of it.
    pub(crate) fn create_context(
        &mut self,
        parent: u32,
        insert: impl FnOnce(&mut HostState, u32),
    ) -> Result<u32, Error> {
        self.check_alive()?;
        self.last_context = self.last_context.wrapping_add(1).max(1);
        let context = self.last_context;
        insert(self.store.data_mut(), context);
        if let Some(create) = self.exports.context_create.clone() {
            let parameters = (context.cast_signed(), parent.cast_signed());
            self.call("proxy_on_context_create", context, &create, parameters)?;
        }
        Ok(context)
    }

    /// The tick period the guest asked for, if it did: the shortest of its root contexts.
    #[must_use]
    pub fn tick_period(&self) -> Option<Duration> {
        self.store
            .data()
            .roots
            .values()
            .filter_map(|root| root.tick_period)
            .min()
    }

    /// Runs `proxy_on_tick` of every root context that asked for ticks; returns what happened to waiting streams.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn tick(&mut self) -> Result<Vec<(StreamId, Step)>, Error> {
        self.check_alive()?;
        self.agenda.ticked();
        let state = self.store.data();
        let roots: Vec<u32> = state
            .roots
            .iter()
            .filter(|(_, root)| root.tick_period.is_some())
            .map(|(id, _)| *id)
            .collect();
        if let Some(tick) = self.exports.tick.clone() {
            for root in roots {
                self.call("proxy_on_tick", root, &tick, root.cast_signed())?;
            }
        }
        self.poll()
    }

    /// Tells root contexts of this VM about values waiting in queues that they registered.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn deliver_queues(&mut self) -> Result<Vec<(StreamId, Step)>, Error> {
        self.check_alive()?;
        let state = self.store.data();
        let registered = state
            .roots
            .iter()
            .flat_map(|(root, held)| held.queues.iter().map(|queue| (*root, *queue)));
        // As often as values were put in, whether or not they are still there.
        let ready: Vec<(u32, u32)> = registered
            .flat_map(|(root, queue)| {
                std::iter::repeat_n((root, queue), state.shared.take_notices(queue))
            })
            .collect();
        if let Some(queue_ready) = self.exports.queue_ready.clone() {
            for (root, queue) in ready {
                let parameters = (root.cast_signed(), queue.cast_signed());
                self.call("proxy_on_queue_ready", root, &queue_ready, parameters)?;
            }
        }
        self.poll()
    }

    /// Hostcalls since the last call that failed by the guest's doing.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.store.data_mut().warnings)
    }

    /// Log lines since the last call.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        self.store.data_mut().log.take()
    }

    /// Hostcalls and callbacks since the last call.
    pub fn take_trace(&mut self) -> Trace {
        self.store.data_mut().trace.take()
    }

    /// The time this guest lives in.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.store.data().clock.clone()
    }

    /// Shared data, queues and metrics of this guest.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.store.data().shared.clone()
    }

    /// Bytes of the guest's linear memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.store
            .data()
            .memory
            .map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Streams that have begun and not ended.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.store.data().streams.len()
    }

    /// Whether a fault has killed it.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    pub(crate) fn check_alive(&self) -> Result<(), Error> {
        if self.dead {
            Err(Error::Dead {
                guest: self.module.name.clone(),
            })
        } else {
            Ok(())
        }
    }

    /// Runs one callback in a context: fuel filled up before, measured after; a fault kills the VM.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &'static str,
        context: u32,
        callback: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, Error> {
        self.check_alive()?;
        refuel(&mut self.store, self.module.limits);
        let state = self.store.data_mut();
        state.begin(name, context);
        state.trace.begin_callback(name, context);
        let result = callback.call(&mut self.store, parameters);
        if self.store.data().trace.is_on() {
            let used = fuel_used(&self.store, self.module.limits.fuel);
            self.store.data_mut().trace.end_callback(used);
        }
        self.store.data_mut().current = 0;
        result.map_err(|error| {
            self.dead = true;
            fault(&self.module, &mut self.store, name, &error)
        })
    }
}

/// Fills the tank for one callback, and sets its alarm.
fn refuel(store: &mut Store<HostState>, limits: Limits) {
    if let Some(time) = limits.time {
        store.set_epoch_deadline(epochs(time));
    }
    if let Some(fuel) = limits.fuel {
        // Fails only on an engine that does not measure fuel; the module was compiled with the same limits.
        let _ = store.set_fuel(fuel);
    }
}

/// Fuel used since the tank was filled.
pub(crate) fn fuel_used(store: impl AsContext, limit: Option<u64>) -> u64 {
    limit.map_or(0, |limit| {
        limit.saturating_sub(store.as_context().get_fuel().unwrap_or_default())
    })
}

/// Whose fault a failed call is, and which.
fn fault(
    module: &Module,
    store: &mut Store<HostState>,
    callback: &'static str,
    error: &wasmtime::Error,
) -> Error {
    let guest = module.name.clone();
    let state = store.data();
    let logs = state.log.last(LAST_LINES);
    if let Some(code) = state.exit_code {
        return Error::Exit {
            guest,
            callback,
            code,
            logs,
        };
    }
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::OutOfFuel) {
        return Error::OutOfFuel {
            guest,
            callback,
            limit: module.limits.fuel.unwrap_or(0),
            logs,
        };
    }
    if trap == Some(Trap::Interrupt) {
        return Error::OutOfTime {
            guest,
            callback,
            limit: module.limits.time.unwrap_or_default(),
            logs,
        };
    }
    if state.memory_guard.hit {
        return Error::OutOfMemory {
            guest,
            callback,
            limit_bytes: state.memory_guard.limit_bytes,
            logs,
        };
    }
    let mut why = trap.map_or_else(|| error.root_cause().to_string(), |trap| trap.to_string());
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames)
        .unwrap_or_default();
    for (position, frame) in frames
        .iter()
        .filter_map(wasmtime::FrameInfo::func_name)
        .take(4)
        .enumerate()
    {
        why.push_str(if position == 0 { " in " } else { " < " });
        why.push_str(frame);
    }
    Error::Trap {
        guest,
        callback,
        last_hostcall: state.last_hostcall,
        warning: state.last_warning.clone().map(Box::new),
        why,
        logs,
    }
}

/// A size as the ABI passes it.
pub(crate) fn size(bytes: usize) -> i32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).cast_signed()
}
