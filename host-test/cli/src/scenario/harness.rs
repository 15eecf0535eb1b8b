//! The filter's `.wasm` in our host.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use palisade_host::{
    Clock, Headers, LogLine, Module, Outcome as Exchange, Request, Response, Step, StreamInfo, Vm,
    VmConfig,
};

use anyhow::Result;

use super::expect::{Outcome, Upstream};
use super::format::Fault;
use super::run::{Driver, Message, Session, Setup};

/// The driver: one compiled module.
#[derive(Debug)]
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
    vm: Vm,
    bodiless: Vm,
    clock: Clock,
    /// Status that writes of shared data answer; 0: none.
    fault: Arc<AtomicI32>,
}

impl Driver for Harness {
    type Session = HarnessSession;

    fn name(&self) -> &'static str {
        "harness"
    }

    fn start(&mut self, setup: &Setup<'_>) -> Result<HarnessSession> {
        let clock = Clock::virtual_at(Duration::from_secs(setup.wall));
        let fault = Arc::new(AtomicI32::new(0));
        let shared = palisade_host::Shared::new();
        let config = |bodies: bool| {
            let answer = Arc::clone(&fault);
            VmConfig {
                plugin_name: "palisade".to_owned(),
                vm_id: "scenario".to_owned(),
                plugin_configuration: setup.policy.as_bytes().to_vec(),
                environment: setup
                    .env
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
                shared: shared.clone(),
                clock: clock.clone(),
                allow_on_headers_stop_iteration: bodies,
                fault: Some(Box::new(move |call| {
                    let status = answer.load(Ordering::Relaxed);
                    (call == "proxy_set_shared_data" && status != 0).then_some(status)
                })),
                seed: Some(1),
                trace: false,
                ..VmConfig::default()
            }
        };
        Ok(HarnessSession {
            vm: Vm::start(&self.module, config(true))?,
            bodiless: Vm::start(&self.module, config(false))?,
            clock,
            fault,
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
        Ok(sent.unwrap_or_else(|error| Outcome {
            trap: Some(error.to_string()),
            ..Outcome::default()
        }))
    }
}

impl HarnessSession {
    fn send_whole(&mut self, message: &Message) -> Result<Outcome, palisade_host::Error> {
        let request = Request {
            headers: message
                .headers
                .iter()
                .map(|(name, value)| (name, value))
                .collect(),
            chunks: message.chunks.clone(),
            trailers: (!message.trailers.is_empty()).then(|| {
                message
                    .trailers
                    .iter()
                    .map(|(name, value)| (name, value))
                    .collect()
            }),
            end_on_last_chunk: false,
            info: info(message),
        };
        let exchange = self
            .vm
            .exchange(&request, |_| Response::new(message.upstream, "upstream"))?;
        let Exchange {
            status,
            headers,
            upstream,
            local_reply,
            paused,
            logs,
            ..
        } = exchange;
        Ok(Outcome {
            denied: local_reply.map(|reply| code(&reply.details)),
            status,
            reply: fields(&headers),
            reply_complete: true,
            upstream: upstream.map(|upstream| Upstream {
                headers: fields(&upstream.headers),
                body: upstream.body,
            }),
            events: Some(events(logs)),
            trap: paused.then(|| "the filter paused the stream and nothing resumed it".to_owned()),
        })
    }

    /// The head is sent, the body never comes; the clock goes on and ticks are given until something happens.
    fn send_without_body(&mut self, message: &Message) -> Result<Outcome, palisade_host::Error> {
        let stream = self.bodiless.new_stream(info(message))?;
        let headers: Headers = message
            .headers
            .iter()
            .map(|(name, value)| (name, value))
            .collect();
        let mut step = self
            .bodiless
            .request_headers(stream, headers, message.ends_with_head())?;
        for _ in 0..20 {
            if step != Step::Paused {
                break;
            }
            self.clock.advance(Duration::from_millis(500));
            let ticked = self.bodiless.tick()?;
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
            }
            Step::Continue(forward) => {
                outcome.status = message.upstream;
                outcome.upstream = forward.headers.map(|headers| Upstream {
                    headers: fields(&headers),
                    body: message.body(),
                });
            }
            Step::Paused => {
                outcome.trap = Some("the filter held the stream for ten seconds".to_owned())
            }
        }
        self.bodiless.finish(stream)?;
        outcome.events = Some(events(self.bodiless.take_logs()));
        Ok(outcome)
    }
}

fn info(message: &Message) -> StreamInfo {
    StreamInfo {
        source_address: message.peer.clone(),
        destination_address: "192.0.2.1:80".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        properties: Vec::new(),
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

fn events(logs: Vec<LogLine>) -> Vec<String> {
    logs.into_iter()
        .map(|line| line.message)
        .filter(|message| message.starts_with('{'))
        .collect()
}
