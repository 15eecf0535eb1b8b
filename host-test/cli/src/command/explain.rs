//! `palisade explain`: why a request passes or not, step by step.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use palisade_cli::explain::input::PEER;
use palisade_cli::explain::{self, Desk, Input, Verdict, broken, human, learn, nearest, search};
use palisade_host::Limits;
use serde_json::{Value, json};

use super::filter::{Filter, check, document, environment};

/// Explain what a policy does with a request: each step, what matched before and after decoding, and the exception that passes it.
///
/// Exit code 0: allowed, 1: refused, 2: wrong use.
///
/// The request is a curl command line, raw HTTP/1.1, a HAR or an event the filter logged; without one of the options it
/// is read from standard input and told by its look.
///
/// With `--learn`: the narrowest exceptions (route, field, classes, level) that let known good traffic pass injection detection.
/// Exit code 0: all of it passes with them, 1: some is still refused.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A curl command line: `--curl "curl -d a=b https://example.com/"`.
    #[arg(long, value_name = "COMMAND", group = "request")]
    curl: Option<String>,
    /// A raw HTTP/1.1 request; `-`: standard input.
    #[arg(long, value_name = "FILE", group = "request")]
    raw: Option<PathBuf>,
    /// A HAR file, one of its entries, or a request of one; `-`: standard input.
    #[arg(long, value_name = "FILE", group = "request")]
    har: Option<PathBuf>,
    /// An event that the filter logged; `-`: standard input.
    #[arg(long, value_name = "FILE", group = "request")]
    event: Option<PathBuf>,
    /// Known good traffic: a HAR, or lines `{"request": {"method", "path", "headers", "body_b64"}}`; `-`: standard input.
    #[arg(long, value_name = "FILE", group = "request")]
    learn: Option<PathBuf>,
    /// Exceptions that are learned end after so many days.
    #[arg(long, value_name = "DAYS", default_value_t = 90, requires = "learn")]
    days: u32,
    /// Which entry of the HAR, from 0.
    #[arg(long, default_value_t = 0)]
    entry: usize,
    /// Where the request comes from, `address:port`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    peer: Option<String>,
    /// Explain under another `injection.level`.
    #[arg(long, value_name = "1-4", value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// Wall time as seconds since 1970; default: now.
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    /// Send it so often and explain the last: for limits.
    #[arg(long, default_value_t = 1, value_name = "N")]
    times: u32,
    /// Show the values of names in `events.redact` too.
    #[arg(long)]
    show_secrets: bool,
    /// Do not search for an exception.
    #[arg(long)]
    no_exception: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: Filter,
}

impl Explain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Some(path) = self
            .filter
            .policy
            .as_deref()
            .or(self.filter.config.as_deref())
        else {
            bail!(
                "explain needs --policy P.yaml: what it explains are the steps of our own filter"
            );
        };
        let file = path.display();
        let document = document(path)?;
        let checked = check(path, &document)?;
        let mut policy: Value = serde_json::from_str(&document.json())?;
        if let (Some(level), Some(injection)) = (self.level, policy.get_mut("injection")) {
            let Some(injection) = injection.as_object_mut() else {
                bail!("{file}: `injection` is not a map");
            };
            injection.insert("level".to_owned(), json!(level));
        }
        let host = checked.headers.hosts.first().map_or_else(
            || "example.com".to_owned(),
            |host| String::from_utf8_lossy(host).replace('*', "www"),
        );
        let mut input = match self.learn {
            Some(_) => None,
            None => Some(self.input(&host)?),
        };
        let mut env = environment(self.filter.env_file.as_deref(), &self.filter.env)?;
        let missing = stand_in(&checked.implied().env, &mut env);
        if let Some(input) = input.as_mut().filter(|_| !missing.is_empty()) {
            input.notes.push(format!(
                "not set: {}; a stand-in is used, under which no real token verifies (--env KEY=VALUE)",
                missing.join(", ")
            ));
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let desk = Desk {
            module: self.filter.load(Limits::default())?,
            vm_configuration: self.filter.vm_configuration(),
            root_id: self.filter.root_id(),
            without_functions: self.filter.without_functions(),
            env,
            at: self.at.map_or(now, Duration::from_secs),
            times: self.times,
            secrets: self.show_secrets,
        };
        let (Some(input), None) = (input, &self.learn) else {
            return self.learn(&desk, &policy);
        };
        let told = desk.explain(&policy, &input.request)?;
        let denied = !matches!(told.verdict, Verdict::Allowed { .. });
        let broken = broken(&input.request, &told);
        let exception = if denied && !self.no_exception {
            Some(search(&desk, &policy, &input.request, &told)?)
        } else {
            None
        };
        let near = if denied {
            None
        } else {
            nearest(&desk, &policy, &input.request)?
        };
        if self.json {
            say!(
                "{:#}",
                json!({ "form": input.form, "notes": input.notes, "explanation": told, "broken": broken, "exception": exception, "closest": near })
            );
        } else {
            let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let text = human(
                &input,
                &told,
                broken.as_ref(),
                exception.as_ref(),
                near.as_ref(),
                colour,
            );
            say!("{}", text.trim_end());
        }
        Ok(ExitCode::from(u8::from(denied)))
    }

    fn learn(&self, desk: &Desk, policy: &Value) -> Result<ExitCode> {
        let Some(path) = &self.learn else {
            bail!("nothing to learn from");
        };
        let file = path.display().to_string();
        let good = learn::read(&text(path)?).with_context(|| file.clone())?;
        let learned = learn::learn(desk, policy, &good, self.days)?;
        if self.json {
            say!("{:#}", json!(learned));
        } else {
            say!("{}", learned.yaml(&file).trim_end());
        }
        Ok(ExitCode::from(u8::from(!learned.left.is_empty())))
    }

    fn input(&self, host: &str) -> Result<Input> {
        let peer = self.peer.as_deref();
        let from = peer.unwrap_or(PEER);
        if from.parse::<std::net::SocketAddr>().is_err() {
            bail!("--peer is written ADDRESS:PORT, such as {PEER}; `{from}` is not");
        }
        if let Some(command) = &self.curl {
            return Input::curl(command, from);
        }
        if let Some(path) = &self.raw {
            return Input::raw(&bytes(path)?, from);
        }
        if let Some(path) = &self.har {
            return Input::har(&text(path)?, self.entry, from);
        }
        if let Some(path) = &self.event {
            return Input::event(&text(path)?, host, peer);
        }
        if std::io::stdin().is_terminal() {
            bail!(
                "give a request: --curl, --raw, --har, --event, or any of them on standard input"
            );
        }
        Input::detect(&bytes(Path::new("-"))?, self.entry, host, peer)
    }
}

/// Stand-ins for secrets that are not set, so that all but tokens can be explained without them: long enough for every
/// algorithm, and good in every encoding.
fn stand_in(needed: &[String], env: &mut BTreeMap<String, String>) -> Vec<String> {
    let missing: Vec<String> = needed
        .iter()
        .filter(|name| !env.contains_key(*name))
        .cloned()
        .collect();
    for name in &missing {
        env.insert(name.clone(), "5a17c0de".repeat(16));
    }
    missing
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        return explain::at_most(std::io::stdin()).context("standard input");
    }
    explain::bounded(path)
}

fn text(path: &Path) -> Result<String> {
    String::from_utf8(bytes(path)?).with_context(|| format!("{} is not text", path.display()))
}
