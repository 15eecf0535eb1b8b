//! `palisade score`: what injection detection catches and refuses of labelled requests.
//!
//! **Out:** exit code 0; 1 when a gate is missed or the filter fails over a row; 2 for usage and broken files.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use palisade_cli::score::corpus::Corpus;
use palisade_cli::score::judge::{InModule, Native, Start, injection_alone};
use palisade_cli::score::list::{self, Which};
use palisade_cli::score::{Tables, Verdict, judge_all};
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
    /// JSONL files of rows `{id, source, class, label, place?, request}`, or folders of them.
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
    /// List false alarms, or misses.
    #[arg(long, value_enum, value_name = "fp|fn")]
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
    /// Gate: at least so many percent of the attacks are caught.
    #[arg(long, value_name = "PERCENT")]
    min_caught: Option<f64>,
    /// Gate: at most so many percent of the benign rows are refused.
    #[arg(long, value_name = "PERCENT")]
    max_blocked: Option<f64>,
    /// Threads; default: one for each core.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    #[command(flatten)]
    filter: Filter,
}

/// A list.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Listed {
    /// False alarms.
    Fp,
    /// Misses.
    Fn,
}

impl Score {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut corpus = Corpus::load(&self.corpora)?;
        self.choose(&mut corpus)?;
        let begun = Instant::now();
        let verdicts = self.judge(&corpus)?;
        let took = begun.elapsed();
        let tables = Tables::of(&corpus, &verdicts);
        if let Some(path) = &self.verdicts {
            write_verdicts(path, &verdicts)?;
        }
        if let Some(path) = &self.json {
            write(
                path,
                &format!("{:#}\n", report(&corpus, &verdicts, &tables)),
            )?;
        }
        if let Some(listed) = self.list {
            self.print_list(listed, &corpus, &verdicts);
        }
        say!("{}", tables.text().trim_end());
        let rows = u64::try_from(verdicts.len())?;
        let rate = u128::from(rows) * 1000 / took.as_millis().max(1);
        say!(
            "{rows} rows in {:.1} s, {rate} a second",
            took.as_secs_f64()
        );
        let missed = self.gates(&tables);
        let paint = Paint::stdout();
        for gate in &missed {
            say!("{} {gate}", paint.red("MISSED"));
        }
        Ok(ExitCode::from(u8::from(
            !missed.is_empty() || tables.faults > 0,
        )))
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

    fn judge(&self, corpus: &Corpus) -> Result<Vec<Verdict>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.jobs.unwrap_or(cores);
        // Drawn on a terminal only.
        let bar = ProgressBar::new(u64::try_from(corpus.rows.len())?).with_style(
            ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let progress = |rows| bar.inc(rows);
        let foreign = self.filter.config.is_some() || self.filter.config_text.is_some();
        let verdicts = if foreign {
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
            let judge = || InModule::new(start.clone());
            judge_all(&corpus.rows, threads, judge, &progress)
        } else {
            let policy = self.policy()?;
            if self.filter.module.is_some() {
                let module = self.filter.load(Limits::default())?;
                let judge = || InModule::ours(&module, &policy, true);
                judge_all(&corpus.rows, threads, judge, &progress)
            } else {
                judge_all(&corpus.rows, threads, || Native::new(&policy), &progress)
            }
        };
        bar.finish_and_clear();
        verdicts
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

    fn print_list(&self, listed: Listed, corpus: &Corpus, verdicts: &[Verdict]) {
        let (which, name) = match listed {
            Listed::Fp => (Which::FalseAlarms, "false alarms"),
            Listed::Fn => (Which::Misses, "misses"),
        };
        let rows = || {
            let rows = corpus.rows.iter().zip(verdicts);
            rows.filter(|(row, verdict)| which.takes(row, verdict))
        };
        let all = rows().count();
        say!("{name}: {} of {all}", all.min(self.most));
        for (row, verdict) in rows().take(self.most) {
            say!("{}", list::entry(row, verdict, None).trim_end());
        }
        say!("");
    }

    /// Gates that are missed.
    fn gates(&self, tables: &Tables) -> Vec<String> {
        let mut missed = Vec::new();
        if let (Some(least), Some(caught)) = (self.min_caught, tables.total.caught_percent())
            && caught < least
        {
            missed.push(format!("caught {caught:.2} %, at least {least} are asked"));
        }
        if let (Some(most), Some(blocked)) = (self.max_blocked, tables.total.blocked_percent())
            && blocked > most
        {
            missed.push(format!(
                "refused {blocked:.2} % of the benign rows, at most {most} are asked"
            ));
        }
        missed
    }
}

/// Tables, misses and false alarms.
fn report(corpus: &Corpus, verdicts: &[Verdict], tables: &Tables) -> Value {
    let list = |which: Which| -> Vec<Value> {
        let rows = corpus.rows.iter().zip(verdicts);
        rows.filter(|(row, verdict)| which.takes(row, verdict))
            .map(|(row, verdict)| {
                json!({
                    "id": row.id, "source": row.source, "class": row.class, "place": row.place, "note": row.note,
                    "score": verdict.score, "reasons": verdict.reasons, "refusal": verdict.refusal,
                })
            })
            .collect()
    };
    json!({
        "tables": tables,
        "misses": list(Which::Misses),
        "false_alarms": list(Which::FalseAlarms),
    })
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
