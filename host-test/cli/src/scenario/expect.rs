//! What came of a request, and how it differs from what should have.

use std::collections::BTreeMap;
use std::fmt;

use palisade_engine::verdict::Reason;
use palisade_host::{FilterState, LogLine, Trace};

use anyhow::Result;

pub use super::compare::show;
use super::compare::{Found, body, compare, field, matches};
use super::expectation::{ExpectTable, Level, LineTable};
use super::value::Surroundings;

/// What a driver saw of one request. All bytes raw, names lower case.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Code of the reason, or the response code details, if the filter answered itself.
    pub denied: Option<String>,
    /// gRPC status of that answer.
    pub grpc_status: Option<i32>,
    /// Status at the client.
    pub status: u16,
    /// Header fields at the client.
    pub reply: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether `reply` holds all fields; otherwise only those that the engine itself decides.
    pub reply_complete: bool,
    /// Body at the client.
    pub reply_body: Vec<u8>,
    /// Trailers at the client.
    pub reply_trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the upstream got; `None`: nothing.
    pub upstream: Option<Upstream>,
    /// Events, one text each; `None`: the driver cannot see them.
    pub events: Option<Vec<String>>,
    /// The filter held the stream and nothing freed it.
    pub paused: bool,
    /// The filter trapped, or the driver broke.
    pub trap: Option<String>,
    /// What only our host sees; `None`: the driver cannot.
    pub inside: Option<Inside>,
}

/// What our host sees of the filter.
#[derive(Debug, Clone, Default)]
pub struct Inside {
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// What it ran.
    pub trace: Trace,
    /// What it stored for access logs.
    pub filter_state: FilterState,
    /// Its metrics.
    pub metrics: BTreeMap<String, u64>,
    /// Its shared data.
    pub shared_data: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A request as the upstream got it.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// Header fields, pseudo-headers among them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One thing that is not as expected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Which request, and which plan of its body; empty: the case as a whole.
    pub request: String,
    /// What of it, such as `reply content-type`.
    pub what: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Difference {
    /// A difference of the case as a whole, or of a request yet to be named.
    #[must_use]
    pub fn new(what: &str, expected: &str, found: &str) -> Self {
        Self {
            request: String::new(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.request.is_empty() {
            write!(f, "{}: ", self.request)?;
        }
        if self.expected.is_empty() && self.found.is_empty() {
            return f.write_str(&self.what);
        }
        write!(
            f,
            "{}: expected {}, found {}",
            self.what, self.expected, self.found
        )
    }
}

/// Header fields of a reply that the engine decides (the others are the plugin's).
pub const ENGINE_FIELDS: [&str; 6] = [
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "www-authenticate",
    "allow",
    "set-cookie",
];

/// The reason with this code.
#[must_use]
pub fn reason(code: &str) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|reason| reason.row().code == code)
}

/// What was sent: what expectations are measured by when they leave something open.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// It was a request, and no other step.
    pub request: bool,
    /// The filter is ours: it never changes a body.
    pub ours: bool,
    /// Body of the request.
    pub body: &'a [u8],
    /// Status the upstream answers.
    pub status: u16,
}

impl ExpectTable {
    /// The differences between what should be and what is.
    ///
    /// # Errors
    /// An expected value cannot be rendered.
    pub fn differences(
        &self,
        outcome: &Outcome,
        sent: Sent<'_>,
        surroundings: Surroundings<'_>,
    ) -> Result<Vec<Difference>> {
        let mut found = Found(Vec::new());
        match (&self.trap, &outcome.trap) {
            (None, None) => {}
            (Some(text), Some(trap)) if trap.contains(text) => {}
            (wanted, trap) => {
                let wanted = wanted.as_ref().map(|text| format!("one with `{text}`"));
                found.add(
                    "trap",
                    wanted.unwrap_or_else(|| "none".to_owned()),
                    trap.clone().unwrap_or_else(|| "none".to_owned()),
                );
                return Ok(found.0);
            }
        }
        if sent.request && outcome.trap.is_none() {
            self.verdict(outcome, sent, &mut found);
            self.reply(outcome, surroundings, &mut found)?;
            self.at_upstream(outcome, sent, surroundings, &mut found)?;
        }
        self.events(outcome, &mut found);
        if let Some(inside) = &outcome.inside {
            self.inside(inside, surroundings, &mut found)?;
        }
        Ok(found.0)
    }

    fn verdict(&self, outcome: &Outcome, sent: Sent<'_>, found: &mut Found) {
        if self.paused != outcome.paused {
            let text = |paused| {
                if paused {
                    "held by the filter, nothing frees it"
                } else {
                    "not held"
                }
            };
            found.add("stream", text(self.paused), text(outcome.paused));
        }
        if outcome.paused {
            return;
        }
        let right = match &self.deny {
            Some(code) => outcome.denied.as_ref() == Some(code),
            None => self.denied() == outcome.denied.is_some(),
        };
        if !right {
            let wanted = match &self.deny {
                Some(code) => format!("deny {code}"),
                None if self.denied() => "a local reply".to_owned(),
                None if sent.ours => "allow".to_owned(),
                None => "no local reply".to_owned(),
            };
            let is = match &outcome.denied {
                Some(code) if sent.ours => format!("deny {code}"),
                Some(details) => format!(
                    "a local reply with status {} and details `{details}` (`local_reply:` expects one)",
                    outcome.status
                ),
                None if sent.ours => "allow".to_owned(),
                None => "no local reply".to_owned(),
            };
            found.add("verdict", wanted, is);
        }
        let of_reason = self.deny.as_deref().and_then(reason);
        let status = self
            .status
            .or_else(|| of_reason.map(|reason| reason.row().status))
            .or_else(|| (!self.denied()).then_some(sent.status));
        if let Some(status) = status
            && status != outcome.status
        {
            found.add("status", status.to_string(), outcome.status.to_string());
        }
        if let Some(reply) = &self.local_reply {
            if let Some(details) = &reply.details
                && outcome.denied.as_ref() != Some(details)
            {
                let is = outcome.denied.clone().unwrap_or_default();
                found.add("local_reply details", details.as_str(), is);
            }
            if reply.grpc_status.is_some() && reply.grpc_status != outcome.grpc_status {
                let text = |status: Option<i32>| {
                    status.map_or_else(|| "none".to_owned(), |status| status.to_string())
                };
                found.add(
                    "local_reply grpc_status",
                    text(reply.grpc_status),
                    text(outcome.grpc_status),
                );
            }
        }
    }

    fn reply(
        &self,
        outcome: &Outcome,
        surroundings: Surroundings<'_>,
        found: &mut Found,
    ) -> Result<()> {
        let known = |name: &str| outcome.reply_complete || ENGINE_FIELDS.contains(&name);
        let fields = &outcome.reply;
        compare("reply", &self.reply, fields, known, surroundings, found)?;
        let trailers = (&self.reply_trailers, &outcome.reply_trailers);
        let what = "reply trailer";
        compare(what, trailers.0, trailers.1, |_| true, surroundings, found)?;
        if let Some(text) = &self.reply_body {
            body("reply body", text, &outcome.reply_body, surroundings, found)?;
        }
        Ok(())
    }

    fn at_upstream(
        &self,
        outcome: &Outcome,
        sent: Sent<'_>,
        surroundings: Surroundings<'_>,
        found: &mut Found,
    ) -> Result<()> {
        let nothing = self.upstream.none || (self.denied() && self.deny.is_some());
        let Some(upstream) = &outcome.upstream else {
            let asked = !self.upstream.none && !self.denied() && !self.paused;
            if asked || self.upstream_body.is_some() || self.upstream_path.is_some() {
                found.add("upstream", "the request", "nothing");
            }
            return Ok(());
        };
        if nothing {
            let path = field(&upstream.headers, b":path").unwrap_or_default();
            let is = if self.upstream.none {
                format!("a request for {}", show(path))
            } else {
                "the denied request".to_owned()
            };
            found.add("upstream", "nothing", is);
            return Ok(());
        }
        let all = |_: &str| true;
        compare(
            "upstream",
            &self.upstream.fields,
            &upstream.headers,
            all,
            surroundings,
            found,
        )?;
        compare(
            "upstream trailer",
            &self.upstream_trailers,
            &upstream.trailers,
            all,
            surroundings,
            found,
        )?;
        match &self.upstream_body {
            Some(text) => body("upstream body", text, &upstream.body, surroundings, found)?,
            None if sent.ours && upstream.body != sent.body => found.add(
                "upstream body",
                format!("the {} bytes sent", sent.body.len()),
                format!("{} bytes", upstream.body.len()),
            ),
            None => {}
        }
        if let Some(path) = &self.upstream_path {
            let path = path.render(surroundings)?;
            let is = field(&upstream.headers, b":path");
            if is != Some(path.as_slice()) {
                found.add(
                    "upstream path",
                    show(&path),
                    is.map_or_else(String::new, show),
                );
            }
        }
        Ok(())
    }

    fn events(&self, outcome: &Outcome, found: &mut Found) {
        let Some(events) = &outcome.events else {
            return;
        };
        for text in &self.event {
            if !events.iter().any(|event| event.contains(text)) {
                found.add("event", format!("one with `{text}`"), format!("{events:?}"));
            }
        }
        for text in &self.event_lacks {
            if let Some(event) = events.iter().find(|event| event.contains(text)) {
                found.add("event", format!("none with `{text}`"), event.as_str());
            }
        }
    }

    fn inside(
        &self,
        inside: &Inside,
        surroundings: Surroundings<'_>,
        found: &mut Found,
    ) -> Result<()> {
        for (index, wanted) in self.logs.iter().enumerate() {
            if !inside.logs.iter().any(|line| wanted.0.fits(line)) {
                found.add(
                    &format!("logs[{}]", index + 1),
                    wanted.0.describe(),
                    lines(&inside.logs),
                );
            }
        }
        for text in &self.logs_lack {
            if let Some(line) = inside.logs.iter().find(|line| line.message.contains(text)) {
                found.add("logs", format!("none with `{text}`"), line.to_string());
            }
        }
        for (name, value) in &self.metrics {
            let is = inside.metrics.get(name);
            if is != Some(value) {
                let is = is.map_or_else(
                    || {
                        let names: Vec<&str> = inside.metrics.keys().map(String::as_str).collect();
                        format!("no such metric among [{}]", names.join(", "))
                    },
                    u64::to_string,
                );
                found.add(&format!("metrics {name}"), value.to_string(), is);
            }
        }
        let nothing = || "nothing".to_owned();
        for (key, value) in &self.shared_data {
            let value = value.render(surroundings)?;
            let is = inside.shared_data.get(key.as_bytes());
            if is != Some(&value) {
                let is = is.map_or_else(nothing, |is| show(is));
                found.add(&format!("shared_data {key}"), show(&value), is);
            }
        }
        for (name, value) in &self.filter_state {
            let value = value.render(surroundings)?;
            let is = inside
                .filter_state
                .get(name)
                .or_else(|| inside.filter_state.get(&format!("wasm.{name}")));
            if is != Some(&value) {
                let is = is.map_or_else(nothing, |is| show(is));
                found.add(&format!("filter_state {name}"), show(&value), is);
            }
        }
        for (name, most) in &self.calls {
            let made = inside.trace.count(name);
            if made > *most {
                found.add(
                    &format!("calls {name}"),
                    format!("at most {most}"),
                    made.to_string(),
                );
            }
        }
        if let Some(most) = self.fuel {
            let used = inside.trace.fuel();
            if used > most {
                found.add("fuel", format!("at most {most}"), used.to_string());
            }
        }
        Ok(())
    }
}

impl LineTable {
    fn fits(&self, line: &LogLine) -> bool {
        let level = Level::of(line);
        self.level.is_none_or(|wanted| wanted == level)
            && self
                .contains
                .as_ref()
                .is_none_or(|text| line.message.contains(text))
            && self
                .matches
                .as_ref()
                .is_none_or(|pattern| matches(pattern, line.message.as_bytes()))
    }

    fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(text) = &self.contains {
            parts.push(format!("with `{text}`"));
        }
        if let Some(pattern) = &self.matches {
            parts.push(format!("matching `{pattern}`"));
        }
        if let Some(level) = self.level {
            parts.push(format!("of level {level:?}").to_ascii_lowercase());
        }
        format!("a line {}", parts.join(", "))
    }
}

impl Level {
    const fn of(line: &LogLine) -> Self {
        match line.level {
            palisade_host::LogLevel::Trace => Self::Trace,
            palisade_host::LogLevel::Debug => Self::Debug,
            palisade_host::LogLevel::Info => Self::Info,
            palisade_host::LogLevel::Warn => Self::Warn,
            palisade_host::LogLevel::Error => Self::Error,
            palisade_host::LogLevel::Critical => Self::Critical,
        }
    }
}

fn lines(logs: &[LogLine]) -> String {
    if logs.is_empty() {
        return "no log".to_owned();
    }
    let lines: Vec<String> = logs.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
