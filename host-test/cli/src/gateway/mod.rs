//! The gateway's workers: one thread, one VM, one single-threaded runtime each; counters are shared.
//!
//! **In:** connections and policies from the acceptor. **Out:** exchanges run through the filter.
//! **Invariant:** a VM is used by its own thread only and never borrowed across an await. When it traps, every
//! stream in it is answered 503 and a new VM starts: the gateway never passes a request the filter did not judge.

pub(crate) mod body;
pub(crate) mod exchange;
pub(crate) mod upstream;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use palisade_host::{
    Clock, Error, LogLevel, Module, Shared, Step, StreamId, StreamInfo, Vm, VmConfig,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};

use self::upstream::{Pool, Target};

/// What all workers have in common.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) module: Module,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) shared: Shared,
    pub(crate) clock: Clock,
    pub(crate) target: Target,
    pub(crate) quiet: bool,
}

/// What a worker is told.
pub(crate) enum Job {
    Connection(TcpStream, SocketAddr),
    Policy(Arc<str>),
    Stop,
}

/// A worker, from outside.
pub(crate) struct Handle {
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

    pub(crate) fn join(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

/// Starts a worker; its VM has accepted the policy when this returns.
pub(crate) fn start(number: u16, plan: &Arc<Plan>, policy: Arc<str>) -> Result<Handle> {
    let (jobs, inbox) = mpsc::unbounded_channel();
    let vm = start_vm(number, plan, &policy)?;
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
                slot: RefCell::new(Slot {
                    vm: Some(vm),
                    generation: 0,
                    policy,
                }),
                streams: RefCell::default(),
                pool: Pool::default(),
                connections: Cell::new(0),
            });
            LocalSet::new().block_on(&runtime, worker.run(inbox));
        })
        .context("cannot start a thread")?;
    Ok(Handle { jobs, thread })
}

fn start_vm(number: u16, plan: &Plan, policy: &str) -> Result<Vm> {
    let config = VmConfig {
        plugin_name: "palisade".to_owned(),
        vm_id: "palisade".to_owned(),
        plugin_configuration: policy.as_bytes().to_vec(),
        environment: plan.environment.clone(),
        shared: plan.shared.clone(),
        clock: plan.clock.clone(),
        log_level: LogLevel::Info,
        log_sink: Some(Box::new(move |line| {
            if line.message.starts_with('{') {
                say!("{}", line.message);
            } else {
                eprintln!("worker {number}: {line}");
            }
        })),
        allow_on_headers_stop_iteration: true,
        trace: false,
        ..VmConfig::default()
    };
    Vm::start(&plan.module, config)
        .with_context(|| format!("worker {number}: the filter did not start"))
}

/// One worker.
pub(crate) struct Worker {
    number: u16,
    pub(crate) plan: Arc<Plan>,
    slot: RefCell<Slot>,
    /// Where to tell a held stream that a tick freed it.
    streams: RefCell<HashMap<StreamId, mpsc::UnboundedSender<Step>>>,
    pub(crate) pool: Pool,
    connections: Cell<usize>,
}

struct Slot {
    /// `None` when the last restart failed.
    vm: Option<Vm>,
    /// Counts restarts: a stream of an earlier VM is lost.
    generation: u64,
    policy: Arc<str>,
}

/// A stream in one VM.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    pub(crate) stream: StreamId,
}

/// The VM a stream was in is gone, or refuses to work.
#[derive(Debug)]
pub(crate) struct Lost;

impl Worker {
    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Job>) {
        let (stop, stopped) = watch::channel(false);
        let ticking = spawn_local(Rc::clone(&self).tick());
        while let Some(job) = inbox.recv().await {
            match job {
                Job::Connection(stream, peer) => {
                    spawn_local(Rc::clone(&self).serve(stream, peer, stopped.clone()));
                }
                Job::Policy(policy) => self.configure(&policy),
                Job::Stop => break,
            }
        }
        let _ = stop.send(true);
        for _ in 0..100 {
            if self.connections.get() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ticking.abort();
    }

    async fn serve(
        self: Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        mut stopped: watch::Receiver<bool>,
    ) {
        let _ = stream.set_nodelay(true);
        let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
            return;
        };
        self.connections.set(self.connections.get() + 1);
        let worker = Rc::clone(&self);
        let service =
            service_fn(move |request| exchange::handle(Rc::clone(&worker), peer, request));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .max_headers(1024)
                .max_buf_size(1 << 21)
                .serve_connection(TokioIo::new(stream), service)
        );
        // A client that breaks off is its own business.
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        self.connections
            .set(self.connections.get().saturating_sub(1));
    }

    /// Gives the VM its ticks and tells the streams that they freed.
    async fn tick(self: Rc<Self>) {
        loop {
            let period = self.slot.borrow().vm.as_ref().and_then(Vm::tick_period);
            tokio::time::sleep(period.unwrap_or(Duration::from_secs(1))).await;
            let generation = self.slot.borrow().generation;
            for (stream, step) in self.call(generation, Vm::tick).unwrap_or_default() {
                if let Some(waiting) = self.streams.borrow().get(&stream) {
                    let _ = waiting.send(step);
                }
            }
        }
    }

    fn configure(&self, policy: &Arc<str>) {
        let generation = self.slot.borrow().generation;
        self.slot.borrow_mut().policy = Arc::clone(policy);
        if self
            .call(generation, |vm| vm.configure(policy.as_bytes()))
            .is_err()
        {
            eprintln!("worker {}: the new policy was not taken", self.number);
        }
    }

    /// Begins a stream; the receiver gets the steps that ticks make.
    pub(crate) fn open(
        &self,
        info: StreamInfo,
    ) -> Result<(Ticket, mpsc::UnboundedReceiver<Step>), Lost> {
        self.revive();
        let generation = self.slot.borrow().generation;
        let stream = self.call(generation, |vm| vm.new_stream(info))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        self.streams.borrow_mut().insert(stream, sender);
        Ok((Ticket { generation, stream }, receiver))
    }

    /// Runs a callback of a stream.
    pub(crate) fn step<T>(
        &self,
        ticket: Ticket,
        callback: impl FnOnce(&mut Vm, StreamId) -> Result<T, Error>,
    ) -> Result<T, Lost> {
        self.call(ticket.generation, |vm| callback(vm, ticket.stream))
    }

    /// Ends a stream: what it left for the access log.
    pub(crate) fn close(&self, ticket: Ticket) -> palisade_host::FilterState {
        if self.slot.borrow().generation != ticket.generation {
            return palisade_host::FilterState::default();
        }
        self.streams.borrow_mut().remove(&ticket.stream);
        self.call(ticket.generation, |vm| vm.finish(ticket.stream))
            .unwrap_or_default()
    }

    fn call<T>(
        &self,
        generation: u64,
        callback: impl FnOnce(&mut Vm) -> Result<T, Error>,
    ) -> Result<T, Lost> {
        let mut slot = self.slot.borrow_mut();
        if slot.generation != generation {
            return Err(Lost);
        }
        let Some(vm) = slot.vm.as_mut() else {
            return Err(Lost);
        };
        let result = callback(vm);
        // They went to the sink; none is kept.
        vm.take_logs();
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                eprintln!("worker {}: {error}", self.number);
                if error.is_fatal() {
                    eprintln!(
                        "worker {}: the VM is lost and is started anew; its {} streams are answered 503",
                        self.number,
                        self.streams.borrow().len()
                    );
                    slot.vm = None;
                    slot.generation += 1;
                    drop(slot);
                    self.streams.borrow_mut().clear();
                    self.revive();
                }
                Err(Lost)
            }
        }
    }

    fn revive(&self) {
        let mut slot = self.slot.borrow_mut();
        if slot.vm.is_none() {
            match start_vm(self.number, &self.plan, &slot.policy) {
                Ok(vm) => slot.vm = Some(vm),
                Err(error) => eprintln!("{error:#}"),
            }
        }
    }
}
