//! A filter's `.wasm` in our host.
//!
//! **Invariant:** a case has its own VM, clock, shared data and script; a guest's fault is an outcome, never an error of the driver.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use palisade_host::{
    Clock, Clusters, Headers, Injected, Module, Outcome as Exchange, Response, Step, Vm, VmConfig,
    Warning,
};

use anyhow::Result;

use super::expect::{Difference, Inside, Outcome, Upstream};
use super::format::{Configuration, Fault, StepKind};
use super::run::{Driver, Message, Session, Setup, pairs};
use super::script::Script;
use super::value::Surroundings;

/// The driver: one compiled module.
#[derive(Debug, Clone)]
pub struct Harness {
    module: Module,
}

impl Harness {
    /// A driver for a module.
    #[must_use]
    pub const fn new(module: Module) -> Self {
        Self { module }
    }
}

/// VMs with their own clock and shared data: one whose bodies arrive, and one whose bodies never do.
#[derive(Debug)]
pub struct HarnessSession {
    /// `Err`: it did not start, and why; each request says so.
    vm: Result<Vm, String>,
    bodiless: Option<Vm>,
    clock: Clock,
    shared: palisade_host::Shared,
    script: Script,
    /// Status that writes of shared data answer; 0: none.
    fault: Arc<AtomicI32>,
    warnings: Vec<Warning>,
}

impl Driver for Harness {
    type Session = HarnessSession;

    fn name(&self) -> &'static str {
        "harness"
    }

    fn start(&mut self, setup: &Setup<'_>) -> Result<HarnessSession> {
        let (file, case) = (setup.file, setup.case);
        let clock = Clock::virtual_at(Duration::from_secs(setup.wall));
        let fault = Arc::new(AtomicI32::new(0));
        let shared = palisade_host::Shared::new();
        let surroundings = Surroundings {
            env: setup.env,
            folder: file.folder(),
            wall: setup.wall,
        };
        let script = Script::new(&case.callouts, surroundings)?;
        // A rule's cluster exists: naming it is enough.
        let named = case.callouts.iter().filter_map(|rule| rule.cluster.clone());
        let clusters: Vec<String> = file.clusters.iter().cloned().chain(named).collect();
        let config = |bodies: bool| {
            let answer = Arc::clone(&fault);
            VmConfig {
                plugin_name: "palisade".to_owned(),
                vm_id: "scenario".to_owned(),
                root_id: file.root_id.clone(),
                without_functions: file.without_functions.clone(),
                vm_configuration: file
                    .vm_configuration
                    .as_ref()
                    .map(Configuration::bytes)
                    .unwrap_or_default(),
                plugin_configuration: setup.configuration.to_vec(),
                environment: setup
                    .env
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                shared: shared.clone(),
                clock: clock.clone(),
                allow_on_headers_stop_iteration: bodies && file.allow_on_headers_stop_iteration,
                fault: Some(Box::new(move |call| {
                    let status = answer.load(Ordering::Relaxed);
                    (call == "proxy_set_shared_data" && status != 0)
                        .then_some(Injected::Status(status))
                })),
                clusters: Clusters::named(clusters.iter().cloned()),
                callouts: Some(script.answers()),
                seed: Some(1),
                ..VmConfig::default()
            }
        };
        let starves = |request: &super::format::Request| request.fault == Some(Fault::BodyNever);
        let bodiless = if case.requests.iter().any(starves) {
            Some(Vm::start(&self.module, config(false))?)
        } else {
            None
        };
        Ok(HarnessSession {
            vm: Vm::start(&self.module, config(true)).map_err(|error| error.to_string()),
            bodiless,
            clock,
            shared,
            script,
            fault,
            warnings: Vec::new(),
        })
    }
}

impl Session for HarnessSession {
    fn advance(&mut self, wall_ms: i64, monotonic_ms: i64) -> Result<()> {
        let moved = |nanos: u64, ms: i64| {
            Duration::from_nanos(nanos.saturating_add_signed(ms.saturating_mul(1_000_000)))
        };
        self.clock.set_wall(moved(self.clock.wall_nanos(), wall_ms));
        self.clock
            .set_monotonic(moved(self.clock.monotonic_nanos(), monotonic_ms));
        Ok(())
    }

    fn send(&mut self, message: &Message) -> Result<Outcome> {
        // Status numbers of the ABI: 8 is CasMismatch, 10 InternalFailure.
        let status = match message.fault {
            Some(Fault::CountersFail) => 10,
            Some(Fault::CountersContend) => 8,
            Some(Fault::BodyNever) | None => 0,
        };
        self.fault.store(status, Ordering::Relaxed);
        let sent = if message.fault == Some(Fault::BodyNever) {
            self.send_without_body(message)
        } else {
            self.send_whole(message)
        };
        self.fault.store(0, Ordering::Relaxed);
        Ok(self.seen(sent))
    }

    fn step(&mut self, kind: StepKind, time: Duration) -> Result<Outcome> {
        let done = self.happen(kind, time);
        Ok(self.seen(done))
    }

    fn finish(&mut self) -> Vec<Difference> {
        self.script.differences()
    }

    fn warnings(&mut self) -> Vec<String> {
        Warning::told(&self.warnings)
    }
}

impl HarnessSession {
    fn vm(&mut self) -> Result<&mut Vm, String> {
        self.vm.as_mut().map_err(|error| error.clone())
    }

    /// An outcome, whatever came: a fault is the trap, and the logs up to it are kept.
    fn seen(&mut self, done: Result<Outcome, String>) -> Outcome {
        let mut outcome = done.unwrap_or_else(|error| Outcome {
            trap: Some(error),
            ..Outcome::default()
        });
        let inside = outcome.inside.get_or_insert_default();
        inside.metrics = self
            .shared
            .metrics()
            .into_iter()
            .map(|metric| (metric.name, metric.value))
            .collect();
        inside.shared_data = self.shared.data();
        if let Ok(vm) = &mut self.vm {
            inside.logs.extend(vm.take_logs());
            self.warnings.extend(vm.take_warnings());
        }
        outcome
    }

    fn happen(&mut self, kind: StepKind, time: Duration) -> Result<Outcome, String> {
        let clock = self.clock.clone();
        let vm = self.vm()?;
        vm.take_logs();
        vm.take_trace();
        let done = match kind {
            StepKind::Wait => vm.advance(time).map(drop),
            StepKind::Queue => vm.deliver_queues().map(drop),
            StepKind::Tick => {
                clock.advance(vm.tick_period().unwrap_or_default() + time);
                vm.tick().and_then(|_| vm.advance(Duration::ZERO)).map(drop)
            }
        };
        done.map_err(|error| error.to_string())?;
        let inside = Inside {
            logs: vm.take_logs(),
            trace: vm.take_trace(),
            ..Inside::default()
        };
        Ok(Outcome {
            events: Some(events(&inside)),
            inside: Some(inside),
            ..Outcome::default()
        })
    }

    fn send_whole(&mut self, message: &Message) -> Result<Outcome, String> {
        let request = message.request();
        let answer = response(message);
        // Those of the start, and of what happened since.
        let before = self.vm()?.take_warnings();
        self.warnings.extend(before);
        let exchange = self
            .vm()?
            .exchange(&request, |_| answer)
            .map_err(|error| error.to_string())?;
        let Exchange {
            status,
            headers,
            body,
            trailers,
            upstream,
            local_reply,
            paused,
            logs,
            trace,
            filter_state,
            warnings,
            ..
        } = exchange;
        self.warnings.extend(warnings);
        let inside = Inside {
            logs,
            trace,
            filter_state,
            ..Inside::default()
        };
        Ok(Outcome {
            grpc_status: local_reply.as_ref().and_then(|reply| reply.grpc_status),
            denied: local_reply.map(|reply| code(&reply.details)),
            status,
            reply: fields(&headers),
            reply_complete: true,
            reply_body: body,
            reply_trailers: trailers.as_ref().map(fields).unwrap_or_default(),
            upstream: upstream.map(|upstream| Upstream {
                headers: fields(&upstream.headers),
                body: upstream.body,
                trailers: upstream.trailers.as_ref().map(fields).unwrap_or_default(),
            }),
            events: Some(events(&inside)),
            paused,
            trap: None,
            inside: Some(inside),
        })
    }

    /// The head is sent, the body never comes; the clock goes on and ticks are given until something happens.
    fn send_without_body(&mut self, message: &Message) -> Result<Outcome, String> {
        let clock = self.clock.clone();
        let Some(vm) = &mut self.bodiless else {
            return Err("no VM for bodies that never come".to_owned());
        };
        starve(vm, &clock, message).map_err(|error| error.to_string())
    }
}

fn starve(vm: &mut Vm, clock: &Clock, message: &Message) -> Result<Outcome, palisade_host::Error> {
    let stream = vm.new_stream(message.request().info)?;
    let headers = pairs(&message.headers);
    let mut step = vm.request_headers(stream, headers, message.ends_with_head())?;
    for _ in 0..20 {
        if step != Step::Paused {
            break;
        }
        clock.advance(Duration::from_millis(500));
        let ticked = vm.tick()?;
        if let Some((_, happened)) = ticked.into_iter().find(|(of, _)| *of == stream) {
            step = happened;
        }
    }
    let mut outcome = Outcome {
        reply_complete: true,
        ..Outcome::default()
    };
    match step {
        Step::LocalReply(reply) => {
            outcome.denied = Some(code(&reply.details));
            outcome.status = reply.status;
            outcome.reply = fields(&reply.headers);
            outcome.reply_body = reply.body;
        }
        Step::Continue(forward) => {
            outcome.status = message.upstream;
            outcome.upstream = forward.headers.map(|headers| Upstream {
                headers: fields(&headers),
                body: message.body(),
                trailers: message.trailers.clone(),
            });
        }
        Step::Paused => outcome.paused = true,
    }
    let filter_state = vm.finish(stream)?;
    let inside = Inside {
        logs: vm.take_logs(),
        trace: vm.take_trace(),
        filter_state,
        ..Inside::default()
    };
    outcome.events = Some(events(&inside));
    outcome.inside = Some(inside);
    Ok(outcome)
}

/// What the upstream answers: as the case says, or a short text.
fn response(message: &Message) -> Response {
    let Some(reply) = &message.response else {
        return Response::new(message.upstream, "upstream");
    };
    let mut headers = Headers::from([(":status", message.upstream.to_string())]);
    for (name, value) in &reply.headers {
        headers.add(name, value);
    }
    Response {
        headers,
        chunks: reply.chunks.clone(),
        trailers: (!reply.trailers.is_empty()).then(|| pairs(&reply.trailers)),
    }
}

fn fields(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// The reason's code in the response details.
fn code(details: &str) -> String {
    details
        .strip_prefix("palisade_")
        .unwrap_or(details)
        .to_owned()
}

fn events(inside: &Inside) -> Vec<String> {
    inside
        .logs
        .iter()
        .map(|line| line.message.clone())
        .filter(|message| message.starts_with('{'))
        .collect()
}
