//! The shape of a scenario file.
//!
//! **Invariant:** unknown keys are errors everywhere, so a misspelt expectation cannot pass silently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use palisade_host::BUILT_IN_FUNCTIONS;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::expectation::Expect;
use super::script::Rule;
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
    /// The filter, a path relative to this file; absent: the command's, or ours.
    #[serde(default)]
    pub module: Option<String>,
    /// Plugin configuration of any filter: text as it is, a table as JSON.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// VM configuration, likewise.
    #[serde(default)]
    pub vm_configuration: Option<Configuration>,
    /// Which root context of the module.
    #[serde(default)]
    pub root_id: String,
    /// Clusters that call-outs may go to.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Envoy's flag: body callbacks come while the headers are held.
    #[serde(default = "yes")]
    pub allow_on_headers_stop_iteration: bool,
    /// Foreign functions of Envoy's that the host does without.
    #[serde(default)]
    pub without_functions: BTreeSet<String>,
    /// What the filter may use.
    #[serde(default)]
    pub limits: Limits,
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
    /// The text it was read from.
    #[serde(skip)]
    pub text: String,
}

/// What a filter may use; absent: the host's defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Fuel of one callback.
    #[serde(default)]
    pub fuel: Option<u64>,
    /// Bytes of memory.
    #[serde(default)]
    pub memory: Option<usize>,
}

/// A configuration: a text as it is, anything else as JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Configuration(pub serde_json::Value);

impl Configuration {
    /// The bytes that the filter gets.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.0 {
            serde_json::Value::Null => Vec::new(),
            serde_json::Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        }
    }
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
    /// Replaces the file's configuration.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// Joins and overrides the file's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Answers to call-outs; with any, a call-out that none fits is a failure.
    #[serde(default)]
    pub callouts: Vec<Rule>,
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
    /// Not a request at all, but something else that happens to the filter.
    #[serde(default)]
    pub step: Option<StepKind>,
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
    /// What the upstream answers, when more than a status matters.
    #[serde(default)]
    pub response: Option<Answered>,
    /// What `proxy_get_property` finds besides: segments joined by `.`.
    #[serde(default)]
    pub properties: BTreeMap<String, Value>,
    /// The client's certificate; the connection's properties say what is in it.
    #[serde(default)]
    pub certificate: Option<Certificate>,
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

/// A client certificate, as far as a filter sees it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Subject, in the form of RFC 2253.
    #[serde(default)]
    pub subject: String,
    /// The first URI of its alternative names.
    #[serde(default)]
    pub uri: Option<Value>,
    /// The first DNS name of them.
    #[serde(default)]
    pub dns: Option<Value>,
    /// SHA-256 of it, in hex.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// What happens instead of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// One tick.
    Tick,
    /// Time passes (`advance`): ticks and answers to call-outs come as they fall due.
    Wait,
    /// Values that wait in shared queues are announced.
    Queue,
}

/// The upstream's answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// Status; absent: that of `upstream`.
    #[serde(default)]
    pub status: Option<u16>,
    /// Header fields.
    #[serde(default)]
    pub headers: Vec<HeaderLine>,
    /// Body.
    #[serde(default)]
    pub body: Option<Value>,
    /// How it is cut; `every` is for requests only.
    #[serde(default)]
    pub chunks: Chunks,
    /// Trailers.
    #[serde(default)]
    pub trailers: Vec<HeaderLine>,
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
const fn yes() -> bool {
    true
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
    parse(&text, path)
}

/// Reads a scenario file's text; `path` is where its relative paths start, and its name.
///
/// # Errors
/// It is not of the format, or holds two cases of one name.
pub fn parse(text: &str, path: &Path) -> Result<File> {
    let file = read(text, path)?;
    let unnamed = |case: &&Case| {
        file.policy_of(case).is_none()
            && file.module.is_none()
            && file.configuration.is_none()
            && case.configuration.is_none()
    };
    if let Some(case) = file.cases.iter().find(unnamed) {
        bail!(
            "{}: case `{}`: it has no policy and names no module, nor does the file; name one with --module",
            path.display(),
            case.name
        );
    }
    Ok(file)
}

/// As [`load`], for a filter that the command line names: the file need not.
///
/// # Errors
/// Those of [`load`].
pub fn load_for_any(path: &Path) -> Result<File> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text, path)
}

fn read(text: &str, path: &Path) -> Result<File> {
    let mut file: File = serde_saphyr::from_str(text)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    path.clone_into(&mut file.path);
    text.clone_into(&mut file.text);
    let unknown = |name: &&String| !BUILT_IN_FUNCTIONS.contains(&name.as_str());
    if let Some(name) = file.without_functions.iter().find(unknown) {
        bail!(
            "{}: without_functions: the host has no `{name}`; it has {}",
            path.display(),
            BUILT_IN_FUNCTIONS.join(" and ")
        );
    }
    let mut names = BTreeSet::new();
    for case in &file.cases {
        let place = || format!("{}: case `{}`", path.display(), case.name);
        if !names.insert(case.name.as_str()) {
            bail!("{}: two cases are called `{}`", path.display(), case.name);
        }
        if case.requests.is_empty() {
            bail!("{}: it has no requests", place());
        }
        let ours = file.policy_of(case).is_some();
        for (index, request) in case.requests.iter().enumerate() {
            let place = || format!("{}: request {}", place(), index + 1);
            if let Some(code) = request.expect.0.deny.as_ref().filter(|_| ours) {
                super::expect::reason(code)
                    .with_context(|| format!("{}: there is no reason `{code}`", place()))?;
            }
            request.expect.0.check_patterns().with_context(place)?;
            if request.times == 0 {
                bail!("{}: `times: 0` sends nothing", place());
            }
            let answered = request.response.as_ref();
            if answered.is_some_and(|answered| answered.chunks == Chunks::Every) {
                bail!("{}: only a request's body is cut at every place", place());
            }
        }
    }
    Ok(file)
}

impl File {
    /// The line a case begins at, counted from 1; 0 if it is not found.
    #[must_use]
    pub fn line_of(&self, case: &Case) -> usize {
        let named = |line: &str| {
            line.split_once("name:").is_some_and(|(before, name)| {
                let name = name.trim().trim_start_matches(['"', '\'']);
                before.trim_matches([' ', '-', '{']).trim().is_empty()
                    && name.starts_with(&case.name)
                    && !name
                        .get(case.name.len()..)
                        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric()))
            })
        };
        self.text
            .lines()
            .position(named)
            .map_or(0, |index| index + 1)
    }

    /// Where its relative paths start.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }

    /// The policy of a case: it is a case of our own filter then. A configuration of the case comes before the file's policy.
    #[must_use]
    pub fn policy_of<'a>(&'a self, case: &'a Case) -> Option<&'a PolicySource> {
        match (&case.policy, &case.configuration) {
            (Some(policy), _) => Some(policy),
            (None, Some(_)) => None,
            (None, None) => self.policy.as_ref(),
        }
    }

    /// The configuration of a case, whichever way it is written.
    ///
    /// # Errors
    /// Its policy cannot be read.
    pub fn configuration_of(&self, case: &Case) -> Result<Vec<u8>> {
        if self.policy_of(case).is_some() {
            return self.policy_json(case).map(String::into_bytes);
        }
        let configuration = case.configuration.as_ref().or(self.configuration.as_ref());
        Ok(configuration.map(Configuration::bytes).unwrap_or_default())
    }

    /// Where its module is, if it names one.
    #[must_use]
    pub fn module_path(&self) -> Option<PathBuf> {
        let folder = self.folder();
        self.module.as_ref().map(|module| folder.join(module))
    }

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
        match self.policy_of(case) {
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
                f.write_str("`whole`, `bytes`, `every` (or `all`), or a list of sizes")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Chunks, E> {
                match text {
                    "whole" => Ok(Chunks::Whole),
                    "bytes" => Ok(Chunks::Bytes),
                    "every" | "all" => Ok(Chunks::Every),
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
