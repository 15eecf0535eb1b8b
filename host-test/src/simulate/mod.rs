//! Races on purpose: several VMs over one store, interleaved as a seed says, and a property that must hold whatever the order.
//!
//! In: a module, how many workers, the traffic, what is to go wrong. Out: for each seed what became of every request; for a seed that
//! breaks a property, the shortest schedule found that still does.
//! Invariant: one worker runs at a time, so a run is a function of its seed. Workers are interrupted before each hostcall that reads or
//! writes what they share (shared data, queues, metrics that can be read, clocks that move) and before each request. All other
//! hostcalls touch one VM only and commute with everything the others do: every interleaving of hostcalls equals one of these.
//! Cost: a run starts its VMs afresh, on an empty store; starting races too, as it does in a proxy.
//!
//! ```no_run
//! use palisade_host::simulate::{Property, Simulation, Traffic};
//! use palisade_host::{Module, Request};
//!
//! let simulation = Simulation::new(Module::from_file("limiter.wasm")?);
//! let traffic = Traffic::race(&Request::get("/"), 100);
//! let report = simulation.run_seeds(0..300, &traffic, &[Property::at_most(50), Property::no_trap()]);
//! assert!(report.violation.is_none(), "{:?}", report.violation);
//! # Ok::<(), palisade_host::Error>(())
//! ```

mod property;
mod random;
mod schedule;
mod show;
mod shrink;
mod worker;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

pub use crate::simulate::{
    property::Property,
    schedule::{Schedule, Strategy, Switch},
    world::{Action, Event},
};
use crate::{
    error::Error,
    exchange::Request,
    module::Module,
    simulate::{random::Choices, schedule::Picker, worker::Worker, world::World},
    state::{clock::Clock, shared::Shared},
};

/// What is run, and what goes wrong meanwhile.
#[derive(Clone)]
pub struct Simulation {
    /// The guest; its callbacks must have no limit of wall time, for they wait for each other.
    pub module: Module,
    /// VMs over one store, each in a thread of its own.
    pub workers: usize,
    /// Which root context.
    pub root_id: String,
    /// As [`crate::VmConfig::without_functions`].
    pub without_functions: BTreeSet<String>,
    /// Property `plugin_name`.
    pub plugin_name: String,
    /// Property `plugin_vm_id`.
    pub vm_id: String,
    /// Bytes for `proxy_on_vm_start`.
    pub vm_configuration: Vec<u8>,
    /// Bytes for `proxy_on_configure`.
    pub plugin_configuration: Vec<u8>,
    /// Environment variables of the guest.
    pub environment: Vec<(String, String)>,
    /// Envoy's flag.
    pub allow_on_headers_stop_iteration: bool,
    /// Wall time at the start, after the epoch.
    pub wall: Duration,
    /// Each worker's clocks differ from the others' by up to twice this: the seed draws them, both sides, within ± this.
    pub skew: Duration,
    /// Time moves before each request by up to twice this.
    pub step: Duration,
    /// Hostcalls that fail while a request runs.
    pub failures: Vec<Failure>,
    /// Probability that a VM is replaced before a request; the store stays.
    pub restart_rate: f64,
    /// Probability that a VM dies in a hostcall; the request gets the proxy's 503, a new VM starts.
    pub crash_rate: f64,
}

/// Hostcalls that fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Which; `None`: any.
    pub hostcall: Option<String>,
    /// What the guest is told; `None`: an error drawn from those the ABI (or WASI) has.
    pub status: Option<i32>,
    /// How often, from 0 to 1.
    pub rate: f64,
}

/// Requests, dealt to the workers as the seed says.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// In the order they are handed out.
    pub requests: Vec<Arrival>,
}

/// One request of the traffic.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// What is sent.
    pub request: Request,
    /// Whose it is: properties count by this name.
    pub client: String,
    /// What the upstream answers, if it gets there.
    pub upstream: u16,
}

impl Traffic {
    /// The same request `count` times, from one client.
    #[must_use]
    pub fn race(request: &Request, count: usize) -> Self {
        Self::race_of(request, count, 1)
    }

    /// The same request `count` times, from `clients` clients in turn: 203.0.113.1, .2, ….
    #[must_use]
    pub fn race_of(request: &Request, count: usize, clients: usize) -> Self {
        let arrival = |number: usize| {
            let client = number % clients.max(1);
            let (third, last) = (client / 254, client % 254 + 1);
            let client = format!("203.0.{}.{last}", (113 + third) % 256);
            Arrival {
                request: request.clone().from_address(format!("{client}:40000")),
                client,
                upstream: 200,
            }
        };
        Self {
            requests: (0..count).map(arrival).collect(),
        }
    }
}

/// What became of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whose it was.
    pub client: String,
    /// Who served it.
    pub worker: usize,
    /// How often it reached the upstream.
    pub admitted: u32,
    /// When it did, after the start, by a clock without skew.
    pub at: Duration,
    /// What the client saw; 0: nothing.
    pub status: u16,
    /// How often it was answered.
    pub answers: u32,
    /// Details of a local reply.
    pub details: String,
    /// Nobody answered, and the guest's last means to was made to fail.
    pub silenced: bool,
    /// An injected crash ended it, or it met a VM that did not start.
    pub crashed: bool,
}

/// One seed, run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// How interruptions were drawn.
    pub strategy: Strategy,
    /// One for each request, in the order of the traffic.
    pub answers: Vec<Answer>,
    /// What guests did wrong by themselves: traps, memory, endless loops, a refused start.
    pub faults: Vec<String>,
    /// Streams still held when all was over.
    pub held: usize,
    /// Hostcalls answered in the host's place.
    pub injected: u64,
    /// VMs replaced or crashed on purpose.
    pub restarts: u64,
    /// Points where a worker could be interrupted.
    pub steps: u64,
    /// Who ran when.
    pub schedule: Schedule,
    /// The same for the same seed: a hash of all that happened, in order.
    pub fingerprint: u64,
    /// What happened, if it was to be recorded.
    pub events: Vec<Event>,
    /// Shared data, queues and metrics at the end.
    pub shared: Shared,
}

impl Run {
    /// Requests that reached the upstream, by client.
    #[must_use]
    pub fn admitted(&self) -> BTreeMap<&str, u64> {
        let mut clients = BTreeMap::new();
        for answer in &self.answers {
            *clients.entry(answer.client.as_str()).or_default() += u64::from(answer.admitted);
        }
        clients
    }
}

/// A property that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub property: String,
    /// How it was broken, in words.
    pub what: String,
    /// The seed's run, with its events.
    pub run: Run,
    /// The shortest schedule found that still breaks it, run with events.
    pub shortest: Run,
}

/// Many seeds, run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many were run.
    pub seeds: u64,
    /// Requests of all of them.
    pub requests: u64,
    /// Fewest and most requests that reached the upstream in one run.
    pub admitted: Option<(u64, u64)>,
    /// Points where a worker could be interrupted.
    pub steps: u64,
    /// Points where one was.
    pub switches: u64,
    /// Hostcalls answered in the host's place.
    pub injected: u64,
    /// VMs replaced or crashed on purpose.
    pub restarts: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Somebody stopped it before all seeds were run.
    pub stopped: bool,
    /// Of the smallest seed that breaks a property; larger seeds are not begun after it.
    pub violation: Option<Box<Violation>>,
}

/// A hand on a long run: how far it is, and whether it should stop.
#[derive(Debug, Default)]
pub struct Control {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Control {
    /// Nothing done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Seeds that are done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Stops after the seeds that run now.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }
}

impl Simulation {
    /// Four workers, no skew, a millisecond a request, nothing that fails.
    #[must_use]
    pub fn new(module: Module) -> Self {
        Self {
            module,
            workers: 4,
            root_id: String::new(),
            without_functions: BTreeSet::new(),
            plugin_name: String::new(),
            vm_id: String::new(),
            vm_configuration: Vec::new(),
            plugin_configuration: Vec::new(),
            environment: Vec::new(),
            allow_on_headers_stop_iteration: false,
            wall: Duration::from_secs(1_785_542_400),
            skew: Duration::ZERO,
            step: Duration::from_millis(1),
            failures: Vec::new(),
            restart_rate: 0.0,
            crash_rate: 0.0,
        }
    }

    /// Starts one VM and drops it: whether the guest takes its configuration at all.
    ///
    /// # Errors
    /// Those of [`crate::Vm::start`].
    pub fn check(&self) -> Result<(), Error> {
        let world = Arc::new(World::new(Picker::seeded(0, 1, 1), self.clocks(0), false));
        world.begin(vec![thread::current()]);
        let _turn = world.join(0);
        Worker::new(self, 0, 0, Arc::clone(&world), Shared::new()).start()
    }

    /// Runs one seed.
    #[must_use]
    pub fn run(&self, seed: u64, traffic: &Traffic) -> Run {
        self.play(seed, traffic, self.picker(seed, traffic), false)
    }

    /// Runs one seed and records what happens.
    #[must_use]
    pub fn record(&self, seed: u64, traffic: &Traffic) -> Run {
        self.play(seed, traffic, self.picker(seed, traffic), true)
    }

    /// Runs one seed's clocks, failures and deal of requests under another schedule, and records what happens.
    #[must_use]
    pub fn replay(&self, seed: u64, traffic: &Traffic, schedule: &Schedule) -> Run {
        self.play(seed, traffic, Picker::replay(schedule), true)
    }

    /// Runs seeds, on all cores, until one breaks a property.
    #[must_use]
    pub fn run_seeds(
        &self,
        seeds: Range<u64>,
        traffic: &Traffic,
        properties: &[Property],
    ) -> Report {
        self.run_controlled(seeds, traffic, properties, &Control::new())
    }

    /// [`Simulation::run_seeds`] with a hand on it.
    #[must_use]
    pub fn run_controlled(
        &self,
        seeds: Range<u64>,
        traffic: &Traffic,
        properties: &[Property],
        control: &Control,
    ) -> Report {
        let began = Instant::now();
        let next = AtomicU64::new(seeds.start);
        let broken = AtomicU64::new(u64::MAX);
        let report = Mutex::new(Report::default());
        let groups = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..groups {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Relaxed);
                        let beyond = seed >= seeds.end || seed > broken.load(Relaxed);
                        if beyond || control.stop.load(Relaxed) {
                            break;
                        }
                        let run = self.run(seed, traffic);
                        if properties
                            .iter()
                            .any(|property| property.breaks(&run).is_some())
                        {
                            broken.fetch_min(seed, Relaxed);
                        }
                        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                        report.add(&run);
                        control.done.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.elapsed = began.elapsed();
        let broken = broken.into_inner();
        if broken != u64::MAX {
            report.violation = self.violation(broken, traffic, properties).map(Box::new);
        }
        report.stopped =
            report.violation.is_none() && report.seeds < seeds.end.saturating_sub(seeds.start);
        report
    }

    /// What a seed breaks, if it does, with its shortest schedule.
    #[must_use]
    pub fn violation(
        &self,
        seed: u64,
        traffic: &Traffic,
        properties: &[Property],
    ) -> Option<Violation> {
        let run = self.record(seed, traffic);
        let (property, what) = properties
            .iter()
            .find_map(|property| Some((property, property.breaks(&run)?)))?;
        let shortest = shrink::shrink(&run, |schedule| {
            let run = self.replay(seed, traffic, schedule);
            property.breaks(&run).is_some().then_some(run)
        });
        Some(Violation {
            property: property.name().to_owned(),
            what,
            run,
            shortest,
        })
    }

    fn picker(&self, seed: u64, traffic: &Traffic) -> Picker {
        // A limiter passes three or four points a request.
        let points = u64::try_from(traffic.requests.len()).unwrap_or(u64::MAX);
        Picker::seeded(seed, self.workers.max(1), points.saturating_mul(4).max(1))
    }

    /// The clocks of a seed's workers.
    fn clocks(&self, seed: u64) -> Vec<Clock> {
        let mut choices = Choices::new(seed, 1);
        let skew = worker::nanos(self.skew);
        let clock = |_| {
            let mut drawn =
                || Duration::from_nanos(choices.below(skew.saturating_mul(2).saturating_add(1)));
            let (wall, monotonic) = (drawn(), drawn());
            let clock = Clock::virtual_at((self.wall + wall).saturating_sub(self.skew));
            // An hour and more ahead, so that a guest can look back.
            clock.set_monotonic(Duration::from_secs(3600) + monotonic);
            clock
        };
        (0..self.workers.max(1)).map(clock).collect()
    }

    fn play(&self, seed: u64, traffic: &Traffic, picker: Picker, record: bool) -> Run {
        let clocks = self.clocks(seed);
        let workers = clocks.len();
        let world = Arc::new(World::new(picker, clocks, record));
        let shared = Shared::new();
        let mut dealt = vec![Vec::new(); workers];
        let mut choices = Choices::new(seed, 2);
        for request in 0..traffic.requests.len() {
            // Dealt by chance, so that the traffic's order says nothing about who gets what.
            if let Some(worker) = dealt.get_mut(choices.index(workers)) {
                worker.push(request);
            }
        }
        let mut finished = Vec::new();
        thread::scope(|scope| {
            let spawn = |(me, requests): (usize, Vec<usize>)| {
                let worker = Worker::new(self, seed, me, Arc::clone(&world), shared.clone());
                scope.spawn(move || worker.work(traffic, &requests))
            };
            let threads: Vec<_> = dealt.into_iter().enumerate().map(spawn).collect();
            world.begin(
                threads
                    .iter()
                    .map(|thread| thread.thread().clone())
                    .collect(),
            );
            for thread in threads {
                // A panic in a worker is the host's own and goes on here.
                match thread.join() {
                    Ok(done) => finished.push(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let mut run = Run {
            seed,
            strategy: Strategy::Replay,
            answers: vec![Answer::default(); traffic.requests.len()],
            faults: Vec::new(),
            held: 0,
            injected: 0,
            restarts: 0,
            steps: 0,
            schedule: Schedule::default(),
            fingerprint: 0,
            events: Vec::new(),
            shared,
        };
        for done in finished {
            run.faults.extend(done.faults);
            run.held += done.held;
            run.injected += done.injected;
            run.restarts += done.restarts;
            for (request, answer) in done.answers {
                if let Some(place) = run.answers.get_mut(request) {
                    *place = answer;
                }
            }
        }
        // All workers are gone, and with them their handles.
        if let Some(world) = Arc::into_inner(world) {
            let ending = world.end();
            run.strategy = ending.strategy;
            run.steps = ending.steps;
            run.schedule = ending.schedule;
            run.fingerprint = ending.fingerprint;
            run.events = ending.events;
        }
        run
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets.
        f.debug_struct("Simulation")
            .field("module", &self.module)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Report {
    fn add(&mut self, run: &Run) {
        let admitted = run.admitted().values().sum();
        let (least, most) = self.admitted.unwrap_or((admitted, admitted));
        self.seeds += 1;
        self.requests += u64::try_from(run.answers.len()).unwrap_or(u64::MAX);
        self.admitted = Some((least.min(admitted), most.max(admitted)));
        self.steps += run.steps;
        self.switches += u64::try_from(run.schedule.switches.len()).unwrap_or(u64::MAX);
        self.injected += run.injected;
        self.restarts += run.restarts;
    }
}
