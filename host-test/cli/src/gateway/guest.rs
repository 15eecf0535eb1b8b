//! The filter in a worker: its VM, the streams and call-outs in it, and what happens when it falls.
//!
//! **Invariant:** a VM is used by its own thread only and never borrowed across an await. A stream stays with the VM it began in: a new
//! module gets a new VM while the old one finishes its streams. Unless the failure policy says `open`, no request passes unjudged.
//! **Source:** Envoy's `FAIL_CLOSED`, `FAIL_OPEN` and `FAIL_RELOAD`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use palisade_host::{
    Callout, Error, FilterState, LogLevel, Module, Step, StreamId, StreamInfo, Vm, VmConfig,
    Warning,
};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::callouts::Calls;
use super::stats::up;
use super::{Load, Plan, Worker};

/// What to do when the filter has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailurePolicy {
    /// Every request is answered 503 until a new policy or module comes.
    Closed,
    /// Requests pass without the filter.
    Open,
    /// The first request after a failure starts a new VM, but not sooner than 1 to 1.5 s after the last start; until then it is answered 503.
    Reload,
}

/// Events that may wait for one stream; a stream has two directions, and each waits for one at a time.
const STEPS: usize = 8;
/// The longest time between looks at ticks and queues.
const PULSE: Duration = Duration::from_millis(50);
/// From one start of a VM to the next in its place: at least this, at most half as much again, by chance. As Envoy's default.
const PAUSE: Duration = Duration::from_secs(1);

/// A VM and what is in it.
#[derive(Debug)]
pub(crate) struct Guest {
    /// `None` when a fault has killed it.
    vm: RefCell<Option<Vm>>,
    /// Where to tell a held stream that something freed it.
    streams: RefCell<HashMap<StreamId, mpsc::Sender<Step>>>,
    pub(crate) calls: Calls,
    started: Instant,
}

/// A stream in one VM.
#[derive(Debug)]
pub(crate) struct Ticket {
    guest: Rc<Guest>,
    stream: StreamId,
}

/// The VM a stream was in is gone, or refuses to work.
#[derive(Debug)]
pub(crate) struct Lost;

/// What a new request finds.
pub(crate) enum Opened {
    /// A filter.
    Filtered(Ticket, mpsc::Receiver<Step>),
    /// None: by choice, or by the failure policy `open`.
    Bare,
    /// None, and it must not pass.
    Closed,
}

/// Failures of a worker's filter.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Not before this may a new VM start.
    not_before: Cell<Option<Instant>>,
}

/// Warnings of a worker's filter: how many were shown of late.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    since: Cell<Option<Instant>>,
    said: Cell<u32>,
    silenced: Cell<u64>,
}

/// So many warnings are shown in a while.
const WARNINGS: u32 = 10;
const WHILE: Duration = Duration::from_secs(10);

/// The number of no worker: a VM that is started only to see whether it starts.
pub(crate) const TRIAL: u16 = u16::MAX;

/// Starts a VM.
pub(crate) fn start_vm(number: u16, plan: &Plan, load: &Load, module: &Module) -> Result<Vm> {
    let who = if number == TRIAL {
        "trial".to_owned()
    } else {
        format!("worker {number}")
    };
    let place = format!("{who}: the filter did not start");
    let config = VmConfig {
        plugin_name: plan.names.plugin.clone(),
        root_id: plan.names.root_id.clone(),
        vm_id: plan.names.vm_id.clone(),
        vm_configuration: plan.names.vm_configuration.clone(),
        without_functions: plan.names.without_functions.clone(),
        plugin_configuration: load.configuration.to_vec(),
        environment: load.environment.to_vec(),
        shared: plan.shared.clone(),
        clock: plan.clock.clone(),
        clusters: palisade_host::Clusters::named(plan.clusters.keys().cloned()),
        log_level: plan.log_level,
        log_sink: Some(Box::new(move |line| {
            if line.message.starts_with('{') {
                say!("{}", line.message);
            } else {
                complain!("{who}: {line}");
            }
        })),
        allow_on_headers_stop_iteration: true,
        trace: false,
        ..VmConfig::default()
    };
    Vm::start(module, config).context(place)
}

impl Guest {
    pub(crate) fn new(vm: Option<Vm>) -> Rc<Self> {
        Rc::new(Self {
            vm: RefCell::new(vm),
            streams: RefCell::default(),
            calls: Calls::default(),
            started: Instant::now(),
        })
    }

    fn is_dead(&self) -> bool {
        self.vm.borrow().is_none()
    }
}

impl Worker {
    /// Starts the pulse of a guest; it ends with the guest. Call-outs that it has made so far are carried out.
    pub(crate) fn watch(self: &Rc<Self>, guest: &Rc<Guest>) {
        spawn_local(Rc::clone(self).pulse(Rc::downgrade(guest)));
        let _ = self.enter(guest, |_| Ok(()));
    }

    /// Gives a VM its ticks and queues, and tells the streams that they freed.
    async fn pulse(self: Rc<Self>, guest: Weak<Guest>) {
        let mut ticked = Instant::now();
        loop {
            let Some(alive) = guest.upgrade() else { return };
            let period = match alive.vm.borrow().as_ref() {
                Some(vm) => {
                    if Rc::ptr_eq(&alive, &self.guest.borrow())
                        && let Some(memory) = self.plan.stats.memory.get(usize::from(self.number))
                    {
                        memory.store(u64::try_from(vm.memory_bytes()).unwrap_or(0), Relaxed);
                    }
                    vm.tick_period()
                }
                None => return,
            };
            drop(alive);
            let due = period.map_or(PULSE, |period| period.saturating_sub(ticked.elapsed()));
            // A period of next to nothing must not take the whole thread.
            tokio::time::sleep(due.clamp(Duration::from_millis(1), PULSE)).await;
            let Some(alive) = guest.upgrade() else { return };
            if period.is_some_and(|period| ticked.elapsed() >= period) {
                ticked = Instant::now();
                if let Ok(steps) = self.call(&alive, Vm::tick) {
                    self.tell(&alive, steps);
                }
            }
            if let Ok(steps) = self.enter(&alive, Vm::deliver_queues) {
                self.tell(&alive, steps);
            }
        }
    }

    /// Tells streams what happened to them outside their own callbacks.
    pub(crate) fn tell(&self, guest: &Guest, steps: Vec<(StreamId, Step)>) {
        for (stream, step) in steps {
            let full = guest
                .streams
                .borrow()
                .get(&stream)
                .is_some_and(|waiting| waiting.try_send(step).is_err());
            if full {
                // Its exchange is gone or does not keep up; without its sender it ends.
                guest.streams.borrow_mut().remove(&stream);
            }
        }
    }

    /// Begins a stream; the receiver gets the steps that ticks and call-outs make.
    pub(crate) fn open(self: &Rc<Self>, info: impl FnOnce() -> StreamInfo) -> Opened {
        if self.load.borrow().module.is_none() {
            return Opened::Bare;
        }
        self.revive();
        let guest = Rc::clone(&self.guest.borrow());
        if guest.is_dead() {
            return match self.plan.failure {
                FailurePolicy::Open => Opened::Bare,
                FailurePolicy::Closed | FailurePolicy::Reload => Opened::Closed,
            };
        }
        let Ok(stream) = self.call(&guest, |vm| vm.new_stream(info())) else {
            return Opened::Closed;
        };
        let (sender, receiver) = mpsc::channel(STEPS);
        guest.streams.borrow_mut().insert(stream, sender);
        Opened::Filtered(Ticket { guest, stream }, receiver)
    }

    /// Runs a callback of a stream.
    pub(crate) fn step<T>(
        self: &Rc<Self>,
        ticket: &Ticket,
        callback: impl FnOnce(&mut Vm, StreamId) -> Result<T, Error>,
    ) -> Result<T, Lost> {
        self.call(&ticket.guest, |vm| callback(vm, ticket.stream))
    }

    /// Ends a stream: what it left for the access log.
    pub(crate) fn close(self: &Rc<Self>, ticket: &Ticket) -> FilterState {
        ticket.guest.streams.borrow_mut().remove(&ticket.stream);
        self.call(&ticket.guest, |vm| vm.finish(ticket.stream))
            .unwrap_or_default()
    }

    /// Runs a callback, and notes its time.
    pub(crate) fn call<T>(
        self: &Rc<Self>,
        guest: &Rc<Guest>,
        callback: impl FnOnce(&mut Vm) -> Result<T, Error>,
    ) -> Result<T, Lost> {
        let started = Instant::now();
        let result = self.enter(guest, callback);
        self.plan.stats.callbacks.record(started.elapsed());
        result
    }

    /// Does something with a VM, then what it asked of others.
    fn enter<T>(
        self: &Rc<Self>,
        guest: &Rc<Guest>,
        callback: impl FnOnce(&mut Vm) -> Result<T, Error>,
    ) -> Result<T, Lost> {
        let mut slot = guest.vm.borrow_mut();
        let Some(vm) = slot.as_mut() else {
            return Err(Lost);
        };
        let result = callback(vm);
        // They went to the sink; none is kept.
        vm.take_logs();
        let warnings = vm.take_warnings();
        if !warnings.is_empty() {
            self.warn(&warnings);
        }
        let asked = vm.take_callouts();
        match result {
            Ok(value) => {
                drop(slot);
                self.carry_out(guest, asked);
                Ok(value)
            }
            Err(error) => {
                complain!("worker {}: {error}", self.number);
                if error.is_fatal() {
                    *slot = None;
                    drop(slot);
                    self.bury(guest);
                }
                Err(Lost)
            }
        }
    }

    /// Says what the guest did wrong without falling over it: a few lines in a while, for a guest does it on every request.
    fn warn(&self, warnings: &[Warning]) {
        if self.plan.log_level > LogLevel::Warn {
            return;
        }
        let Warned {
            since,
            said,
            silenced,
        } = &self.warned;
        if since.get().is_none_or(|since| since.elapsed() >= WHILE) {
            if silenced.get() > 0 {
                complain!(
                    "worker {}: [warn] {} more warnings of the filter since the last that was shown",
                    self.number,
                    silenced.get()
                );
            }
            since.set(Some(Instant::now()));
            said.set(0);
            silenced.set(0);
        }
        for warning in warnings {
            if said.get() < WARNINGS {
                complain!("worker {}: [warn] {warning}", self.number);
                said.set(said.get() + 1);
            } else {
                silenced.set(silenced.get().saturating_add(1));
            }
        }
    }

    fn carry_out(self: &Rc<Self>, guest: &Rc<Guest>, asked: Vec<Callout>) {
        for callout in asked {
            super::callouts::begin(self, guest, callout);
        }
    }

    /// A fault has killed a VM: its streams and calls end, and the failure policy says what comes.
    fn bury(self: &Rc<Self>, guest: &Rc<Guest>) {
        let stats = &self.plan.stats;
        up(&stats.numbers.vm_traps);
        let streams = std::mem::take(&mut *guest.streams.borrow_mut()).len();
        guest.calls.clear();
        let current = Rc::ptr_eq(guest, &self.guest.borrow());
        let what = match self.plan.failure {
            _ if !current => "it was the one before the last reload",
            FailurePolicy::Closed => "requests are answered 503 until a new policy or module comes",
            FailurePolicy::Open => {
                "requests pass WITHOUT the filter until a new policy or module comes"
            }
            FailurePolicy::Reload => {
                "a request starts a new one, 1 to 1.5 s after this one's start at the earliest"
            }
        };
        complain!(
            "worker {}: the VM is lost, its {streams} stream{} answered 503; {what}",
            self.number,
            if streams == 1 { " is" } else { "s are" }
        );
        if !current || self.plan.failure != FailurePolicy::Reload {
            return;
        }
        self.pause_from(guest.started);
    }

    /// No new VM for a while from then on.
    fn pause_from(&self, start: Instant) {
        let chance = RandomState::new().hash_one(self.number) % 1000;
        let more = PAUSE / 2 * u32::try_from(chance).unwrap_or_default() / 1000;
        self.failures.not_before.set(Some(start + PAUSE + more));
    }

    /// Starts a new VM in a dead one's place, if the failure policy and its pauses let it.
    fn revive(self: &Rc<Self>) {
        if self.plan.failure != FailurePolicy::Reload || !self.guest.borrow().is_dead() {
            return;
        }
        if (self.failures.not_before.get()).is_some_and(|until| Instant::now() < until) {
            return;
        }
        let load = self.load.borrow().clone();
        let Some(module) = &load.module else { return };
        match start_vm(self.number, &self.plan, &load, module) {
            Ok(vm) => {
                up(&self.plan.stats.numbers.vm_restarts);
                self.put(vm);
            }
            Err(error) => {
                complain!("{error:#}");
                self.pause_from(Instant::now());
            }
        }
    }

    fn put(self: &Rc<Self>, vm: Vm) {
        let guest = Guest::new(Some(vm));
        *self.guest.borrow_mut() = Rc::clone(&guest);
        self.watch(&guest);
    }

    /// Takes another configuration or module, which the acceptor has tried. The same module in the same environment keeps its VM, as in Envoy.
    pub(crate) fn reload(self: &Rc<Self>, load: Load) {
        let same_vm = {
            let held = self.load.borrow();
            held.generation == load.generation && held.environment == load.environment
        };
        let guest = Rc::clone(&self.guest.borrow());
        if same_vm && !guest.is_dead() {
            match self.call(&guest, |vm| vm.configure(&load.configuration)) {
                Ok(()) => *self.load.borrow_mut() = load,
                Err(Lost) => complain!("worker {}: the new policy was not taken", self.number),
            }
            return;
        }
        let Some(module) = &load.module else { return };
        match start_vm(self.number, &self.plan, &load, module) {
            Ok(vm) => {
                *self.load.borrow_mut() = load;
                self.failures.not_before.set(None);
                self.put(vm);
            }
            Err(error) => complain!("{error:#}; the old one stays"),
        }
    }
}
