//! `palisade score`: what injection detection catches and refuses of labelled requests.
//!
//! **Out:** exit code 0; 1 when a gate is missed or the filter fails over a row; 2 for usage and broken files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use palisade_cli::score::corpus::Corpus;
use palisade_cli::score::gates::{Caught, Check, Exceptions, Gates};
use palisade_cli::score::html::Report;
use palisade_cli::score::judge::{self, InModule, Native, Start, injection_alone};
use palisade_cli::score::list::{self, Which};
use palisade_cli::score::own::Mutate;
use palisade_cli::score::transplant::{self, Transplants};
use palisade_cli::score::{Judge, Tables, Verdict, judge_all};
use palisade_host::Limits;
use serde_json::{Value, json};

use super::Paint;
use super::filter::{Filter, check, document};

/// Score injection detection on labelled requests: what is caught, what is refused in error, and why.
///
/// Without a policy: injection detection alone, at its default level and threshold. Of a policy only `injection`, `body` and the names and
/// matches of routes are taken. Exit code 0: scored; 1: a gate is missed, or the filter failed over a row; 2: wrong use.
#[derive(Debug, Args)]
pub(crate) struct Score {
    /// JSONL files of rows `{id, source, class, label, place?, request}`, YAML files of values by class and family, or folders of them.
    #[arg(required = true)]
    corpora: Vec<PathBuf>,
    /// Judge in the engine itself (the default without `--module` and `--config`).
    #[arg(long, conflicts_with_all = ["module", "config", "config_text"])]
    native: bool,
    /// Score under another `injection.level`.
    #[arg(long, value_name = "1-4", value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// Score under another `injection.threshold`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    threshold: Option<u32>,
    /// Only rows of these sources; repeatable.
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Only attacks of these classes, and benign rows; repeatable.
    #[arg(long, value_name = "NAME")]
    class: Vec<String>,
    /// List false alarms, misses, or mutants that are judged otherwise than their value.
    #[arg(long, value_enum, value_name = "fp|fn|mutants")]
    list: Option<Listed>,
    /// How many rows are listed.
    #[arg(long, value_name = "N", default_value_t = 50)]
    most: usize,
    /// Write a row `{"id","blocked","score","reasons"}` for each row.
    #[arg(long, value_name = "OUT.jsonl")]
    verdicts: Option<PathBuf>,
    /// Write tables, misses and false alarms as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    /// Write a page with plots, tables and lists; it needs nothing else.
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Gate: at least so many percent of the attacks are caught.
    #[arg(long, value_name = "PERCENT")]
    min_caught: Option<f64>,
    /// Gate: at most so many percent of the benign rows are refused.
    #[arg(long, value_name = "PERCENT")]
    max_blocked: Option<f64>,
    /// Gates in a TOML file.
    #[arg(long, value_name = "FILE")]
    gates: Option<PathBuf>,
    /// Rows whose label is wrong or artificial, with reasons (TOML): told where they are listed, never subtracted.
    #[arg(long, value_name = "FILE")]
    exceptions: Option<PathBuf>,
    /// Of each value of a YAML file, make so many mutants too (`all`: each mutation in each place).
    #[arg(long, value_name = "N|all", value_parser = each)]
    mutate: Option<Each>,
    /// Put values of so many attacks into benign requests, and benign values into attacks: the verdict must follow the value.
    #[arg(long, value_name = "N|all", value_parser = each)]
    transplant: Option<Each>,
    /// What chance goes by: the same seed makes the same mutants and transplants.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads; default: one for each core.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    filter: Filter,
}

/// How many; `None`: all.
type Each = Option<u32>;

fn each(text: &str) -> Result<Each, std::num::ParseIntError> {
    if text == "all" {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// What was scored.
struct Scored {
    corpus: Corpus,
    verdicts: Vec<Verdict>,
    tables: Tables,
    said: Exceptions,
    checks: Vec<Check>,
    transplants: Option<Transplants>,
}

/// A list.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    /// False alarms.
    Fp,
    /// Misses.
    Fn,
    /// Mutants that are judged otherwise than what they were made from.
    Mutants,
}

impl Score {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let gates = match &self.gates {
            Some(path) => Gates::load(path)?,
            None => Gates::default(),
        };
        let said = match &self.exceptions {
            Some(path) => Exceptions::load(path)?,
            None => Exceptions::default(),
        };
        let mutate = self.mutate.map(|each| Mutate {
            each,
            seed: self.seed,
        });
        let mut corpus = Corpus::load(&self.corpora, mutate)?;
        self.choose(&mut corpus)?;
        let begun = Instant::now();
        let (verdicts, transplants) = self.judge(&corpus)?;
        let took = begun.elapsed();
        let tables = Tables::of(&corpus, &verdicts);
        let followed = transplants.as_ref().and_then(Transplants::percent);
        let mut scored = Scored {
            checks: gates.check(&tables, followed),
            corpus,
            verdicts,
            tables,
            said,
            transplants,
        };
        scored.checks.extend(self.own_gates(&scored.tables));
        if let Some(path) = &self.verdicts {
            write_verdicts(path, &scored.verdicts)?;
        }
        if let Some(path) = &self.json {
            write(path, &format!("{:#}\n", scored.json()))?;
        }
        if let Some(path) = &self.html {
            write(path, &self.page(&scored)?)?;
        }
        if let Some(listed) = self.list {
            scored.print_list(listed, self.most);
        }
        say!("{}", scored.tables.text().trim_end());
        scored.print_exceptions();
        scored.print_transplants(self.most);
        let rows = u64::try_from(scored.verdicts.len())?;
        let rate = u128::from(rows) * 1000 / took.as_millis().max(1);
        say!(
            "{rows} rows in {:.1} s, {rate} a second",
            took.as_secs_f64()
        );
        let paint = Paint::stdout();
        for check in &scored.checks {
            let word = if check.holds {
                paint.green("ok")
            } else {
                paint.red("MISSED")
            };
            say!("{word} {}", check.text());
        }
        let missed = scored.checks.iter().any(|check| !check.holds);
        Ok(ExitCode::from(u8::from(missed || scored.tables.faults > 0)))
    }

    /// Keeps the rows that were asked for.
    fn choose(&self, corpus: &mut Corpus) -> Result<()> {
        if !self.source.is_empty() {
            corpus.rows.retain(|row| self.source.contains(&row.source));
        }
        if !self.class.is_empty() {
            corpus
                .rows
                .retain(|row| row.class == "benign" || self.class.contains(&row.class));
        }
        if corpus.rows.is_empty() {
            bail!("no row is of that source and class");
        }
        Ok(())
    }

    fn judge(&self, corpus: &Corpus) -> Result<(Vec<Verdict>, Option<Transplants>)> {
        let foreign = self.filter.config.is_some() || self.filter.config_text.is_some();
        if foreign {
            if self.level.is_some() || self.threshold.is_some() {
                bail!("--level and --threshold are of our own filter");
            }
            let given = self.filter.given()?;
            let start = Start {
                module: self.filter.load(Limits::default())?,
                configuration: given.configuration,
                vm_configuration: self.filter.vm_configuration(),
                root_id: self.filter.root_id(),
                environment: given.environment,
            };
            return self.judge_by(corpus, || InModule::new(start.clone()));
        }
        let policy = self.policy()?;
        if self.filter.module.is_none() {
            return self.judge_by(corpus, || Native::new(&policy, true));
        }
        let module = self.filter.load(Limits::default())?;
        self.judge_by(corpus, || InModule::ours(&module, &policy, true))
    }

    fn judge_by<J: Judge>(
        &self,
        corpus: &Corpus,
        judge: impl Fn() -> Result<J> + Sync,
    ) -> Result<(Vec<Verdict>, Option<Transplants>)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.jobs.unwrap_or(cores);
        // Drawn on a terminal only.
        let bar = |length: Option<usize>| -> Result<ProgressBar> {
            let (bar, look) = match length {
                Some(length) => (
                    ProgressBar::new(u64::try_from(length)?),
                    "{bar:40} {pos}/{len} rows, {per_sec}, {eta} left",
                ),
                None => (
                    ProgressBar::new_spinner(),
                    "{spinner} {pos} transplants, {per_sec}",
                ),
            };
            Ok(bar.with_style(ProgressStyle::with_template(look)?))
        };
        let rows = bar(Some(corpus.rows.len()))?;
        let verdicts = judge_all(&corpus.rows, threads, &judge, &|done| rows.inc(done));
        rows.finish_and_clear();
        let verdicts = verdicts?;
        let Some(each) = self.transplant else {
            return Ok((verdicts, None));
        };
        let each = each.map(usize::try_from).transpose()?;
        let moved = bar(None)?;
        let progress = |done| moved.inc(done);
        let transplants = transplant::run(
            &corpus.rows,
            &verdicts,
            each,
            self.seed,
            threads,
            &judge,
            &progress,
        );
        moved.finish_and_clear();
        Ok((verdicts, Some(transplants?)))
    }

    fn policy(&self) -> Result<Value> {
        let given = match &self.filter.policy {
            None => None,
            Some(path) => {
                let document = document(path)?;
                check(path, &document)?;
                Some(serde_json::from_str(&document.json())?)
            }
        };
        injection_alone(given, self.level, self.threshold)
    }

    fn page(&self, scored: &Scored) -> Result<String> {
        let filter = match &self.filter.module {
            Some(path) => path
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            None => "the engine".to_owned(),
        };
        let foreign = self.filter.config.is_some() || self.filter.config_text.is_some();
        let (judge, threshold) = if foreign {
            (format!("{filter} with a configuration of its own"), 0)
        } else {
            let policy = self.policy()?;
            let threshold = judge::threshold(&policy)?;
            let under = self
                .filter
                .policy
                .as_ref()
                .and_then(|path| path.file_name())
                .map_or_else(
                    || "injection detection alone".to_owned(),
                    |name| format!("the injection section of {}", name.to_string_lossy()),
                );
            let level = self
                .level
                .map_or_else(String::new, |level| format!(", level {level}"));
            let judge = format!("{filter}: {under}{level}, threshold {threshold}");
            (judge, threshold)
        };
        let report = Report {
            judge: &judge,
            threshold,
            corpus: &scored.corpus,
            verdicts: &scored.verdicts,
            tables: &scored.tables,
            checks: &scored.checks,
            said: &scored.said,
            transplants: scored.transplants.as_ref(),
        };
        Ok(report.html())
    }

    /// Gates of the command line.
    fn own_gates(&self, tables: &Tables) -> Vec<Check> {
        let gates = Gates {
            caught: Caught {
                all: self.min_caught,
                ..Caught::default()
            },
            refused: self
                .max_blocked
                .map(|most| ("all".to_owned(), most))
                .into_iter()
                .collect(),
            ..Gates::default()
        };
        gates.check(tables, None)
    }
}

impl Scored {
    fn print_list(&self, listed: Listed, most: usize) {
        let (which, name) = match listed {
            Listed::Fp => (Which::FalseAlarms, "false alarms"),
            Listed::Fn => (Which::Misses, "misses"),
            Listed::Mutants => (Which::Mutants, "mutants that are judged otherwise"),
        };
        let rows = which.of(&self.corpus.rows, &self.verdicts);
        let all = rows.len();
        say!("{name}: {} of {all}", all.min(most));
        for (row, verdict) in rows.into_iter().take(most) {
            let exception = self.said.of(&row.id);
            say!("{}", list::entry(row, verdict, exception).trim_end());
        }
        say!("");
    }

    /// Rows that are said to be wrong, those of them that count against us, and those that nobody has any more.
    fn print_exceptions(&self) {
        let all = self.said.ids().count();
        if all == 0 {
            return;
        }
        let against = |which: Which| {
            let rows = which.of(&self.corpus.rows, &self.verdicts);
            rows.iter()
                .filter(|(row, _)| self.said.of(&row.id).is_some())
                .count()
        };
        say!(
            "{all} rows are said to be wrong or artificial; of them {} are misses and {} false alarms above (nothing is subtracted)",
            against(Which::Misses),
            against(Which::FalseAlarms)
        );
        for id in self.unknown() {
            say!("  no row is called `{id}`");
        }
    }

    fn print_transplants(&self, most: usize) {
        let Some(transplants) = &self.transplants else {
            return;
        };
        say!("\n{}", transplants.text().trim_end());
        for stray in transplants.strays.iter().take(most) {
            let word = if stray.refused { "refused" } else { "passed" };
            say!(
                "{word}: the value of {} in {} of {}: {}",
                stray.value_of,
                stray.place,
                stray.request_of,
                stray.value
            );
            for reason in &stray.verdict.reasons {
                say!("  found {}", list::found(reason));
            }
        }
        let left = transplants.strays.len().saturating_sub(most);
        if left > 0 {
            say!("… and {left} more (--most N)");
        }
    }

    /// Ids of exceptions that no row has; with all rows chosen there should be none.
    fn unknown(&self) -> Vec<&str> {
        let known: HashSet<&str> = self.corpus.rows.iter().map(|row| row.id.as_str()).collect();
        let ids = self.said.ids();
        ids.filter(|id| !known.contains(id)).collect()
    }

    /// Tables, gates, misses and false alarms.
    fn json(&self) -> Value {
        let list = |which: Which| -> Vec<Value> {
            let rows = which.of(&self.corpus.rows, &self.verdicts);
            rows.into_iter()
                .map(|(row, verdict)| {
                    json!({
                        "id": row.id, "source": row.source, "class": row.class, "place": row.place, "note": row.note,
                        "exception": self.said.of(&row.id), "score": verdict.score, "reasons": verdict.reasons,
                        "refusal": verdict.refusal,
                    })
                })
                .collect()
        };
        json!({
            "tables": self.tables,
            "gates": self.checks,
            "misses": list(Which::Misses),
            "false_alarms": list(Which::FalseAlarms),
            "mutants": list(Which::Mutants),
            "transplants": self.transplants,
        })
    }
}

fn write_verdicts(path: &Path, verdicts: &[Verdict]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    for verdict in verdicts {
        serde_json::to_writer(&mut file, verdict).with_context(failed)?;
        file.write_all(b"\n").with_context(failed)?;
    }
    file.flush().with_context(failed)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
