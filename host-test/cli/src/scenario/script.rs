//! Answers to call-outs, as a scenario scripts them.
//!
//! **In:** rules in order, and each call-out as the guest makes it. **Out:** events after delays, and at the end of the case what
//! was asked that no rule fits, and which rules were not used as often as they say.
//! **Invariant:** the first rule that fits and is not used up answers. Bodies and messages are any bytes, garbage too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palisade_host::{Callout, CalloutEvent, CalloutScript, Headers};
use serde::Deserialize;

use anyhow::Result;

use super::expect::Difference;
use super::time::Step;
use super::value::{Surroundings, Value};

/// A rule: what a call-out must look like, and what it gets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Cluster; absent: any. So with the others.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Target of an HTTP call.
    #[serde(default)]
    pub path: Option<String>,
    /// Method, of HTTP or gRPC.
    #[serde(default)]
    pub method: Option<String>,
    /// gRPC service.
    #[serde(default)]
    pub service: Option<String>,
    /// Header fields it must have (metadata of gRPC).
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Text that its body (or message) must hold.
    #[serde(default)]
    pub body: Option<String>,
    /// It must be used exactly so often, and is used up then; absent: once or more.
    #[serde(default)]
    pub calls: Option<usize>,
    /// What comes back.
    #[serde(default)]
    pub answer: Answer,
}

/// What comes back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Status of an HTTP call; 200.
    #[serde(default)]
    pub status: Option<u16>,
    /// Its header fields.
    #[serde(default)]
    pub headers: Vec<(String, Value)>,
    /// Its body.
    #[serde(default)]
    pub body: Option<Value>,
    /// Its trailers.
    #[serde(default)]
    pub trailers: Vec<(String, Value)>,
    /// It comes after this time.
    #[serde(default)]
    pub delay: Step,
    /// The connection is reset: the call fails.
    #[serde(default)]
    pub reset: bool,
    /// Nothing comes back: the call runs into its timeout.
    #[serde(default)]
    pub never: bool,
    /// Messages of a gRPC call (one) or stream, serialized.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// gRPC status at the end; 0.
    #[serde(default)]
    pub grpc_status: i32,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// Initial metadata of a gRPC stream.
    #[serde(default)]
    pub initial_metadata: Vec<(String, Value)>,
    /// Trailing metadata of a gRPC stream.
    #[serde(default)]
    pub trailing_metadata: Vec<(String, Value)>,
    /// A gRPC stream stays open after the messages.
    #[serde(default)]
    pub stays_open: bool,
}

/// A rule with every byte known.
struct Rendered {
    rule: Rule,
    http: Vec<(Duration, CalloutEvent)>,
    unary: Vec<(Duration, CalloutEvent)>,
    stream: Vec<(Duration, CalloutEvent)>,
    used: usize,
}

#[derive(Default)]
struct State {
    rules: Vec<Rendered>,
    strange: Vec<String>,
}

/// The rules of a case at work.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// The rules, rendered.
    ///
    /// # Errors
    /// A value cannot be rendered.
    pub fn new(rules: &[Rule], surroundings: Surroundings<'_>) -> Result<Self> {
        let rules = rules
            .iter()
            .map(|rule| render(rule, surroundings))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self(Arc::new(Mutex::new(State {
            rules,
            strange: Vec::new(),
        }))))
    }

    /// What the host asks for each call-out.
    #[must_use]
    pub fn answers(&self) -> CalloutScript {
        let script = self.clone();
        Box::new(move |callout| {
            let mut state = script.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer(callout)
        })
    }

    /// What has gone otherwise than the rules say, at the end of the case.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Difference> = state
            .strange
            .iter()
            .map(|call| Difference::new("callouts", "a rule for each call-out", call))
            .collect();
        for (index, rendered) in state.rules.iter().enumerate() {
            let (wanted, wrong) = match rendered.rule.calls {
                Some(calls) => (format!("{calls} calls"), rendered.used != calls),
                None => ("at least one call".to_owned(), rendered.used == 0),
            };
            if wrong {
                all.push(Difference::new(
                    &format!("callouts[{}] ({})", index + 1, rendered.rule.title()),
                    &wanted,
                    &rendered.used.to_string(),
                ));
            }
        }
        all
    }
}

impl State {
    fn answer(&mut self, callout: &Callout) -> Vec<(Duration, CalloutEvent)> {
        let pick: fn(&Rendered) -> &Vec<(Duration, CalloutEvent)> = match callout {
            Callout::Http { .. } => |rendered| &rendered.http,
            Callout::Grpc { .. } => |rendered| &rendered.unary,
            Callout::GrpcOpen { .. } => |rendered| &rendered.stream,
            // What follows on a stream belongs to its opening.
            _ => return Vec::new(),
        };
        let fits = |rendered: &&mut Rendered| {
            rendered.rule.fits(callout)
                && rendered
                    .rule
                    .calls
                    .is_none_or(|calls| rendered.used < calls)
        };
        if let Some(rendered) = self.rules.iter_mut().find(fits) {
            rendered.used += 1;
            return pick(rendered).clone();
        }
        self.strange.push(describe(callout));
        Vec::new()
    }
}

impl Rule {
    fn title(&self) -> String {
        let parts: BTreeMap<&str, &Option<String>> = [
            ("cluster", &self.cluster),
            ("path", &self.path),
            ("method", &self.method),
            ("service", &self.service),
        ]
        .into_iter()
        .collect();
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)))
            .collect();
        if parts.is_empty() {
            "any".to_owned()
        } else {
            parts.join(", ")
        }
    }

    fn fits(&self, callout: &Callout) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let holds = |body: &[u8]| {
            self.body
                .as_ref()
                .is_none_or(|text| String::from_utf8_lossy(body).contains(text))
        };
        let has = |headers: &Headers| {
            self.headers.iter().all(|(name, value)| {
                headers
                    .iter()
                    .any(|(n, v)| n.eq_ignore_ascii_case(name.as_bytes()) && v == value.as_bytes())
            })
        };
        match callout {
            Callout::Http {
                cluster,
                headers,
                body,
                ..
            } => {
                let field = |name: &str| headers.text(name).unwrap_or_default();
                self.service.is_none()
                    && is(&self.cluster, cluster)
                    && is(&self.path, &field(":path"))
                    && is(&self.method, &field(":method"))
                    && has(headers)
                    && holds(body)
            }
            Callout::Grpc {
                cluster,
                service,
                method,
                metadata,
                message,
                ..
            } => {
                self.path.is_none()
                    && is(&self.cluster, cluster)
                    && is(&self.service, service)
                    && is(&self.method, method)
                    && has(metadata)
                    && holds(message)
            }
            Callout::GrpcOpen {
                cluster,
                service,
                method,
                metadata,
                ..
            } => {
                self.path.is_none()
                    && self.body.is_none()
                    && is(&self.cluster, cluster)
                    && is(&self.service, service)
                    && is(&self.method, method)
                    && has(metadata)
            }
            _ => false,
        }
    }
}

fn render(rule: &Rule, surroundings: Surroundings<'_>) -> Result<Rendered> {
    let answer = &rule.answer;
    let map = |pairs: &[(String, Value)]| -> Result<Headers> {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.add(name, value.render(surroundings)?);
        }
        Ok(headers)
    };
    let delay = Duration::from_millis(answer.delay.ms.unsigned_abs());
    let close = |status: i32, message: &str| CalloutEvent::GrpcClose {
        status,
        message: message.to_owned(),
    };
    let (mut http, mut unary, mut stream) = (Vec::new(), Vec::new(), Vec::new());
    if answer.never {
        // Nothing at all.
    } else if answer.reset {
        // As Envoy has it: a reset gRPC call is unavailable.
        http.push(CalloutEvent::HttpFailure);
        unary.push(close(14, "reset"));
        stream.push(close(14, "reset"));
    } else {
        let mut headers = Headers::new();
        headers.add(":status", answer.status.unwrap_or(200).to_string());
        for (name, value) in &answer.headers {
            headers.add(name, value.render(surroundings)?);
        }
        let body = match &answer.body {
            Some(body) => body.render(surroundings)?,
            None => Vec::new(),
        };
        let trailers = map(&answer.trailers)?;
        http.push(CalloutEvent::HttpResponse {
            headers,
            body,
            trailers,
        });
        let messages = answer
            .messages
            .iter()
            .map(|message| message.render(surroundings))
            .collect::<Result<Vec<_>>>()?;
        unary.push(match messages.first() {
            Some(message) if answer.grpc_status == 0 => CalloutEvent::GrpcMessage(message.clone()),
            _ => close(answer.grpc_status, &answer.message),
        });
        if !answer.initial_metadata.is_empty() {
            stream.push(CalloutEvent::GrpcInitialMetadata(map(
                &answer.initial_metadata
            )?));
        }
        stream.extend(messages.into_iter().map(CalloutEvent::GrpcMessage));
        if !answer.trailing_metadata.is_empty() {
            stream.push(CalloutEvent::GrpcTrailingMetadata(map(
                &answer.trailing_metadata
            )?));
        }
        if !answer.stays_open {
            stream.push(close(answer.grpc_status, &answer.message));
        }
    }
    let later = |events: Vec<CalloutEvent>| {
        events
            .into_iter()
            .map(|event| (delay, event))
            .collect::<Vec<_>>()
    };
    Ok(Rendered {
        rule: rule.clone(),
        http: later(http),
        unary: later(unary),
        stream: later(stream),
        used: 0,
    })
}

fn describe(callout: &Callout) -> String {
    match callout {
        Callout::Http {
            cluster, headers, ..
        } => {
            let field = |name: &str| headers.text(name).unwrap_or_default();
            format!("{} {} to {cluster}", field(":method"), field(":path"))
        }
        Callout::Grpc {
            cluster,
            service,
            method,
            ..
        } => format!("gRPC call {service}/{method} to {cluster}"),
        Callout::GrpcOpen {
            cluster,
            service,
            method,
            ..
        } => format!("gRPC stream {service}/{method} to {cluster}"),
        _ => String::new(),
    }
}
