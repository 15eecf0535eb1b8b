//! One file a subcommand, and what they share.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod serve;
pub(crate) mod serve_limits;
pub(crate) mod simulate;
mod simulate_input;
pub(crate) mod test;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use palisade_host::{Cache, LoadOptions, Module};

/// Colours, when somebody looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn stdout() -> Self {
        Self {
            on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    pub(crate) fn stderr() -> Self {
        Self {
            on: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
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
    Ok(env)
}

pub(crate) fn pair(text: &str) -> Result<(String, String)> {
    // The value may be a secret: it is not shown.
    let Some((name, value)) = text.split_once('=') else {
        bail!("an environment variable is written KEY=VALUE")
    };
    Ok((name.to_owned(), value.to_owned()))
}

/// The filter: `path`, or the one `cargo xtask wasm` built, or the one beside this program.
pub(crate) fn module(path: Option<&Path>) -> Result<Module> {
    let path = module_path(path)?;
    let options = LoadOptions {
        cache: cache(),
        ..LoadOptions::default()
    };
    Module::from_file_with(&path, &options).with_context(|| format!("module {}", path.display()))
}

/// Where compiled code is kept: `PALISADE_CACHE` is a directory, or `off`; absent: wasmtime's directory of the user.
pub(crate) fn cache() -> Cache {
    match std::env::var_os("PALISADE_CACHE") {
        None => Cache::User,
        Some(off) if off == "off" => Cache::Off,
        Some(directory) => Cache::In(directory.into()),
    }
}

/// Where the filter is.
pub(crate) fn module_path(path: Option<&Path>) -> Result<PathBuf> {
    Ok(match path {
        Some(path) => path.to_owned(),
        None => {
            let beside = std::env::current_exe()
                .ok()
                .and_then(|program| Some(program.parent()?.join("palisade.wasm")));
            let places = [Some(PathBuf::from("target/palisade.wasm")), beside];
            match places.into_iter().flatten().find(|place| place.is_file()) {
                Some(place) => place,
                None => bail!(
                    "there is no target/palisade.wasm: run `cargo xtask wasm`, or name one with --module"
                ),
            }
        }
    })
}
