//! The engine alone, without any host.
//!
//! **Invariant:** shows what the engine decides; reply header fields beside [`super::expect::ENGINE_FIELDS`] and the
//! text of events are the plugin's, so this driver reports findings as `"stage":…,"reason":…` texts of the same form.

use palisade_engine::engine::{Answer, Engine, Memory, Report, Resumed, Verdict, Wait};
use palisade_engine::env::{
    Cas, Certificate, Connection, CounterStore, Env, MemoryStore, Outside, StoreError, Worker,
};
use palisade_engine::request::{RequestHead, client_addr};
use palisade_engine::units::{Monotonic, UnixTime};
use palisade_engine::verdict::{Denial, Edits};

use anyhow::{Result, bail};

use super::expect::{Outcome, Upstream};
use super::format::Fault;
use super::run::{Driver, Message, Session, Setup};
use crate::policy_file;

/// The driver.
#[derive(Debug, Default)]
pub struct Native;

/// An engine with its counters and clocks.
#[derive(Debug)]
pub struct NativeSession {
    engine: Engine,
    memory: Memory,
    store: FaultyStore,
    wall_ms: u64,
    monotonic_ms: u64,
}

impl Driver for Native {
    type Session = NativeSession;

    fn name(&self) -> &'static str {
        "native"
    }

    fn start(&mut self, setup: &Setup<'_>) -> Result<NativeSession> {
        let document = policy_file::Document::parse(setup.policy()?)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let policy = match policy_file::compile(&document.node, setup.env) {
            Ok(policy) => policy,
            Err(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                bail!("the policy is refused:\n  {}", lines.join("\n  "));
            }
        };
        let engine = Engine::new(policy);
        Ok(NativeSession {
            memory: engine.memory(),
            engine,
            store: FaultyStore::default(),
            wall_ms: setup.wall.saturating_mul(1000),
            monotonic_ms: 3_600_000,
        })
    }
}

impl Session for NativeSession {
    fn advance(&mut self, wall_ms: i64, monotonic_ms: i64) -> Result<()> {
        self.wall_ms = self.wall_ms.saturating_add_signed(wall_ms);
        self.monotonic_ms = self.monotonic_ms.saturating_add_signed(monotonic_ms);
        Ok(())
    }

    fn send(&mut self, message: &Message) -> Result<Outcome> {
        self.store.fault = message.fault;
        let mut env = Env {
            now: Monotonic(self.monotonic_ms),
            wall: UnixTime(self.wall_ms / 1000),
            counters: &mut self.store,
        };
        let head = RequestHead::decode(
            message
                .headers
                .iter()
                .map(|(name, value)| (name.as_slice(), value.as_slice())),
        );
        let connection = Connection {
            peer: client_addr::parse_peer(message.peer.as_bytes()),
            certificate: certificate(&message.properties),
        };
        let memory = &mut self.memory;
        let mut edits = Edits::default();
        let mut verdict = self.engine.decide_head(
            &head,
            connection,
            message.ends_with_head(),
            memory,
            &mut env,
        );
        while let Verdict::Need(wait, mut suspended) = verdict {
            edits = suspended.take_edits();
            let body = message.body();
            let answer = match (wait, message.fault) {
                // Nobody answers call-outs here.
                (Wait::Keys { .. } | Wait::Callout { .. } | Wait::Fleet(_), _) => {
                    Answer::Unanswered
                }
                (Wait::Body { .. }, Some(Fault::BodyNever)) => Answer::BodyUnavailable,
                (Wait::Body { max, prefix, .. }, _) if body.len() > max => {
                    match body.get(..max).filter(|_| prefix) {
                        Some(start) => Answer::BodyPrefix(start),
                        None => Answer::BodyTooLarge,
                    }
                }
                (Wait::Body { .. }, _) => Answer::Body(&body),
            };
            let resumed = Resumed {
                answer,
                body: None,
                head: suspended.needs_head().then_some(&head),
                connection,
            };
            verdict = self.engine.resume(suspended, resumed, memory, &mut env);
        }
        let mut outcome = Outcome {
            events: Some(Vec::new()),
            ..Outcome::default()
        };
        match verdict {
            Verdict::Allow(pass) => {
                for edits in [&edits, &pass.edits] {
                    apply(edits, &mut outcome, message);
                }
                if let Some(charges) = &pass.settlement {
                    self.engine.settle(charges, message.upstream, &mut env);
                }
                // The upstream of this driver says nothing that could stand against them.
                for addition in edits.add.into_iter().chain(pass.edits.add) {
                    outcome.reply.push((addition.name, addition.value));
                }
                outcome.status = message.upstream;
                if let Some(report) = &pass.report {
                    outcome.events = Some(vec![event(report)]);
                }
            }
            Verdict::Deny(refusal) => {
                let Denial {
                    reason, headers, ..
                } = refusal.denial;
                outcome.denied = Some(reason.row().code.to_owned());
                outcome.status = reason.row().status;
                outcome.reply = headers
                    .into_iter()
                    .map(|(name, value)| (name.as_bytes().to_vec(), value))
                    .collect();
                outcome.events = Some(vec![event(&refusal.report)]);
            }
            Verdict::Need(..) => {}
        }
        // The response is complete before the next request comes.
        let mut places = env.counters.worker().take_places();
        self.engine.leave(&mut places, &mut env);
        self.store.fault = None;
        Ok(outcome)
    }
}

/// Properties that tell the engine of a client certificate.
const CERTIFICATE: [&str; 5] = [
    "connection.mtls",
    "connection.subject_peer_certificate",
    "connection.uri_san_peer_certificate",
    "connection.dns_san_peer_certificate",
    "connection.sha256_peer_certificate_digest",
];

fn certificate(properties: &[(String, Vec<u8>)]) -> Option<Certificate<'_>> {
    let [mtls, subject, uri_san, dns_san, sha256] = CERTIFICATE.map(|name| {
        properties
            .iter()
            .find(|(set, _)| set == name)
            .map_or(&[][..], |(_, value)| value)
    });
    (mtls == [1]).then_some(Certificate {
        subject,
        uri_san,
        dns_san,
        sha256,
    })
}

fn apply(edits: &Edits, outcome: &mut Outcome, message: &Message) {
    let upstream = outcome.upstream.get_or_insert_with(|| Upstream {
        headers: message.headers.clone(),
        body: message.body(),
        trailers: message.trailers.clone(),
    });
    let headers = &mut upstream.headers;
    for name in edits
        .remove
        .iter()
        .chain(edits.set.iter().map(|(name, _)| name))
    {
        headers.retain(|(held, _)| !held.eq_ignore_ascii_case(name));
    }
    headers.extend(edits.set.iter().cloned());
}

fn event(report: &Report) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut line = format!(
        "\"client\":\"{}\",\"method\":\"{}\",\"path\":\"{}\",\"route\":\"{}\",\"subject\":\"{}\"",
        report.client,
        text(&report.method),
        text(&report.path),
        text(&report.route),
        text(&report.subject)
    );
    for finding in report.findings.as_slice() {
        line.push_str(&format!(
            ",\"reason\":\"{}\",\"rule\":\"{}\",\"place\":\"{}\"",
            finding.reason.row().code,
            text(&finding.rule),
            text(&finding.place)
        ));
    }
    line
}

/// A store that fails on demand.
#[derive(Debug, Default)]
struct FaultyStore {
    store: MemoryStore,
    fault: Option<Fault>,
}

impl Outside for FaultyStore {
    fn worker(&mut self) -> &mut Worker {
        self.store.worker()
    }
}

impl CounterStore for FaultyStore {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        self.store.load(key, out)
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        match self.fault {
            Some(Fault::CountersFail) => Err(StoreError::Failed),
            Some(Fault::CountersContend) => Err(StoreError::CasMismatch),
            Some(Fault::BodyNever) | None => self.store.compare_and_swap(key, value, cas),
        }
    }
}
