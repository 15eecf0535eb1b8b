//! The gateway's workers: one thread, one VM, one single-threaded runtime each; counters are shared.
//!
//! **In:** connections and policies from the acceptor. **Out:** exchanges run through the filter.
//! **Invariant:** nothing queues without a bound: connections are limited before they come here, bodies and steps go through bounded
//! channels, and nobody reads what the next hop does not take.

pub(crate) mod access_log;
pub(crate) mod admin;
pub(crate) mod body;
pub(crate) mod callouts;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod guest;
pub(crate) mod head;
mod peer;
pub(crate) mod stats;
pub(crate) mod tls;
pub(crate) mod upstream;
pub(crate) mod watch;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use palisade_host::{Clock, LogLevel, Module, Shared};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch as signal};
use tokio::task::{LocalSet, spawn_local};

use self::guest::{FailurePolicy, Failures, Guest, Warned};
use self::stats::Stats;
use self::tls::Tls;
use self::upstream::{Pool, Target};

/// What all workers have in common, for as long as the gateway runs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) names: Names,
    pub(crate) shared: Shared,
    pub(crate) clock: Clock,
    pub(crate) target: Target,
    pub(crate) clusters: BTreeMap<String, Target>,
    pub(crate) failure: FailurePolicy,
    pub(crate) tls: Option<Tls>,
    pub(crate) bounds: Bounds,
    pub(crate) log: access_log::Format,
    pub(crate) log_level: LogLevel,
    pub(crate) stats: Arc<Stats>,
}

/// What a VM is told of itself.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) plugin: String,
    pub(crate) root_id: String,
    pub(crate) vm_id: String,
    pub(crate) vm_configuration: Vec<u8>,
    pub(crate) without_functions: BTreeSet<String>,
}

/// What clients, upstreams and guests may take.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// A request's head must be in by then.
    pub(crate) head: Duration,
    /// A connection without requests is closed after this.
    pub(crate) idle: Duration,
    /// A request in which nothing moves is given up after this.
    pub(crate) stream_idle: Duration,
    /// A request takes no longer; `None`: as long as something moves.
    pub(crate) request: Option<Duration>,
    /// Fields of a head.
    pub(crate) headers: usize,
    /// Bytes of body held for the guest in one direction.
    pub(crate) held: usize,
    /// How long a stop waits for what is under way.
    pub(crate) drain: Duration,
}

/// What can be changed while the gateway runs.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// `None`: no filter.
    pub(crate) module: Option<Module>,
    /// Counts the modules.
    pub(crate) generation: u64,
    pub(crate) configuration: Arc<[u8]>,
    pub(crate) environment: Arc<[(String, String)]>,
}

/// What a worker is told.
pub(crate) enum Job {
    Connection(TcpStream, SocketAddr, OwnedSemaphorePermit),
    Load(Load),
    Stop,
}

/// A worker, from outside.
pub(crate) struct Handle {
    /// As long as there are connections that wait for the worker, of which there is a limited number.
    jobs: mpsc::UnboundedSender<Job>,
    thread: JoinHandle<()>,
}

impl Handle {
    pub(crate) fn send(&self, job: Job) {
        // A worker that is gone closes the connection by dropping it.
        let _ = self.jobs.send(job);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Starts a worker; its VM has accepted the configuration when this returns.
pub(crate) fn start(number: u16, plan: &Arc<Plan>, load: Load) -> Result<Handle> {
    let (jobs, inbox) = mpsc::unbounded_channel();
    let vm = match &load.module {
        Some(module) => Some(guest::start_vm(number, plan, &load, module)?),
        None => None,
    };
    let plan = Arc::clone(plan);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || {
            let worker = Rc::new(Worker {
                number,
                plan,
                load: RefCell::new(load),
                guest: RefCell::new(Guest::new(vm)),
                failures: Failures::default(),
                warned: Warned::default(),
                pool: Pool::default(),
                connections: Cell::new(0),
            });
            LocalSet::new().block_on(&runtime, worker.run(inbox));
        })
        .context("cannot start a thread")?;
    Ok(Handle { jobs, thread })
}

/// One worker.
pub(crate) struct Worker {
    number: u16,
    pub(crate) plan: Arc<Plan>,
    load: RefCell<Load>,
    /// The guest new streams go to.
    guest: RefCell<Rc<Guest>>,
    failures: Failures,
    warned: Warned,
    pub(crate) pool: Pool,
    connections: Cell<usize>,
}

impl Worker {
    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Job>) {
        let (stop, stopped) = signal::channel(false);
        let guest = Rc::clone(&self.guest.borrow());
        self.watch(&guest);
        drop(guest);
        while let Some(job) = inbox.recv().await {
            match job {
                Job::Connection(stream, peer, permit) => {
                    let serving = Rc::clone(&self).serve(stream, peer, stopped.clone());
                    spawn_local(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Job::Load(load) => self.reload(load),
                Job::Stop => break,
            }
        }
        let _ = stop.send(true);
        let deadline = tokio::time::Instant::now() + self.plan.bounds.drain;
        while self.connections.get() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
