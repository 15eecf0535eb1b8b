//! One decision, run in the shipped module with `debug.trace`, and what its trace says.
//!
//! **In:** a policy tree, a request. **Out:** [`Explanation`]. Fuel of a step is what the guest used between its marker and the next,
//! less the price of a marker; the whole is measured in a second run without the trace.
//! **Invariant:** every run starts afresh: a new VM, new shared data, the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use palisade_host::{
    Clock, Module, Outcome, Request, Response, Shared, Trace, Vm, VmConfig, Warning,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Where requests are explained.
#[derive(Debug)]
pub struct Desk {
    /// The filter.
    pub module: Module,
    /// Configuration of the VM.
    pub vm_configuration: Vec<u8>,
    /// Which root context.
    pub root_id: String,
    /// Foreign functions that the host does without.
    pub without_functions: std::collections::BTreeSet<String>,
    /// The VM's environment.
    pub env: BTreeMap<String, String>,
    /// Wall time.
    pub at: Duration,
    /// How often the request is sent; the last one is explained.
    pub times: u32,
    /// Show values of names in `events.redact`.
    pub secrets: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Verdict {
    /// It went on.
    Allowed {
        /// Something was found and only reported.
        monitored: bool,
    },
    /// It was refused.
    Denied {
        /// By which stage.
        stage: String,
        /// The reason's code.
        reason: String,
        /// Status of the reply.
        status: u16,
    },
    /// It was held and nothing freed it.
    Held,
}

/// A decision, told.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What became of it.
    pub verdict: Verdict,
    /// The client as the engine saw it.
    pub client: String,
    /// Name of the route; empty: none.
    pub route: String,
    /// What happened to the body: `none`, `inspected`, `prefix`, `streamed`.
    pub body: String,
    /// Steps in order.
    pub steps: Vec<Row>,
    /// Fuel of the same request without the trace, all callbacks.
    pub fuel: u64,
    /// Fuel of what stands around the decision: verdict carried out, reply written, stream made and ended.
    pub rest: u64,
    /// Highest score of head and body, and the threshold; absent without injection detection.
    pub score: Option<Score>,
    /// Everything found.
    pub findings: Vec<Finding>,
    /// Values in which injection detection saw something.
    pub values: Vec<Value>,
    /// Fields of our reply, or headers the upstream got that the client did not send.
    pub headers: Vec<(String, String)>,
    /// What the filter did wrong without falling over it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub step: String,
    /// `passed`, `refused`, `reported` or `waits`.
    pub decision: &'static str,
    /// Guest fuel.
    pub fuel: u64,
    /// What was decided, in words.
    pub detail: String,
}

/// A score.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Score {
    /// Points.
    pub score: u32,
    /// Points that refuse.
    pub threshold: u32,
}

/// What the filter writes into events and traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stage.
    pub stage: String,
    /// Code.
    pub reason: String,
    /// Rule.
    #[serde(default)]
    pub rule: String,
    /// Place, such as `query:q`.
    #[serde(default)]
    pub place: String,
    /// Bytes.
    #[serde(default)]
    pub evidence: String,
    /// Points.
    #[serde(default)]
    pub score: u32,
}

/// A value with matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Place, such as `query:q`.
    pub place: String,
    /// Name as exceptions know it.
    pub name: String,
    /// As sent.
    pub raw: String,
    /// After each decoding step.
    pub steps: Vec<Decoded>,
    /// What matched.
    pub matches: Vec<Match>,
}

/// A decoding step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// What was undone.
    pub by: String,
    /// What was left.
    pub bytes: String,
}

/// A match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Class.
    pub class: String,
    /// The class or the operator's pattern.
    pub rule: String,
    /// Bytes.
    pub evidence: String,
    /// Points at this level.
    pub points: u32,
    /// The lowest level at which it blocks by itself, at the default threshold.
    #[serde(default)]
    pub level: u8,
    /// Taken out by an exception.
    pub excepted: bool,
    /// SQL: the kinds of its tokens.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tokens: String,
}

/// A line after `palisade-trace `.
#[derive(Debug, Deserialize)]
#[serde(tag = "trace", rename_all = "snake_case")]
enum Line {
    Route {
        name: String,
    },
    Limit {
        step: String,
        name: String,
        used: u64,
        quota: u64,
        wait_ms: u64,
    },
    Banned {
        step: String,
        wait_ms: u64,
    },
    Verified {
        provider: String,
    },
    Value(Value),
    Verdict {
        said: String,
        #[serde(default)]
        stage: String,
        #[serde(default)]
        reason: String,
        #[serde(default)]
        status: u16,
        score: Option<u32>,
        threshold: Option<u32>,
        findings: Vec<Finding>,
    },
}

const PREFIX: &str = "palisade-trace ";

impl Desk {
    /// Explains a request under a policy.
    ///
    /// # Errors
    /// The module refuses the policy, faults, or does not trace.
    pub fn explain(&self, policy: &Json, request: &Request) -> Result<Explanation> {
        let mut traced = policy.clone();
        merge(
            &mut traced,
            &json!({ "debug": { "trace": true }, "events": { "log": "all" } }),
        )?;
        if self.secrets {
            merge(&mut traced, &json!({ "events": { "redact": [] } }))?;
        }
        let outcome = self.run(&traced, request)?;
        let plain = self.run(policy, request)?;
        let told = Told::read(&outcome)?;
        told.explanation(request, &outcome, &plain)
    }

    /// What becomes of a request, and nothing else.
    pub(super) fn denial(&self, policy: &Json, request: &Request) -> Result<Option<String>> {
        let outcome = self.run(policy, request)?;
        if outcome.paused {
            return Ok(Some("held".to_owned()));
        }
        Ok(outcome.local_reply.map(|reply| reply.details))
    }

    fn run(&self, policy: &Json, request: &Request) -> Result<Outcome> {
        let config = VmConfig {
            plugin_name: "palisade".to_owned(),
            vm_id: "explain".to_owned(),
            vm_configuration: self.vm_configuration.clone(),
            root_id: self.root_id.clone(),
            without_functions: self.without_functions.clone(),
            plugin_configuration: policy.to_string().into_bytes(),
            environment: self
                .env
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            shared: Shared::new(),
            clock: Clock::virtual_at(self.at),
            allow_on_headers_stop_iteration: true,
            seed: Some(1),
            ..VmConfig::default()
        };
        let mut vm = Vm::start(&self.module, config)?;
        let mut outcome = Outcome::default();
        for _ in 0..self.times.max(1) {
            outcome = vm.exchange(request, |_| Response::new(200, "upstream"))?;
        }
        Ok(outcome)
    }
}

/// Puts keys into a policy, over what is there; lists are replaced.
pub(crate) fn merge(into: &mut Json, from: &Json) -> Result<()> {
    if into.is_null() {
        *into = json!({});
    }
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else {
        bail!("the policy is not a map");
    };
    for (name, value) in from {
        let slot = into.entry(name.clone()).or_insert(Json::Null);
        if value.is_object() && (slot.is_object() || slot.is_null()) {
            merge(slot, value)?;
        } else {
            *slot = value.clone();
        }
    }
    Ok(())
}

/// Steps of a traced exchange with the fuel of each, less the price of its marker; `None`: the module writes no trace.
pub(crate) fn steps(outcome: &Outcome) -> Option<Vec<(String, u64)>> {
    Told::read(outcome).ok().map(|told| told.phases.concat())
}

/// A trace, read.
#[derive(Default)]
struct Told {
    /// Name and fuel of each step, by phase: the head's, then the body's.
    phases: Vec<Vec<(String, u64)>>,
    lines: Vec<Line>,
    event: Option<Json>,
}

impl Told {
    fn read(outcome: &Outcome) -> Result<Self> {
        let mut told = Self::default();
        let fuels = log_fuel(&outcome.trace);
        // Name, callback and fuel of the marker before.
        let mut before: Option<(String, usize, u64)> = None;
        let mut steps: Vec<(String, u64)> = Vec::new();
        for (place, line) in outcome.logs.iter().enumerate() {
            let Some(rest) = line.message.strip_prefix(PREFIX) else {
                if line.message.starts_with('{') {
                    told.event = serde_json::from_str(&line.message).ok();
                }
                continue;
            };
            let Some(step) = rest.strip_prefix("> ") else {
                let line = serde_json::from_str(rest)
                    .with_context(|| format!("the module's trace is not read: {rest}"))?;
                told.lines.push(line);
                continue;
            };
            let (callback, fuel) = fuels.get(place).copied().unwrap_or_default();
            let spent = before
                .as_ref()
                .filter(|(_, earlier, _)| *earlier == callback)
                .map(|(_, _, mark)| fuel.saturating_sub(*mark));
            match (before.take(), spent) {
                (Some((name, ..)), Some(price)) if name == "end" && step == "end" => {
                    for (_, fuel) in &mut steps {
                        *fuel = fuel.saturating_sub(price);
                    }
                    told.phases.push(std::mem::take(&mut steps));
                    continue;
                }
                (Some((name, ..)), Some(spent)) => steps.push((name, spent)),
                _ => steps.clear(),
            }
            before = Some((step.to_owned(), callback, fuel));
        }
        if told.phases.is_empty() {
            bail!(
                "the module writes no trace: is it an older build of the filter, or another filter?"
            );
        }
        Ok(told)
    }

    fn explanation(
        self,
        request: &Request,
        outcome: &Outcome,
        plain: &Outcome,
    ) -> Result<Explanation> {
        let event = |name: &str| {
            let value = self.event.as_ref().and_then(|event| event.get(name));
            value.and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let mut verdict = Verdict::Allowed { monitored: false };
        let mut findings: Vec<Finding> = Vec::new();
        let mut score: Option<Score> = None;
        let mut route = String::new();
        let mut values = Vec::new();
        let mut waits = Vec::new();
        let mut limits: Vec<(String, String)> = Vec::new();
        let mut verified = None;
        for line in self.lines {
            match line {
                Line::Route { name } => route = name,
                Line::Limit {
                    step,
                    name,
                    used,
                    quota,
                    wait_ms,
                } => {
                    let wait = Duration::from_millis(wait_ms);
                    let more = match wait_ms {
                        0 => String::new(),
                        _ => format!(", next in {wait:?}"),
                    };
                    limits.push((step, format!("{name} {used}/{quota}{more}")));
                }
                Line::Banned { step, wait_ms } => {
                    let wait = Duration::from_millis(wait_ms);
                    limits.push((step, format!("banned for {wait:?}")));
                }
                Line::Verified { provider } => {
                    verified = Some(format!("`{provider}` verified `{}`", event("subject")));
                }
                Line::Value(value) => values.push(value),
                Line::Verdict {
                    said,
                    stage,
                    reason,
                    status,
                    score: points,
                    threshold,
                    findings: found,
                } => {
                    if let (Some(points), Some(threshold)) = (points, threshold)
                        && score.is_none_or(|best| best.score <= points)
                    {
                        score = Some(Score {
                            score: points,
                            threshold,
                        });
                    }
                    waits.push(said == "need body");
                    for finding in found {
                        if !findings.contains(&finding) {
                            findings.push(finding);
                        }
                    }
                    if said == "deny" && outcome.local_reply.is_some() {
                        verdict = Verdict::Denied {
                            stage,
                            reason,
                            status,
                        };
                    }
                }
            }
        }
        if outcome.paused {
            verdict = Verdict::Held;
        } else if let (Verdict::Allowed { .. }, Some(reply)) = (&verdict, &outcome.local_reply) {
            // Not the engine's: the host failed the filter.
            verdict = Verdict::Denied {
                stage: "host".to_owned(),
                reason: reply.details.trim_start_matches("palisade_").to_owned(),
                status: reply.status,
            };
        } else if let Verdict::Allowed { monitored } = &mut verdict {
            *monitored = !findings.is_empty();
        }
        let mut steps = Vec::new();
        for (phase, marks) in self.phases.iter().enumerate() {
            let last = marks.len().saturating_sub(1);
            for (place, (name, fuel)) in marks.iter().enumerate() {
                let ends = place == last && phase + 1 == self.phases.len();
                let denied = ends && matches!(verdict, Verdict::Denied { .. });
                let own: Vec<&Finding> = findings
                    .iter()
                    .filter(|finding| belongs(&finding.stage, name))
                    .collect();
                let decision = if denied {
                    "refused"
                } else if own.iter().any(|finding| matches(finding, name, phase)) {
                    "reported"
                } else if place == last && waits.get(phase) == Some(&true) {
                    "waits"
                } else {
                    "passed"
                };
                let mut detail = match name.as_str() {
                    "request" => format!(
                        "{} {}",
                        text(request.headers.get(":method")),
                        text(request.headers.get(":path"))
                    ),
                    "route" if !route.is_empty() => format!("route `{route}`"),
                    "route" => "no route takes it".to_owned(),
                    "access" => format!("client {}", event("client")),
                    "token" => verified
                        .clone()
                        .unwrap_or_else(|| "nobody was verified".to_owned()),
                    "body" if phase > 0 => {
                        let size: usize = request.chunks.iter().map(Vec::len).sum();
                        match event("body").as_str() {
                            "prefix" => format!(
                                "the beginning of {size} bytes, as far as `body.max`; the rest passes unseen"
                            ),
                            _ => format!("{size} bytes, whole"),
                        }
                    }
                    "body" if event("body") == "streamed" => {
                        if request.headers.get("upgrade").is_some() {
                            "an upgrade: what follows passes unseen".to_owned()
                        } else {
                            "it streams: it passes unseen".to_owned()
                        }
                    }
                    _ => String::new(),
                };
                if name.starts_with("limits") {
                    let met = limits.iter().filter(|(step, _)| step == name);
                    let met: Vec<&str> = met.map(|(_, text)| text.as_str()).collect();
                    detail = met.join(", ");
                }
                if decision == "waits" {
                    detail = "the body is needed".to_owned();
                }
                if denied && (name == "token" || name == "body") {
                    detail.clear();
                }
                for finding in own {
                    if matches(finding, name, phase) || denied {
                        let said = said(finding);
                        if !detail.contains(&said) {
                            if !detail.is_empty() {
                                detail.push_str("; ");
                            }
                            detail.push_str(&said);
                        }
                    }
                }
                steps.push(Row {
                    step: name.clone(),
                    decision,
                    fuel: *fuel,
                    detail,
                });
            }
        }
        let spent: u64 = steps.iter().map(|row| row.fuel).sum();
        let fuel = plain.trace.fuel();
        Ok(Explanation {
            warnings: Warning::told(&plain.warnings),
            verdict,
            client: event("client"),
            route,
            body: event("body"),
            rest: fuel.saturating_sub(spent),
            fuel,
            steps,
            score,
            findings,
            values,
            headers: headers(request, outcome),
        })
    }
}

/// For each log line: its callback, and the fuel used in it when the line was written.
fn log_fuel(trace: &Trace) -> Vec<(usize, u64)> {
    trace
        .hostcalls
        .iter()
        .filter(|call| call.name == "proxy_log")
        .map(|call| (call.callback, call.fuel))
        .collect()
}

/// Whether a finding of this stage is made in this step.
fn belongs(stage: &str, step: &str) -> bool {
    match step {
        "headers" => matches!(stage, "headers" | "route"),
        _ => {
            stage == step.split('(').next().unwrap_or(step)
                || (stage == "body" && step == "injection(body)")
        }
    }
}

/// Whether a finding is of this phase: one in the body is none of the head's.
fn matches(finding: &Finding, step: &str, phase: usize) -> bool {
    let in_body = finding.place.starts_with("body");
    match step {
        "injection(head)" => !in_body,
        "injection(body)" => in_body || finding.stage == "body",
        "body" => finding.stage == "body" && phase == usize::from(finding.place.is_empty()),
        _ => true,
    }
}

fn said(finding: &Finding) -> String {
    let mut text = finding.reason.clone();
    if let ("token", Some((provider, check))) =
        (finding.stage.as_str(), finding.rule.split_once('/'))
    {
        return format!(
            "{text}: provider `{provider}` refused it at `{check}`, in {}",
            finding.place
        );
    }
    if !finding.rule.is_empty() && finding.rule != finding.reason {
        text = format!("{text}: {}", finding.rule);
    }
    if !finding.place.is_empty() {
        text = format!("{text} in {}", finding.place);
    }
    text
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.unwrap_or_default().escape_ascii().to_string()
}

/// The reply's own fields, or what the upstream got beyond what was sent.
fn headers(request: &Request, outcome: &Outcome) -> Vec<(String, String)> {
    let pair = |(name, value): (&[u8], &[u8])| {
        (
            String::from_utf8_lossy(name).into_owned(),
            String::from_utf8_lossy(value).into_owned(),
        )
    };
    if outcome.local_reply.is_some() {
        const TOLD: [&[u8]; 6] = [
            b"allow",
            b"retry-after",
            b"ratelimit",
            b"ratelimit-policy",
            b"www-authenticate",
            b"accept-encoding",
        ];
        let told = outcome
            .headers
            .iter()
            .filter(|(name, _)| TOLD.contains(name));
        return told.map(pair).collect();
    }
    let upstream = outcome.upstream.as_ref();
    let got = upstream
        .into_iter()
        .flat_map(|upstream| upstream.headers.iter());
    got.filter(|(name, value)| request.headers.iter().all(|sent| sent != (*name, *value)))
        .map(pair)
        .collect()
}
