//! `palisade check` and `palisade schema`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use palisade_cli::policy_file::{self, Document};
use palisade_engine::policy::Policy;
use serde_json::{Value, json};

use super::Paint;
use super::filter::environment;

/// Check a policy: every error with its line and what to write instead, or what the policy asks of the host.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// YAML or JSON.
    policy: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A variable of the guest's environment: with one named, the policy's secrets are looked at too.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// A file of such lines.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Said of a policy that traces.
const TRACED: &str =
    "debug.trace: bytes of requests go to the log; it is for the desk, not for an edge";

/// Print the JSON Schema of policies, or of scenario files.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// That of the scenario files of `palisade test`.
    #[arg(long)]
    scenario: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let file = self.policy.display().to_string();
        let text =
            std::fs::read_to_string(&self.policy).with_context(|| format!("cannot read {file}"))?;
        let env = environment(self.env_file.as_deref(), &self.env)?;
        // Secrets are asked for only when an environment was named; else the policy is checked away from it.
        let named = self.env_file.is_some() || !self.env.is_empty();
        let mut warnings: Vec<String> = Vec::new();
        let (errors, implied) = match Document::parse(&text) {
            Err(error) => (
                vec![
                    json!({ "file": file, "line": error.line, "path": "", "problem": error.problem, "help": error.help }),
                ],
                None,
            ),
            Ok(document) => {
                let checked = if named {
                    policy_file::compile(&document.node, &env)
                } else {
                    Policy::check(&document.node)
                };
                match checked {
                    Ok(policy) => {
                        if policy.trace {
                            warnings.push(TRACED.to_owned());
                        }
                        warnings.extend(ending(&policy, &document));
                        (Vec::new(), Some(implied(&policy, &env)))
                    }
                    Err(errors) => {
                        let errors = errors.iter().map(|error| {
                            json!({ "file": file, "line": document.line(&error.path), "path": error.path,
                                    "problem": error.problem, "help": error.help })
                        });
                        (errors.collect(), None)
                    }
                }
            }
        };
        if self.json {
            say!(
                "{:#}",
                json!({ "valid": errors.is_empty(), "errors": errors, "warnings": warnings, "implied": implied })
            );
        } else {
            for warning in &warnings {
                eprintln!("{file}: {} {warning}", Paint::stderr().bold("warning:"));
            }
            print_human(&file, &errors, implied.as_ref());
        }
        Ok(ExitCode::from(u8::from(!errors.is_empty())))
    }
}

impl Schema {
    #[expect(clippy::unnecessary_wraps, reason = "one shape for all subcommands")]
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.scenario {
            say!("{}", palisade_cli::scenario::SCHEMA.trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        say!("{:#}", Policy::schema());
        Ok(ExitCode::SUCCESS)
    }
}

fn print_human(file: &str, errors: &[Value], implied: Option<&Value>) {
    let (out, err) = (Paint::stdout(), Paint::stderr());
    for error in errors {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        let line = error
            .get("line")
            .and_then(Value::as_u64)
            .map_or_else(String::new, |line| format!(":{line}"));
        let path = if text("path").is_empty() {
            String::new()
        } else {
            format!("{}: ", err.bold(text("path")))
        };
        eprintln!(
            "{file}{line}: {} {path}{}",
            err.red("error:"),
            text("problem")
        );
        if !text("help").is_empty() {
            eprintln!("    help: {}", text("help"));
        }
    }
    match errors.len() {
        0 => say!("{file}: {}", out.green("valid")),
        1 => eprintln!("{file}: 1 error"),
        many => eprintln!("{file}: {many} errors"),
    }
    for (name, value) in implied.and_then(Value::as_object).into_iter().flatten() {
        let shown = match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| newcomers_line(item), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join(", "),
            other => other.to_string(),
        };
        say!("  {name:<24} {shown}");
    }
}

/// An item of `newcomers_refused` for people.
fn newcomers_line(item: &Value) -> String {
    let text = |key: &str| match item.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    format!(
        "{}: not below {} charges/s of ever new clients ({} charges in one set within {} s)",
        text("limit"),
        text("table_per_second"),
        text("set_charges"),
        text("within_s"),
    )
}

/// Exceptions from injection detection that have expired or soon will.
fn ending(policy: &Policy, document: &Document) -> Vec<String> {
    const SOON: u64 = 14;
    const DAY: u64 = 24 * 60 * 60;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let exceptions = policy.exceptions().iter().enumerate();
    exceptions
        .filter_map(|(index, except)| {
            let path = format!("injection.except[{index}]");
            let line = document
                .line(&path)
                .map_or_else(String::new, |line| format!(", line {line}"));
            let end = except.expires?.0;
            let name = String::from_utf8_lossy(&except.name);
            if end <= now {
                return Some(format!(
                    "{path}{line}: `{name}` has expired and excepts nothing; take it out, or give it a later `expires`"
                ));
            }
            let days = end.saturating_sub(now).div_ceil(DAY);
            (days <= SOON).then(|| format!("{path}{line}: `{name}` expires within {days} days"))
        })
        .collect()
}

/// Below which charging by others newcomers of each limit are admitted.
fn newcomers(policy: &Policy) -> Vec<Value> {
    let per_second = |in_1000_s: u64| format!("{}.{:03}", in_1000_s / 1000, in_1000_s % 1000);
    let limits = policy.limits.limits.iter();
    limits
        .filter_map(|limit| {
            let capacity = policy.limits.capacity(limit)?;
            Some(json!({
                "limit": String::from_utf8_lossy(&limit.name),
                "set_charges": capacity.charges,
                "within_s": per_second(capacity.horizon_ms),
                "set_per_second": per_second(capacity.set),
                "table_per_second": per_second(capacity.table),
            }))
        })
        .collect()
}

/// What a policy asks of the host.
fn implied(policy: &Policy, env: &BTreeMap<String, String>) -> Value {
    let implied = policy.implied();
    let max = &policy.headers.max;
    let secrets: Vec<String> = implied
        .env
        .iter()
        .map(|name| {
            if env.contains_key(name) {
                name.clone()
            } else {
                format!("{name} (not set here)")
            }
        })
        .collect();
    json!({
        "shared_data_bytes": implied.table_bytes.saturating_add(implied.marks_bytes),
        "shared_data_keys": implied.table_sets.saturating_add(implied.marks_sets),
        "clients_remembered": implied.table_clients,
        "newcomers_refused": newcomers(policy),
        "marks_remembered": implied.marks,
        "bans_remembered": implied.bans,
        "body_bytes_held": implied.body_bytes,
        "header_count": max.count,
        "header_bytes": max.bytes,
        "header_value_bytes": max.value,
        "target_bytes": max.target,
        "query_parameters": max.params,
        "cookies": max.cookies,
        "routes": implied.routes,
        "keys": implied.keys,
        "secrets": secrets,
    })
}
