//! Which filter, and what it is given: the same flags for every command that runs one.
//!
//! **In:** flags and the files they name. **Out:** a module, its configuration, its environment.
//! **Invariant:** a guest sees the variables its policy needs, or those that were given by name, and nothing else of our environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::policy_file::{self, Document};
use palisade_engine::policy::Policy;
use palisade_host::{BUILT_IN_FUNCTIONS, Cache, Limits, LoadOptions, Module};

/// A filter as flags name it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub(crate) struct Filter {
    /// The filter; absent: target/palisade.wasm, or the one beside this program.
    #[arg(long, value_name = "M.wasm")]
    pub(crate) module: Option<PathBuf>,
    /// The policy of our own filter, YAML or JSON.
    #[arg(long, short, value_name = "P", conflicts_with_all = ["config", "config_text"])]
    pub(crate) policy: Option<PathBuf>,
    /// Configuration of any filter, handed over as it is.
    #[arg(long, value_name = "FILE", conflicts_with = "config_text")]
    pub(crate) config: Option<PathBuf>,
    /// The same, as text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) config_text: Option<String>,
    /// Configuration of the VM (`proxy_on_vm_start`).
    #[arg(long, value_name = "TEXT")]
    vm_config: Option<String>,
    /// Which root context of the module.
    #[arg(long, value_name = "ID")]
    pub(crate) root_id: Option<String>,
    /// A variable of the guest's environment; what a policy needs is also taken from ours.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// A file of such lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// A foreign function of Envoy's that the host does without, such as `verify_signature`; repeatable.
    #[arg(long = "without-function", value_name = "NAME", value_parser = BUILT_IN_FUNCTIONS)]
    without_functions: Vec<String>,
}

/// What a filter is given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) configuration: Vec<u8>,
    pub(crate) environment: Vec<(String, String)>,
}

/// A policy with errors, a line each: a bad answer, and no broken use.
#[derive(Debug)]
pub(crate) struct BadPolicy(Vec<String>);

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for BadPolicy {}

impl Filter {
    /// Whether a configuration is named.
    pub(crate) const fn is_configured(&self) -> bool {
        self.policy.is_some() || self.config.is_some() || self.config_text.is_some()
    }

    /// Whether neither a filter nor a configuration is named.
    pub(crate) const fn is_absent(&self) -> bool {
        self.module.is_none() && !self.is_configured()
    }

    pub(crate) fn path(&self) -> Result<PathBuf> {
        module_path(self.module.as_deref())
    }

    /// Compiles it, or takes it from the cache.
    pub(crate) fn load(&self, limits: Limits) -> Result<Module> {
        load(&self.path()?, limits)
    }

    /// Configuration and environment as the files have them now.
    ///
    /// # Errors
    /// [`BadPolicy`]; a file cannot be read; our own filter without a policy.
    pub(crate) fn given(&self) -> Result<Given> {
        if let Some(path) = &self.policy {
            let document = document(path)?;
            let env = environment(self.env_file.as_deref(), &self.env)?;
            let policy = policy_file::compile(&document.node, &env)
                .map_err(|errors| bad_policy(path, &document, &errors))?;
            let needs = &policy.implied().env;
            return Ok(Given {
                configuration: document.json().into_bytes(),
                environment: env
                    .into_iter()
                    .filter(|(name, _)| needs.contains(name))
                    .collect(),
            });
        }
        let configuration = match (&self.config, &self.config_text) {
            (Some(file), _) => std::fs::read(file)
                .with_context(|| format!("--config: cannot read {}", file.display()))?,
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) if self.module.is_none() => bail!(
                "which filter? Give --policy P.yaml for our own, or --module X.wasm (with --config FILE) for another"
            ),
            (None, None) => Vec::new(),
        };
        Ok(Given {
            configuration,
            environment: self.named()?,
        })
    }

    /// Configuration of the VM.
    pub(crate) fn vm_configuration(&self) -> Vec<u8> {
        self.vm_config.clone().unwrap_or_default().into_bytes()
    }

    pub(crate) fn vm_config(&self) -> Option<&str> {
        self.vm_config.as_deref()
    }

    /// Foreign functions that the host does without.
    pub(crate) fn without_functions(&self) -> BTreeSet<String> {
        self.without_functions.iter().cloned().collect()
    }

    /// The root context, by its name; empty: the module's first.
    pub(crate) fn root_id(&self) -> String {
        self.root_id.clone().unwrap_or_default()
    }

    /// What `--env-file` and `--env` name; later ones win.
    pub(crate) fn named(&self) -> Result<Vec<(String, String)>> {
        let mut named = BTreeMap::new();
        read_variables(self.env_file.as_deref(), &self.env, &mut named)?;
        Ok(named.into_iter().collect())
    }
}

/// A policy's text, read.
pub(crate) fn document(path: &Path) -> Result<Document> {
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    Document::parse(&text).map_err(|error| {
        let line = error
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        BadPolicy(vec![format!("{file}{line}: {}", error.problem)]).into()
    })
}

/// The errors of a policy, each with its line.
pub(crate) fn bad_policy(
    path: &Path,
    document: &Document,
    errors: &[palisade_engine::policy::PolicyError],
) -> BadPolicy {
    let lines = errors.iter().map(|error| {
        let line = document
            .line(&error.path)
            .map_or_else(String::new, |line| format!(":{line}"));
        format!(
            "{}{line}: {}",
            path.display(),
            in_our_words(&error.to_string())
        )
    });
    BadPolicy(lines.collect())
}

/// Checks a policy without its secrets.
pub(crate) fn check(path: &Path, document: &Document) -> Result<Policy, BadPolicy> {
    Policy::check(&document.node).map_err(|errors| bad_policy(path, document, &errors))
}

/// The engine's advice on a missing secret is for Envoy; here there are flags.
pub(crate) fn in_our_words(error: &str) -> String {
    match error.split_once("; name it in `environment_variables`") {
        Some((problem, _)) => {
            let name = problem.split('`').nth(1).unwrap_or("NAME");
            format!(
                "{problem}; give it with `--env {name}=VALUE`, in a file with `--env-file FILE`, or in this process's environment"
            )
        }
        None => error.to_owned(),
    }
}

/// The process's environment, then `KEY=VALUE` lines of a file, then `KEY=VALUE` arguments; later ones win.
pub(crate) fn environment(
    file: Option<&Path>,
    arguments: &[String],
) -> Result<BTreeMap<String, String>> {
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    read_variables(file, arguments, &mut env)?;
    Ok(env)
}

fn read_variables(
    file: Option<&Path>,
    arguments: &[String],
    env: &mut BTreeMap<String, String>,
) -> Result<()> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, value) = pair(line).with_context(|| path.display().to_string())?;
            env.insert(name, value);
        }
    }
    for argument in arguments {
        let (name, value) = pair(argument)?;
        env.insert(name, value);
    }
    Ok(())
}

fn pair(text: &str) -> Result<(String, String)> {
    // The value may be a secret: it is not shown.
    let Some((name, value)) = text.split_once('=') else {
        bail!("an environment variable is written KEY=VALUE")
    };
    Ok((name.to_owned(), value.to_owned()))
}

/// Compiles a module, or takes it from the cache.
pub(crate) fn load(path: &Path, limits: Limits) -> Result<Module> {
    let options = LoadOptions {
        limits,
        cache: cache(),
    };
    Module::from_file_with(path, &options).with_context(|| format!("module {}", path.display()))
}

/// Where compiled code is kept: `PALISADE_CACHE` is a directory, or `off`; absent: wasmtime's directory of the user.
pub(crate) fn cache() -> Cache {
    match std::env::var_os("PALISADE_CACHE") {
        None => Cache::User,
        Some(off) if off == "off" => Cache::Off,
        Some(directory) => Cache::In(directory.into()),
    }
}

/// Where the filter is: `path`, or the one `cargo xtask wasm` built, or the one beside this program.
pub(crate) fn module_path(path: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("palisade.wasm")));
    let places = [Some(PathBuf::from("target/palisade.wasm")), beside];
    match places.into_iter().flatten().find(|place| place.is_file()) {
        Some(place) => Ok(place),
        None => bail!(
            "there is no target/palisade.wasm: run `cargo xtask wasm`, or name one with --module"
        ),
    }
}

/// A header as the command line has it.
pub(crate) fn header(line: &str) -> Result<(&str, &str)> {
    let (name, value) = line
        .split_once(':')
        .context("a header is written NAME: VALUE")?;
    Ok((name.trim(), value.trim()))
}
