//! The shape of a scenario file.
//!
//! **Invariant:** unknown keys are errors everywhere, so a misspelt expectation cannot pass silently.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::time::Step;
use super::value::Value;

/// Wall time a case starts at unless it says otherwise: 2026-08-01T00:00:00Z.
pub const DEFAULT_WALL: u64 = 1_785_542_400;

/// Authority of a request that names none.
pub const DEFAULT_HOST: &str = "shop.example.com";

/// Downstream address of a request that names none.
pub const DEFAULT_PEER: &str = "192.0.2.10:40000";

/// A scenario file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it was read from.
    #[serde(skip)]
    pub path: PathBuf,
    /// What the file is about.
    #[serde(default)]
    pub about: String,
    /// Policy of every case that has none of its own: inline, or a path relative to this file.
    #[serde(default)]
    pub policy: Option<PolicySource>,
    /// Environment of the VM: the policy's secrets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Wall time at the start, in seconds since 1970.
    #[serde(default = "default_wall")]
    pub wall: u64,
    /// Drivers that can run the file; empty: all.
    #[serde(default)]
    pub drivers: Vec<String>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// Where a policy comes from.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// A file, relative to the scenario file.
    File(String),
    /// In place.
    Inline(serde_json::Value),
}

/// One case: a short story told to a fresh gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in its file.
    pub name: String,
    /// Standard's section, advisory or bug that it comes from.
    #[serde(default)]
    pub source: String,
    /// Why the expectation is right, when that is not plain.
    #[serde(default)]
    pub why: String,
    /// Drivers that can run it; empty: those of the file.
    #[serde(default)]
    pub drivers: Vec<String>,
    /// Replaces the file's policy.
    #[serde(default)]
    pub policy: Option<PolicySource>,
    /// Joins and overrides the file's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A good input for a benchmark.
    #[serde(default)]
    pub bench: bool,
    /// In order.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method.
    #[serde(default = "get")]
    pub method: Value,
    /// Target: path and query.
    #[serde(default = "slash")]
    pub path: Value,
    /// Authority.
    #[serde(default = "host")]
    pub host: Value,
    /// Header fields in order: `[name, value]`, or `[name, value, times]` where `#` in the name becomes 1, 2, ….
    #[serde(default)]
    pub headers: Vec<HeaderLine>,
    /// Body.
    #[serde(default)]
    pub body: Option<Value>,
    /// How the body is cut into chunks.
    #[serde(default)]
    pub chunks: Chunks,
    /// Trailer fields; with them the body does not end with its last chunk.
    #[serde(default)]
    pub trailers: Vec<HeaderLine>,
    /// Downstream address, `ip:port`.
    #[serde(default = "peer")]
    pub peer: String,
    /// Both clocks move by this before the request.
    #[serde(default)]
    pub advance: Step,
    /// The wall clock alone.
    #[serde(default)]
    pub advance_wall: Step,
    /// The monotonic clock alone.
    #[serde(default)]
    pub advance_monotonic: Step,
    /// Status that the upstream answers.
    #[serde(default = "ok")]
    pub upstream: u16,
    /// What the host does wrong while the request runs.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// The request is sent so often, with the same expectation each time.
    #[serde(default = "one")]
    pub times: u32,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// A header line of a scenario.
#[derive(Debug, Clone)]
pub struct HeaderLine {
    /// Name.
    pub name: Value,
    /// Value.
    pub value: Value,
    /// How often; 1 unless written.
    pub times: usize,
}

/// How a body is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Chunks {
    /// One chunk that ends the stream.
    #[default]
    Whole,
    /// One byte a chunk.
    Bytes,
    /// Once for every place it can be cut in two, and once byte by byte; each is a request of its own.
    Every,
    /// Chunks of these sizes, then the rest.
    Sizes(Vec<usize>),
}

/// A fault of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The body never comes (an Envoy without `allow_on_headers_stop_iteration`).
    BodyNever,
    /// Shared data cannot be written: an internal failure.
    CountersFail,
    /// Every compare-and-swap is lost.
    CountersContend,
}

/// What must come of a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectTable {
    /// The reason's code; absent: it is allowed.
    #[serde(default)]
    pub deny: Option<String>,
    /// Status at the client; absent: that of the reason, or the upstream's.
    #[serde(default)]
    pub status: Option<u16>,
    /// Header fields of the reply.
    #[serde(default)]
    pub reply: Fields,
    /// Header fields at the upstream.
    #[serde(default)]
    pub upstream: Fields,
    /// The upstream got exactly this target.
    #[serde(default)]
    pub upstream_path: Option<Value>,
    /// Texts that the events hold, all of them.
    #[serde(default)]
    pub event: Vec<String>,
    /// Texts that no event holds.
    #[serde(default)]
    pub event_lacks: Vec<String>,
}

/// What must come of a request: `allow`, a reason's code, or a table.
#[derive(Debug, Clone, Default)]
pub struct Expect(pub ExpectTable);

/// What must hold of some header fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// Names that must be there.
    #[serde(default)]
    pub present: Vec<String>,
    /// Names that must not.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Each name has exactly this value, once.
    #[serde(default)]
    pub equal: Vec<(String, Value)>,
    /// Each name has a value that holds this text.
    #[serde(default)]
    pub contain: Vec<(String, String)>,
}

const fn default_wall() -> u64 {
    DEFAULT_WALL
}
fn get() -> Value {
    Value::from("GET")
}
fn slash() -> Value {
    Value::from("/")
}
fn host() -> Value {
    Value::from(DEFAULT_HOST)
}
fn peer() -> String {
    DEFAULT_PEER.to_owned()
}
const fn ok() -> u16 {
    200
}
const fn one() -> u32 {
    1
}

/// Reads a scenario file.
///
/// # Errors
/// It cannot be read, is not of the format, or holds two cases of one name.
pub fn load(path: &Path) -> Result<File> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut file: File = serde_saphyr::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    path.clone_into(&mut file.path);
    let mut names = std::collections::BTreeSet::new();
    for case in &file.cases {
        if !names.insert(case.name.as_str()) {
            bail!("{}: two cases are called `{}`", path.display(), case.name);
        }
        if case.policy.is_none() && file.policy.is_none() {
            bail!(
                "{}: case `{}` has no policy, nor has the file",
                path.display(),
                case.name
            );
        }
        for request in &case.requests {
            if let Some(code) = &request.expect.0.deny {
                super::expect::reason(code).with_context(|| {
                    format!(
                        "{}: case `{}`: there is no reason `{code}`",
                        path.display(),
                        case.name
                    )
                })?;
            }
        }
    }
    Ok(file)
}

impl File {
    /// Whether `driver` can run `case`.
    #[must_use]
    pub fn runs_on(&self, case: &Case, driver: &str) -> bool {
        let drivers = if case.drivers.is_empty() {
            &self.drivers
        } else {
            &case.drivers
        };
        drivers.is_empty() || drivers.iter().any(|name| name == driver)
    }

    /// The policy of a case as JSON text.
    ///
    /// # Errors
    /// Its file cannot be read or is neither YAML nor JSON.
    pub fn policy_json(&self, case: &Case) -> Result<String> {
        match case.policy.as_ref().or(self.policy.as_ref()) {
            Some(PolicySource::Inline(value)) => Ok(value.to_string()),
            Some(PolicySource::File(name)) => {
                let path = self
                    .path
                    .parent()
                    .unwrap_or_else(|| Path::new(""))
                    .join(name);
                crate::policy_file::json_text(&path)
            }
            None => bail!("no policy"),
        }
    }

    /// The environment of a case.
    #[must_use]
    pub fn env(&self, case: &Case) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.extend(case.env.clone());
        env
    }
}

impl<'de> Deserialize<'de> for PolicySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PolicyVisitor;
        impl<'de> Visitor<'de> for PolicyVisitor {
            type Value = PolicySource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a policy, or the path of one")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<PolicySource, E> {
                Ok(PolicySource::File(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PolicySource, A::Error> {
                serde_json::Value::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(PolicySource::Inline)
            }
        }
        deserializer.deserialize_any(PolicyVisitor)
    }
}

impl<'de> Deserialize<'de> for HeaderLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LineVisitor;
        impl<'de> Visitor<'de> for LineVisitor {
            type Value = HeaderLine;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[name, value] or [name, value, times]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<HeaderLine, A::Error> {
                let name = seq
                    .next_element()?
                    .ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let value = seq
                    .next_element()?
                    .ok_or_else(|| de::Error::invalid_length(1, &self))?;
                let times = seq.next_element()?.unwrap_or(1);
                if seq.next_element::<IgnoredAny>()?.is_some() {
                    return Err(de::Error::invalid_length(4, &self));
                }
                Ok(HeaderLine { name, value, times })
            }
        }
        deserializer.deserialize_seq(LineVisitor)
    }
}

impl<'de> Deserialize<'de> for Chunks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChunksVisitor;
        impl<'de> Visitor<'de> for ChunksVisitor {
            type Value = Chunks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`whole`, `bytes`, `every`, or a list of sizes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Chunks, E> {
                match text {
                    "whole" => Ok(Chunks::Whole),
                    "bytes" => Ok(Chunks::Bytes),
                    "every" => Ok(Chunks::Every),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Chunks, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = seq.next_element()? {
                    sizes.push(size);
                }
                Ok(Chunks::Sizes(sizes))
            }
        }
        deserializer.deserialize_any(ChunksVisitor)
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExpectVisitor;
        impl<'de> Visitor<'de> for ExpectVisitor {
            type Value = Expect;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`allow`, a reason's code, or a table of expectations")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expect, E> {
                Ok(Expect(ExpectTable {
                    deny: (text != "allow").then(|| text.to_owned()),
                    ..ExpectTable::default()
                }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
                ExpectTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(Expect)
            }
        }
        deserializer.deserialize_any(ExpectVisitor)
    }
}
