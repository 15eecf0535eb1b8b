//! The portable suites of GoogleCloudPlatform/service-extensions, for any module that implements one of their plugins.
//!
//! **In:** the suites as one JSON list, and a module. **Out:** what differs, test by test.
//! **Invariant:** a suite without a module is never a pass; its tests are counted as having none.
//! **Source:** the semantics of that project's own runner (`plugins/test/`), written down at [`run`].

mod matching;
mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub use run::run;

/// The tests of one plugin under one configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Suite {
    /// Plugin: the name of its module without `.wasm`.
    pub plugin: String,
    /// Its module, if one is known.
    #[serde(default)]
    pub wasm: Option<String>,
    /// The file that the suite was made from.
    #[serde(default)]
    pub file: String,
    /// Plugin configuration.
    #[serde(default)]
    pub config: String,
    /// Both clocks stand at this second since 1970; 0: at one millisecond.
    #[serde(default)]
    pub time_secs: u64,
    /// Lines below are dropped: 1 is trace … 6 is critical, 0 is info.
    #[serde(default)]
    pub log_level: u32,
    /// The tests.
    pub tests: Vec<Test>,
}

/// One stream in a fresh VM.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Name; not always unique.
    pub name: String,
    /// For benchmarks.
    #[serde(default)]
    pub benchmark: bool,
    /// A body is cut into so many chunks, the last with the rest.
    #[serde(default)]
    pub num_chunks: Option<usize>,
    /// A body is cut into chunks of this size.
    #[serde(default)]
    pub chunk_size: Option<usize>,
    /// What `proxy_get_property` finds: segments joined by `.`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Logs of the start.
    #[serde(default)]
    pub plugin_init: Expect,
    /// Logs of the stream's start.
    #[serde(default)]
    pub stream_init: Expect,
    /// Request headers.
    #[serde(default)]
    pub request_headers: Option<Invocation>,
    /// Request bodies.
    #[serde(default)]
    pub request_body: Vec<Invocation>,
    /// Response headers.
    #[serde(default)]
    pub response_headers: Option<Invocation>,
    /// Response bodies.
    #[serde(default)]
    pub response_body: Vec<Invocation>,
    /// Logs of the stream's end.
    #[serde(default)]
    pub stream_destroy: Expect,
}

/// A callback: what goes in, what must come out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// In.
    #[serde(default)]
    pub input: Input,
    /// Out.
    #[serde(default)]
    pub expect: Expect,
}

/// Headers, or a body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Header fields.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(default)]
    pub body: String,
}

/// What must hold after a callback.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Fields with exactly this value; several of one name are joined by `, `.
    #[serde(default)]
    pub has_header: Vec<(String, String)>,
    /// Fields that are not there.
    #[serde(default)]
    pub no_header: Vec<String>,
    /// Matched against `name: value` lines.
    #[serde(default)]
    pub headers: Vec<Matcher>,
    /// Matched against the body.
    #[serde(default)]
    pub body: Vec<Matcher>,
    /// A local reply; absent: there must be none.
    #[serde(default)]
    pub immediate: Option<Immediate>,
    /// Matched against the lines logged in this phase.
    #[serde(default)]
    pub log: Vec<Matcher>,
}

/// A text, or a pattern that must match the whole; one hit among the candidates is enough.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// There must be no hit.
    #[serde(default)]
    pub invert: bool,
    /// The text.
    #[serde(default)]
    pub exact: Option<String>,
    /// The pattern, in RE2's syntax.
    #[serde(default)]
    pub regex: Option<String>,
}

/// A local reply.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Immediate {
    /// Status.
    #[serde(default)]
    pub http_status: Option<u32>,
    /// gRPC status.
    #[serde(default)]
    pub grpc_status: Option<i64>,
    /// Response code details.
    #[serde(default)]
    pub details: Option<String>,
}

impl Suite {
    /// How it is called in reports: the file it was made from tells suites of one plugin apart.
    #[must_use]
    pub fn title(&self) -> String {
        let stem = Path::new(&self.file)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        match stem.as_str() {
            "" | "tests" | "test" => self.plugin.clone(),
            stem => format!("{}/{stem}", self.plugin),
        }
    }

    /// The module of this suite in a folder: the file named in `wasm`, or one called after the plugin.
    #[must_use]
    pub fn module_in(&self, folder: &Path) -> Option<PathBuf> {
        let named = self.wasm.as_deref().map(Path::new);
        let mut names: Vec<PathBuf> = Vec::new();
        if let Some(named) = named {
            names.push(named.to_owned());
            names.extend(named.file_name().map(PathBuf::from));
        }
        names.push(PathBuf::from(format!("{}.wasm", self.plugin)));
        names.push(PathBuf::from(format!(
            "{}.wasm",
            self.plugin.replace('_', "-")
        )));
        names
            .into_iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
    }
}

/// Reads a list of suites.
///
/// # Errors
/// It cannot be read, is not of the format, or holds no suite.
pub fn load(path: &Path) -> Result<Vec<Suite>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let suites: Vec<Suite> = serde_json::from_str(&text)
        .with_context(|| format!("{}: not a list of suites", path.display()))?;
    if suites.is_empty() {
        bail!("{}: no suite in it", path.display());
    }
    Ok(suites)
}
