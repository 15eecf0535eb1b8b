//! What becomes of one request: in the engine, or in a filter's `.wasm` in our host.
//!
//! **In:** a policy or a module with its configuration, then requests. **Out:** a [`Verdict`] each.
//! **Invariant:** rows do not know of each other: nothing that counts or remembers is left in the policy ([`injection_alone`]). The verdict
//! is that of the filter as shipped; the score is asked for beside it, under a threshold that nothing reaches, so that the
//! inspection does not stop.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use palisade_engine::engine::{Answer, Engine, Memory, Report, Resumed, Verdict as Said, Wait};
use palisade_engine::env::{Connection, Env, MemoryStore};
use palisade_engine::finding::Finding;
use palisade_engine::policy::Policy;
use palisade_engine::policy::node::Node;
use palisade_engine::request::{RequestHead, client_addr};
use palisade_engine::stages::injection::Explained;
use palisade_engine::units::{Monotonic, UnixTime};
use palisade_host::{Clock, Module, Response, Shared, Vm, VmConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Request;

/// Where requests come from.
const PEER: &str = "192.0.2.10:40000";
/// The largest threshold that a policy may have.
const NEVER: u32 = 1000;
const PREFIX: &str = "palisade-trace {";

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The reason's code: `injection`, `malformed_body`, …
    pub reason: String,
    /// Class, or which rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Where: `query:q`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// Points.
    #[serde(default)]
    pub score: u32,
}

/// What becomes of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The row.
    pub id: String,
    /// It was refused.
    pub blocked: bool,
    /// Points of its worst value, whatever the threshold; absent: the filter does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<u32>,
    /// What was found.
    pub reasons: Vec<Reason>,
    /// Why it was refused; empty: it was not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refusal: String,
    /// The filter failed over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Judges requests, one after the other.
pub trait Judge {
    /// Judges one.
    fn judge(&mut self, request: &Request) -> Verdict;
}

/// The policy that is scored: of `policy` what injection detection goes by (`injection`, `body`, names and matches of routes), enforced.
/// Everything that needs more than the one request (credentials, limits, addresses) is left out, and header rules are only watched.
///
/// # Errors
/// The policy is not a map.
pub fn injection_alone(
    policy: Option<Json>,
    level: Option<u8>,
    threshold: Option<u32>,
) -> Result<Json> {
    let mut out = json!({
        "injection": {},
        "headers": { "mode": "monitor" },
        "events": { "log": "all", "redact": [] },
    });
    if let Some(given) = policy {
        let Some(given) = given.as_object() else {
            bail!("the policy is not a map");
        };
        for key in ["injection", "body", "routes"] {
            if let (Some(value), Some(slot)) = (given.get(key), out.as_object_mut()) {
                slot.insert(key.to_owned(), value.clone());
            }
        }
    }
    if let Some(injection) = out.get_mut("injection").and_then(Json::as_object_mut) {
        injection.remove("mode");
        if let Some(level) = level {
            injection.insert("level".to_owned(), json!(level));
        }
        if let Some(threshold) = threshold {
            injection.insert("threshold".to_owned(), json!(threshold));
        }
    }
    if let Some(routes) = out.get_mut("routes").and_then(Json::as_array_mut) {
        for route in routes.iter_mut().filter_map(Json::as_object_mut) {
            route.remove("token");
            route.remove("mode");
        }
        let takes_all = |route: &Json| {
            route
                .get("match")
                .and_then(Json::as_object)
                .is_none_or(serde_json::Map::is_empty)
        };
        if !routes.iter().any(takes_all) {
            routes.push(json!({ "name": "palisade-score" }));
        }
    }
    Ok(out)
}

/// The threshold of a policy of [`injection_alone`].
///
/// # Errors
/// It does not compile.
pub fn threshold(policy: &Json) -> Result<u32> {
    let policy = compile(policy)?;
    Ok(policy
        .injection
        .map_or(NEVER, |stage| stage.rules.threshold))
}

/// The same policy under a threshold that nothing reaches.
fn unstopped(policy: &Json) -> Json {
    let mut policy = policy.clone();
    if let Some(injection) = policy.get_mut("injection").and_then(Json::as_object_mut) {
        injection.insert("threshold".to_owned(), json!(NEVER));
        // Classes with a threshold of their own are counted with the others then.
        if let Some(adjust) = injection.get_mut("adjust").and_then(Json::as_array_mut) {
            adjust.retain_mut(|rule| {
                let Some(rule) = rule.as_object_mut() else {
                    return true;
                };
                rule.remove("threshold").is_none() || rule.contains_key("level")
            });
        }
    }
    policy
}

fn today() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn compile(policy: &Json) -> Result<Policy> {
    let node =
        Node::from_json(&policy.to_string()).map_err(|error| anyhow!("{}", error.problem))?;
    Policy::from_node(&node, &|_| None).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })
}

/// The fields of a request as a proxy hands them on.
fn fields(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let host = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or("", |(_, value)| value.as_str());
    let mut out = Vec::with_capacity(request.headers.len().saturating_add(4));
    for (name, value) in [
        (":authority", host),
        (":path", &request.path),
        (":method", &request.method),
        (":scheme", "https"),
    ] {
        out.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    let mut others = request.headers.iter();
    let mut skipped = false;
    for (name, value) in others.by_ref() {
        // One becomes `:authority`; a second is the corpus's business.
        if !skipped && name.eq_ignore_ascii_case("host") {
            skipped = true;
            continue;
        }
        out.push((
            name.to_ascii_lowercase().into_bytes(),
            value.as_bytes().to_vec(),
        ));
    }
    out
}

/// The engine alone.
#[derive(Debug)]
pub struct Native {
    verdicts: Engine,
    scores: Option<Engine>,
    /// Exceptions of a policy may have expired.
    now: UnixTime,
}

impl Native {
    /// An engine for a policy of [`injection_alone`]; with scores where they are wanted.
    ///
    /// # Errors
    /// The policy does not compile.
    pub fn new(policy: &Json, scores: bool) -> Result<Self> {
        let scores = scores.then(|| compile(&unstopped(policy)).map(Engine::new));
        Ok(Self {
            verdicts: Engine::new(compile(policy)?),
            scores: scores.transpose()?,
            now: UnixTime(today().as_secs()),
        })
    }
}

impl Judge for Native {
    fn judge(&mut self, request: &Request) -> Verdict {
        let pairs = fields(request);
        let mut verdict = decide(&self.verdicts, &pairs, &request.body, self.now, None);
        if let Some(engine) = &self.scores {
            let mut score = 0;
            decide(engine, &pairs, &request.body, self.now, Some(&mut score));
            verdict.score = Some(score);
        }
        verdict
    }
}

/// One request through an engine; `score` gets the points of its worst value.
fn decide(
    engine: &Engine,
    pairs: &[(Vec<u8>, Vec<u8>)],
    body: &[u8],
    now: UnixTime,
    mut score: Option<&mut u32>,
) -> Verdict {
    let mut store = MemoryStore::default();
    let mut memory: Memory = engine.memory();
    let mut env = Env {
        now: Monotonic(3_600_000),
        wall: now,
        counters: &mut store,
    };
    let head = RequestHead::decode(
        pairs
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice())),
    );
    let connection = Connection {
        peer: client_addr::parse_peer(PEER.as_bytes()),
        certificate: None,
    };
    let wanted = score.is_some();
    let mut note = |seen: &Explained| {
        if let Some(score) = &mut score {
            **score = seen.score.max(**score);
        }
    };
    if wanted {
        note(&engine.explain_head(&head, now));
    }
    let mut said = engine.decide_head(&head, connection, body.is_empty(), &mut memory, &mut env);
    while let Said::Need(wait, suspended) = said {
        let answer = match wait {
            Wait::Body { max, .. } if body.len() > max => Answer::BodyTooLarge,
            Wait::Body { .. } => {
                if wanted {
                    note(&engine.explain_body(&suspended, body, now));
                }
                Answer::Body(body)
            }
            Wait::Keys { .. } | Wait::Callout { .. } | Wait::Fleet(_) => Answer::Unanswered,
        };
        let resumed = Resumed {
            answer,
            body: None,
            head: suspended.needs_head().then_some(&head),
            connection,
        };
        said = engine.resume(suspended, resumed, &mut memory, &mut env);
    }
    match said {
        Said::Allow(pass) => Verdict {
            reasons: reasons(pass.report.as_ref()),
            ..Verdict::default()
        },
        Said::Deny(refusal) => Verdict {
            blocked: true,
            reasons: reasons(Some(&refusal.report)),
            refusal: refusal.denial.reason.row().code.to_owned(),
            ..Verdict::default()
        },
        Said::Need(..) => Verdict::default(),
    }
}

fn reasons(report: Option<&Report>) -> Vec<Reason> {
    let findings = report.map_or(&[][..], |report| report.findings.as_slice());
    findings.iter().map(reason).collect()
}

fn reason(finding: &Finding) -> Reason {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Reason {
        reason: finding.reason.row().code.to_owned(),
        rule: text(&finding.rule),
        place: text(&finding.place),
        evidence: text(&finding.evidence),
        score: finding.score,
    }
}

/// How a filter is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The filter.
    pub module: Module,
    /// Its configuration.
    pub configuration: Vec<u8>,
    /// Configuration of the VM.
    pub vm_configuration: Vec<u8>,
    /// Which root context.
    pub root_id: String,
    /// Environment of the VM.
    pub environment: Vec<(String, String)>,
}

impl Start {
    /// Our filter under a policy.
    #[must_use]
    pub fn ours(module: Module, policy: &Json) -> Self {
        Self {
            module,
            configuration: policy.to_string().into_bytes(),
            vm_configuration: Vec::new(),
            root_id: String::new(),
            environment: Vec::new(),
        }
    }

    fn vm(&self) -> Result<Vm> {
        let config = VmConfig {
            plugin_name: "palisade".to_owned(),
            vm_id: "score".to_owned(),
            root_id: self.root_id.clone(),
            vm_configuration: self.vm_configuration.clone(),
            plugin_configuration: self.configuration.clone(),
            environment: self.environment.clone(),
            shared: Shared::new(),
            clock: Clock::virtual_at(today()),
            allow_on_headers_stop_iteration: true,
            seed: Some(1),
            trace: false,
            ..VmConfig::default()
        };
        Vm::start(&self.module, config).context("the filter does not start")
    }
}

/// A filter's `.wasm` in our host: a VM that lives on, and one for the score.
#[derive(Debug)]
pub struct InModule {
    verdicts: Running,
    scores: Option<Running>,
}

/// A VM, and how to start another when it fails.
#[derive(Debug)]
struct Running {
    start: Start,
    vm: Vm,
}

impl InModule {
    /// Any filter; without scores.
    ///
    /// # Errors
    /// It does not start.
    pub fn new(start: Start) -> Result<Self> {
        Ok(Self {
            verdicts: Running::new(start)?,
            scores: None,
        })
    }

    /// Our filter under a policy of [`injection_alone`]; with scores where they are wanted.
    ///
    /// # Errors
    /// It does not start.
    pub fn ours(module: &Module, policy: &Json, scores: bool) -> Result<Self> {
        let mut traced = unstopped(policy);
        if let Some(policy) = traced.as_object_mut() {
            policy.insert("debug".to_owned(), json!({ "trace": true }));
        }
        let scores = scores.then(|| Running::new(Start::ours(module.clone(), &traced)));
        Ok(Self {
            verdicts: Running::new(Start::ours(module.clone(), policy))?,
            scores: scores.transpose()?,
        })
    }
}

impl Running {
    fn new(start: Start) -> Result<Self> {
        Ok(Self {
            vm: start.vm()?,
            start,
        })
    }

    fn exchange(&mut self, request: &palisade_host::Request) -> Result<palisade_host::Outcome> {
        let outcome = self.vm.exchange(request, |_| Response::new(200, ""));
        if outcome.is_err() {
            self.vm = self.start.vm()?;
        }
        Ok(outcome?)
    }
}

impl Judge for InModule {
    fn judge(&mut self, request: &Request) -> Verdict {
        let mut sent = palisade_host::Request::new("GET", "/").from_address(PEER);
        sent.headers = palisade_host::Headers::new();
        for (name, value) in fields(request) {
            sent.headers.add(name, value);
        }
        if !request.body.is_empty() {
            sent.chunks.push(request.body.clone());
        }
        let outcome = match self.verdicts.exchange(&sent) {
            Ok(outcome) => outcome,
            Err(error) => {
                return Verdict {
                    fault: Some(format!("{error:#}")),
                    ..Verdict::default()
                };
            }
        };
        let mut verdict = Verdict {
            blocked: outcome.local_reply.is_some(),
            refusal: outcome
                .local_reply
                .as_ref()
                .map_or_else(String::new, |reply| {
                    let details = &reply.details;
                    details
                        .strip_prefix("palisade_")
                        .unwrap_or(details)
                        .to_owned()
                }),
            fault: outcome
                .paused
                .then(|| "it was held and nothing freed it".to_owned()),
            reasons: told(&outcome),
            ..Verdict::default()
        };
        if let Some(scores) = &mut self.scores {
            match scores.exchange(&sent) {
                Ok(outcome) => verdict.score = Some(points(&outcome)),
                Err(error) => verdict.fault = Some(format!("under `debug.trace`: {error:#}")),
            }
        }
        verdict
    }
}

/// The findings of our filter's event.
fn told(outcome: &palisade_host::Outcome) -> Vec<Reason> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        findings: Vec<Reason>,
    }
    let mut lines = outcome.logs.iter().map(|line| line.message.as_str());
    let event = lines.find(|line| line.starts_with('{'));
    event
        .and_then(|line| serde_json::from_str::<Event>(line).ok())
        .map_or_else(Vec::new, |event| event.findings)
}

/// The score that our filter's trace tells, of head and body the higher.
fn points(outcome: &palisade_host::Outcome) -> u32 {
    #[derive(Deserialize)]
    struct Scored {
        score: Option<u32>,
    }
    let lines = outcome.logs.iter();
    let scores = lines.filter_map(|line| {
        let told = line.message.strip_prefix(PREFIX)?;
        if !told.starts_with("\"trace\":\"verdict\"") {
            return None;
        }
        serde_json::from_str::<Scored>(&format!("{{{told}"))
            .ok()?
            .score
    });
    scores.max().unwrap_or_default()
}
