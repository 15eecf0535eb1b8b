//! One VM: a guest started and configured, and the streams that run in it.

use std::{fmt, time::Duration};

use crate::{
    error::Error,
    module::Module,
    state::{
        clock::Clock,
        headers::Headers,
        log::{LogLevel, LogLine, LogSink},
        shared::Shared,
    },
    stream::{LocalReply, Step, StreamId, StreamInfo},
};

/// Answers any hostcall in the host's place: called with its name, `Some(status)` is what the guest gets.
pub type Fault = Box<dyn FnMut(&'static str) -> Option<i32> + Send>;

/// How a VM is started.
pub struct VmConfig {
    /// Which root context of the module.
    pub root_id: String,
    /// Name of the plugin (property `plugin_name`).
    pub plugin_name: String,
    /// Scope of shared queues (property `plugin_vm_id`).
    pub vm_id: String,
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
            vm_configuration: Vec::new(),
            plugin_configuration: Vec::new(),
            environment: Vec::new(),
            shared: Shared::new(),
            clock: Clock::system(),
            log_level: LogLevel::Trace,
            log_sink: None,
            allow_on_headers_stop_iteration: false,
            fault: None,
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

/// What ran, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Names of the hostcalls.
    pub hostcalls: Vec<&'static str>,
    /// Callbacks and the fuel each used (0 when fuel is not measured).
    pub callbacks: Vec<(&'static str, u64)>,
}

impl Trace {
    /// How often a hostcall was made.
    #[must_use]
    pub fn count(&self, hostcall: &str) -> usize {
        self.hostcalls
            .iter()
            .filter(|name| **name == hostcall)
            .count()
    }

    /// Fuel of all callbacks.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.callbacks.iter().map(|(_, fuel)| fuel).sum()
    }
}

/// A guest, started. It can move to another thread. After a fatal error it is dead and every call says so.
pub struct Vm {
    module: Module,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("guest", &self.module.name)
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// Starts a guest: `_initialize` or `_start`, a root context, `proxy_on_vm_start`, `proxy_on_configure`.
    ///
    /// # Errors
    /// `Rejected` with the guest's logs if it says no; the guest's faults.
    pub fn start(_module: &Module, _config: VmConfig) -> Result<Self, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Gives the guest another plugin configuration, as Envoy does on an update: the VM is reused, a new root context starts, and if
    /// it accepts, new streams run under it while old ones finish under theirs.
    ///
    /// # Errors
    /// `Rejected` (not fatal: the old configuration stays); the guest's faults.
    pub fn configure(&mut self, _plugin_configuration: &[u8]) -> Result<(), Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// The tick period the guest asked for, if it did.
    #[must_use]
    pub fn tick_period(&self) -> Option<Duration> {
        None
    }

    /// Runs `proxy_on_tick` of every root context that asked for ticks; returns what happened to waiting streams.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn tick(&mut self) -> Result<Vec<(StreamId, Step)>, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn new_stream(&mut self, _info: StreamInfo) -> Result<StreamId, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Request headers, `:method`, `:path`, `:authority`, `:scheme` among them; `end`: no body follows.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_headers(
        &mut self,
        _stream: StreamId,
        _headers: Headers,
        _end: bool,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// A chunk of request body; `end`: the last one (it may be empty, as it is in Envoy over HTTP/1).
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_body(
        &mut self,
        _stream: StreamId,
        _chunk: &[u8],
        _end: bool,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Request trailers, which end the request.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn request_trailers(
        &mut self,
        _stream: StreamId,
        _trailers: Headers,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Response headers, `:status` among them.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_headers(
        &mut self,
        _stream: StreamId,
        _headers: Headers,
        _end: bool,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// A chunk of response body.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_body(
        &mut self,
        _stream: StreamId,
        _chunk: &[u8],
        _end: bool,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Response trailers, which end the response.
    ///
    /// # Errors
    /// The guest's faults; `Misuse` out of order.
    pub fn response_trailers(
        &mut self,
        _stream: StreamId,
        _trailers: Headers,
    ) -> Result<Step, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Sends a reply of the host's own (502, 503, 413 …) through the guest's response callbacks, as Envoy does, and
    /// returns it as the guest left it.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn host_reply(
        &mut self,
        _stream: StreamId,
        _reply: LocalReply,
    ) -> Result<LocalReply, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Ends a stream, whatever its state: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`. Its filter state is returned.
    ///
    /// # Errors
    /// The guest's faults.
    pub fn finish(&mut self, _stream: StreamId) -> Result<FilterState, Error> {
        Err(Error::Misuse {
            what: "not built yet",
        })
    }

    /// Log lines since the last call.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        Vec::new()
    }

    /// Hostcalls and callbacks since the last call.
    pub fn take_trace(&mut self) -> Trace {
        Trace::default()
    }

    /// Bytes of the guest's linear memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        0
    }

    /// Whether a fault has killed it.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        true
    }
}

/// What a guest stored with `proxy_set_property`, under the names Envoy gives it (`wasm.` and the path).
pub type FilterState = std::collections::BTreeMap<String, Vec<u8>>;
