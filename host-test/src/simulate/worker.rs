//! One worker: its VM, its share of the requests, and what is made to go wrong for it.
//!
//! In: requests dealt to it. Out: an answer for each, faults of the guest, streams left.
//! Invariant: everything drawn here comes from the worker's own sequences, so another schedule does not move its failures; what was
//! injected is never reported as the guest's fault.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    error::Error,
    exchange::{Outcome, Response},
    simulate::{
        Answer, Arrival, Failure, Simulation, Traffic,
        random::Choices,
        world::{Action, World},
    },
    state::{log::LogLevel, shared::Shared},
    vm::{Fault, Injected, Vm, VmConfig, Watch},
};

/// Hostcalls that read or write what workers share.
const SHARED: [&str; 6] = [
    "proxy_get_shared_data",
    "proxy_set_shared_data",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_dequeue_shared_queue",
];

/// They matter to others only where somebody reads metrics.
const METRICS: [&str; 3] = [
    "proxy_get_metric",
    "proxy_increment_metric",
    "proxy_record_metric",
];

/// They matter only where time moves.
const CLOCKS: [&str; 2] = ["clock_time_get", "proxy_get_current_time_nanoseconds"];

/// Functions of WASI; they answer errnos.
const WASI: [&str; 9] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_fdstat_get",
    "fd_write",
    "random_get",
];

/// Errors a failing hostcall of the ABI may answer: every status but success.
const STATUSES: [i32; 11] = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12];

/// Errnos: badf, fault, inval, io, notsup.
const ERRNOS: [i32; 5] = [8, 21, 28, 29, 58];

/// The last means a guest has to end a request, after its answer failed: when one of these is made to fail, it cannot be blamed.
const LAST: [&str; 4] = [
    "proxy_close_stream",
    "proxy_continue_request",
    "proxy_continue_response",
    "proxy_continue_stream",
];

/// Points in one request after which the guest is taken to be stuck.
const MOST_POINTS: u64 = 20_000;

/// One tick in so many requests comes early or late, as a host's timer may.
const TICKS: f64 = 1.0 / 16.0;

/// What the proxy answers when a VM dies under a request.
const DEAD_STATUS: u16 = 503;

/// What a worker's VMs and the worker itself both know.
#[derive(Default)]
struct Situation {
    /// Failures and crashes may come: a request or a tick runs.
    armed: AtomicBool,
    crashed: AtomicBool,
    stuck: AtomicBool,
    /// The guest's last means to answer was made to fail.
    silenced: AtomicBool,
    /// Points passed when this request began.
    began: AtomicU64,
    injected: AtomicU64,
}

/// What a worker brings home.
#[derive(Default)]
pub(super) struct Done {
    pub(super) answers: Vec<(usize, Answer)>,
    pub(super) faults: Vec<String>,
    pub(super) held: usize,
    pub(super) injected: u64,
    pub(super) restarts: u64,
}

pub(super) struct Worker<'a> {
    simulation: &'a Simulation,
    seed: u64,
    me: usize,
    world: Arc<World>,
    shared: Shared,
    situation: Arc<Situation>,
    /// Of failures; VMs started one after another share it.
    choices: Arc<Mutex<Choices>>,
    life: Choices,
    vm: Option<Vm>,
    /// Monotonic time of the next tick.
    due: u64,
    started: u64,
    done: Done,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        simulation: &'a Simulation,
        seed: u64,
        me: usize,
        world: Arc<World>,
        shared: Shared,
    ) -> Self {
        let stream = u64::try_from(me).unwrap_or(0).saturating_mul(2);
        Self {
            simulation,
            seed,
            me,
            world,
            shared,
            situation: Arc::default(),
            choices: Arc::new(Mutex::new(Choices::new(seed, stream + 4))),
            life: Choices::new(seed, stream + 5),
            vm: None,
            due: 0,
            started: 0,
            done: Done::default(),
        }
    }

    /// Waits for the baton, serves its requests, hands the baton on.
    pub(super) fn work(mut self, traffic: &Traffic, requests: &[usize]) -> Done {
        let world = Arc::clone(&self.world);
        {
            let _turn = world.join(self.me);
            self.start_or_tell();
            for request in requests {
                let Some(arrival) = traffic.requests.get(*request) else {
                    continue;
                };
                world.point(self.me);
                self.pass_time();
                self.maybe_restart();
                self.maybe_tick();
                let answer = self.serve(*request, arrival);
                self.done.answers.push((*request, answer));
            }
            self.done.held += self.vm.as_ref().map_or(0, Vm::stream_count);
            self.done.injected = self.situation.injected.load(Relaxed);
        }
        self.done
    }

    /// A VM on the shared store.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        self.vm = None;
        self.started += 1;
        let simulation = self.simulation;
        let clock = self.world.clocks.get(self.me).cloned().unwrap_or_default();
        let config = VmConfig {
            root_id: simulation.root_id.clone(),
            without_functions: simulation.without_functions.clone(),
            plugin_name: simulation.plugin_name.clone(),
            vm_id: simulation.vm_id.clone(),
            vm_configuration: simulation.vm_configuration.clone(),
            plugin_configuration: simulation.plugin_configuration.clone(),
            environment: simulation.environment.clone(),
            shared: self.shared.clone(),
            clock: clock.clone(),
            log_level: LogLevel::Warn,
            allow_on_headers_stop_iteration: simulation.allow_on_headers_stop_iteration,
            fault: Some(self.interference()),
            watch: Some(self.watch()),
            seed: Some(Choices::new(self.seed, 1000 + self.life.next() % 1000).next()),
            trace: false,
            ..VmConfig::default()
        };
        self.situation.began.store(u64::MAX, Relaxed);
        let vm = Vm::start(&simulation.module, config)?;
        self.due = vm.tick_period().map_or(u64::MAX, |period| {
            clock.monotonic_nanos().saturating_add(nanos(period))
        });
        self.vm = Some(vm);
        self.world.note(self.me, Action::Start);
        Ok(())
    }

    fn start_or_tell(&mut self) {
        if let Err(error) = self.start() {
            self.done
                .faults
                .push(format!("worker {}: {error}", self.me));
        }
    }

    fn pass_time(&mut self) {
        let step = nanos(self.simulation.step);
        let by = self.life.below(step.saturating_mul(2).saturating_add(1));
        self.world.passed.fetch_add(by, Relaxed);
        for clock in &self.world.clocks {
            clock.advance(Duration::from_nanos(by));
        }
    }

    fn maybe_restart(&mut self) {
        if self.life.chance(self.simulation.restart_rate) {
            self.done.held += self.vm.as_ref().map_or(0, Vm::stream_count);
            self.done.restarts += 1;
            self.start_or_tell();
        }
    }

    fn maybe_tick(&mut self) {
        let early = self.life.chance(TICKS);
        let timer = self
            .vm
            .as_ref()
            .and_then(|vm| Some((vm.tick_period()?, vm.clock().monotonic_nanos())));
        let Some((period, now)) = timer.filter(|(_, now)| early || *now >= self.due) else {
            return;
        };
        self.due = now.saturating_add(nanos(period));
        self.world.note(self.me, Action::Tick);
        self.arm();
        let ticked = self.vm.as_mut().map(Vm::tick);
        self.situation.armed.store(false, Relaxed);
        if let Some(Err(error)) = ticked {
            self.bury(&error);
        }
    }

    fn serve(&mut self, request: usize, arrival: &Arrival) -> Answer {
        self.world.note(self.me, Action::Request { request });
        let mut answer = Answer {
            client: arrival.client.clone(),
            worker: self.me,
            ..Answer::default()
        };
        self.arm();
        let result = self.vm.as_mut().map(|vm| {
            vm.exchange(&arrival.request, |_| {
                answer.admitted += 1;
                answer.at = Duration::from_nanos(self.world.passed.load(Relaxed));
                Response::new(arrival.upstream, "")
            })
        });
        self.situation.armed.store(false, Relaxed);
        match result {
            Some(Ok(outcome)) => {
                answer.take(outcome);
                answer.silenced = answer.answers == 0 && self.situation.silenced.load(Relaxed);
            }
            Some(Err(error)) => {
                answer.crashed = self.bury(&error);
                (answer.status, answer.answers) = (DEAD_STATUS, 1);
            }
            None => {
                answer.crashed = true;
                (answer.status, answer.answers) = (DEAD_STATUS, 1);
            }
        }
        let action = Action::Answer {
            request,
            status: answer.status,
            admitted: answer.admitted > 0,
        };
        self.world.note(self.me, action);
        answer
    }

    /// From here on hostcalls may fail.
    fn arm(&self) {
        self.situation.crashed.store(false, Relaxed);
        self.situation.stuck.store(false, Relaxed);
        self.situation.silenced.store(false, Relaxed);
        // Set at the first point.
        self.situation.began.store(u64::MAX, Relaxed);
        self.situation.armed.store(true, Relaxed);
    }

    /// A VM is dead: says so unless it was killed, and starts another. Answers whether it was killed.
    fn bury(&mut self, error: &Error) -> bool {
        let crashed = self.situation.crashed.load(Relaxed);
        if crashed {
            self.done.restarts += 1;
        } else if self.situation.stuck.load(Relaxed) {
            self.done.faults.push(format!(
                "worker {}: stuck: {MOST_POINTS} calls on shared state in one request",
                self.me
            ));
        } else {
            self.done
                .faults
                .push(format!("worker {}: {error}", self.me));
        }
        self.start_or_tell();
        crashed
    }

    /// What stands before each hostcall: a point where others may run, and failures.
    fn interference(&self) -> Fault {
        let (me, world) = (self.me, Arc::clone(&self.world));
        let situation = Arc::clone(&self.situation);
        let choices = Arc::clone(&self.choices);
        let failures = self.simulation.failures.clone();
        let crash_rate = self.simulation.crash_rate;
        let metrics = self.simulation.module.imports_function("proxy_get_metric");
        let clocks = !self.simulation.step.is_zero();
        Box::new(move |name| {
            let shared = SHARED.contains(&name)
                || (metrics && METRICS.contains(&name))
                || (clocks && CLOCKS.contains(&name));
            if shared {
                let at = world.point(me);
                // The first point of a request finds no beginning.
                let _ = situation
                    .began
                    .compare_exchange(u64::MAX, at, Relaxed, Relaxed);
                if at.saturating_sub(situation.began.load(Relaxed)) > MOST_POINTS {
                    situation.stuck.store(true, Relaxed);
                    return Some(Injected::Crash);
                }
            }
            if !situation.armed.load(Relaxed) || (failures.is_empty() && crash_rate <= 0.0) {
                return None;
            }
            let mut choices = choices.lock().unwrap_or_else(PoisonError::into_inner);
            if choices.chance(crash_rate) {
                situation.crashed.store(true, Relaxed);
                world.note(me, Action::Crash { call: name });
                return Some(Injected::Crash);
            }
            let status = failures
                .iter()
                .find_map(|failure| failure.draw(name, &mut choices))?;
            situation.injected.fetch_add(1, Relaxed);
            if LAST.contains(&name) {
                situation.silenced.store(true, Relaxed);
            }
            let action = Action::Call {
                name,
                key: Vec::new(),
                cas: 0,
                value: Vec::new(),
                status,
                injected: true,
            };
            world.note(me, action);
            Some(Injected::Status(status))
        })
    }

    fn watch(&self) -> Watch {
        let (me, world) = (self.me, Arc::clone(&self.world));
        Box::new(move |access| {
            let action = Action::Call {
                name: access.hostcall,
                key: access.key.to_vec(),
                cas: access.cas,
                value: access.value.to_vec(),
                status: access.status,
                injected: false,
            };
            world.note(me, action);
        })
    }
}

impl Answer {
    fn take(&mut self, outcome: Outcome) {
        self.status = outcome.status;
        let reset = outcome
            .local_reply
            .as_ref()
            .is_some_and(|reply| reply.reset);
        self.answers = u32::from((outcome.status != 0 || reset) && !outcome.paused);
        self.details = outcome
            .local_reply
            .map(|reply| reply.details)
            .unwrap_or_default();
    }
}

impl Failure {
    fn draw(&self, name: &str, choices: &mut Choices) -> Option<i32> {
        if self.hostcall.as_deref().is_some_and(|only| only != name) || !choices.chance(self.rate) {
            return None;
        }
        let errors: &[i32] = if WASI.contains(&name) {
            &ERRNOS
        } else {
            &STATUSES
        };
        self.status
            .or_else(|| errors.get(choices.index(errors.len())).copied())
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
