//! `palisade bench`: what a filter costs, beside another one or beside its budgets.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use palisade_cli::bench::budget::{Budgets, Row};
use palisade_cli::bench::measure::{CaseCost, Spread, StartCost, Subject};
use palisade_cli::bench::mix::{self, Case, Setup};
use serde_json::{Value, json};

use super::Paint;
use super::filter::{Filter, cache, header};

/// Measure any filter: fuel, hostcalls, bytes and time of each callback; against another filter, or against budgets.
///
/// Without a module: our filter under the example policy. Fuel, hostcalls and bytes are the same in every run; times are not.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Scenario files whose cases marked `bench: true` are measured; absent: a mix of four requests.
    files: Vec<PathBuf>,
    /// A header on each request of the mix.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Another filter to measure beside it, under the same configuration.
    #[arg(long, value_name = "OTHER.wasm")]
    against: Option<PathBuf>,
    /// Rounds that are timed; 0: no times, only what is the same in every run.
    #[arg(long, default_value_t = 500)]
    rounds: usize,
    /// A budget file: no times; exit code 1 when a number is over its budget.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "files"])]
    budgets: Option<PathBuf>,
    /// Write what is measured now, with the file's slack, into the budget file.
    #[arg(long, requires = "budgets")]
    update_budgets: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: Filter,
}

/// One module, measured.
struct Measured {
    subject: Subject,
    start: StartCost,
    cases: Vec<CaseCost>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let path = self.filter.path()?;
        if let Some(file) = &self.budgets {
            return self.gate(&path, file);
        }
        let (setup, cases) = self.cases(&self.files)?;
        let lanes = 1 + u64::from(self.against.is_some());
        let rounds = u64::try_from(self.rounds + (self.rounds / 10).clamp(3, 100))?;
        let bar = if self.rounds == 0 {
            ProgressBar::hidden()
        } else {
            // Drawn on a terminal only.
            ProgressBar::new(lanes * rounds * u64::try_from(cases.len())?).with_style(
                ProgressStyle::with_template("{msg:30} {bar:40} {percent}% {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        };
        let ours = self.measure(&path, &setup, &cases, &bar)?;
        let other = match &self.against {
            Some(other) => Some(self.measure(other, &setup, &cases, &bar)?),
            None => None,
        };
        bar.finish_and_clear();
        if self.json {
            let mut report = json_of(&ours);
            if let (Some(other), Some(report)) = (&other, report.as_object_mut()) {
                report.insert("against".to_owned(), json_of(other));
                report.insert("ratios".to_owned(), ratios(&ours, other));
            }
            say!("{report:#}");
        } else if let Some(other) = &other {
            print_both(&ours, other);
        } else {
            print_one(&ours);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn measure(
        &self,
        path: &Path,
        setup: &Setup,
        cases: &[Case],
        bar: &ProgressBar,
    ) -> Result<Measured> {
        bar.set_message(format!("compiling {}", path.display()));
        let subject = Subject::load(path, &cache())?;
        let start = subject.start_cost(setup, &cache(), self.rounds)?;
        let mut costs = Vec::new();
        for case in cases {
            bar.set_message(case.name.clone());
            costs.push(subject.measure(case, self.rounds, &|| bar.inc(1))?);
        }
        Ok(Measured {
            subject,
            start,
            cases: costs,
        })
    }

    /// Measures what is the same in every run and compares it with a budget file.
    fn gate(&self, path: &Path, file: &Path) -> Result<ExitCode> {
        let budgets = Budgets::load(file)?;
        let beside = file.parent().unwrap_or_else(|| Path::new(""));
        let files: Vec<PathBuf> = budgets.files.iter().map(|name| beside.join(name)).collect();
        let (_, mut cases) = self.cases(&[])?;
        for file in &files {
            cases.extend(mix::scenario_cases(file)?);
        }
        let subject = Subject::load(path, &cache())?;
        let costs = cases
            .iter()
            .map(|case| subject.measure(case, 0, &|| ()))
            .collect::<Result<Vec<_>>>()?;
        if self.update_budgets {
            std::fs::write(file, budgets.updated(subject.bytes, &costs))
                .with_context(|| format!("cannot write {}", file.display()))?;
            say!("{}: {} cases written", file.display(), costs.len());
            return Ok(ExitCode::SUCCESS);
        }
        let rows = budgets.rows(subject.bytes, &costs);
        let over = rows.iter().filter(|row| row.fails()).count();
        if self.json {
            say!("{:#}", json!({ "rows": rows, "over": over }));
        } else {
            print_budgets(&rows, over);
        }
        Ok(ExitCode::from(u8::from(over > 0)))
    }

    /// The setup of the mix, and the cases: of the files, or the mix.
    fn cases(&self, files: &[PathBuf]) -> Result<(Setup, Vec<Case>)> {
        let mut headers = self
            .headers
            .iter()
            .map(|line| header(line).map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Result<Vec<_>>>()?;
        let mut setup = if self.filter.is_absent() {
            let token = format!("Bearer {}", mix::demo_token()?);
            headers.push(("authorization".to_owned(), token));
            let mut demo = mix::demo()?;
            for (name, value) in self.filter.named()? {
                demo.env.retain(|(held, _)| *held != name);
                demo.env.push((name, value));
            }
            demo
        } else {
            let given = self.filter.given()?;
            Setup {
                config: given.configuration,
                env: given.environment,
                ..Setup::default()
            }
        };
        setup.vm_config = self.filter.vm_configuration();
        setup.root_id = self.filter.root_id();
        setup.without_functions = self.filter.without_functions();
        setup.wall = mix::WALL;
        let mut cases = Vec::new();
        for file in files {
            cases.extend(mix::scenario_cases(file)?);
        }
        if files.is_empty() {
            cases = mix::default_mix(&setup, &headers);
        } else if cases.is_empty() {
            bail!("no case of these files is marked `bench: true`");
        }
        Ok((setup, cases))
    }
}

fn json_of(measured: &Measured) -> Value {
    json!({
        "module": measured.subject.path.display().to_string(),
        "bytes": measured.subject.bytes,
        "start": measured.start,
        "cases": measured.cases,
    })
}

fn ratios(ours: &Measured, other: &Measured) -> Value {
    both(ours, other)
        .into_iter()
        .map(|(name, ours, other)| json!({ "name": name, "ours": ours, "other": other, "ratio": ratio(ours, other) }))
        .collect()
}

/// Every number of two modules side by side.
fn both(ours: &Measured, other: &Measured) -> Vec<(String, u64, u64)> {
    let mut rows = vec![
        (
            "module bytes".to_owned(),
            ours.subject.bytes,
            other.subject.bytes,
        ),
        (
            "start ns".to_owned(),
            ours.start.start_ns.median,
            other.start.start_ns.median,
        ),
        (
            "memory after start".to_owned(),
            ours.start.memory,
            other.start.memory,
        ),
    ];
    for (ours, other) in ours.cases.iter().zip(&other.cases) {
        let name = &ours.name;
        for (what, a, b) in [
            ("fuel", ours.fuel, other.fuel),
            ("guest ns", ours.guest_ns.median, other.guest_ns.median),
            (
                "exchange ns",
                ours.exchange_ns.median,
                other.exchange_ns.median,
            ),
            ("hostcalls", ours.hostcalls, other.hostcalls),
            ("bytes in", ours.bytes_in, other.bytes_in),
            ("bytes out", ours.bytes_out, other.bytes_out),
            ("memory", ours.memory_after, other.memory_after),
        ] {
            rows.push((format!("{name}: {what}"), a, b));
        }
        for callback in &ours.callbacks {
            if let Some(same) = other
                .callbacks
                .iter()
                .find(|same| same.name == callback.name)
            {
                rows.push((
                    format!("{name}: {} fuel", callback.name),
                    callback.fuel,
                    same.fuel,
                ));
            }
        }
    }
    rows
}

fn ratio(ours: u64, other: u64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for the eye; counts stay far below 2^52"
    )]
    let ratio = ours as f64 / other as f64;
    ratio.is_finite().then_some(ratio)
}

fn print_both(ours: &Measured, other: &Measured) {
    say!(
        "{} against {}",
        ours.subject.path.display(),
        other.subject.path.display()
    );
    say!("{:<56} {:>14} {:>14} {:>7}", "", "ours", "other", "ratio");
    for (name, ours, other) in both(ours, other) {
        let ratio =
            ratio(ours, other).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        say!(
            "{name:<56} {:>14} {:>14} {ratio:>7}",
            grouped(ours),
            grouped(other)
        );
    }
}

fn print_one(measured: &Measured) {
    let paint = Paint::stdout();
    let Measured {
        subject,
        start,
        cases,
    } = measured;
    say!(
        "{}: {} bytes",
        paint.bold(&subject.path.display().to_string()),
        grouped(subject.bytes)
    );
    let cached = start.load_cached_ms.map_or_else(
        || "no cache".to_owned(),
        |cached| format!("{cached:.0} ms cached"),
    );
    say!(
        "load {:.0} ms cold, {cached}; start {}; memory {} KiB",
        start.load_cold_ms,
        time(start.start_ns),
        start.memory / 1024
    );
    print_callbacks(&start.callbacks);
    for case in cases {
        let statuses: Vec<String> = case.statuses.iter().map(u16::to_string).collect();
        say!();
        say!("{} → {}", paint.bold(&case.name), statuses.join(" "));
        print_callbacks(&case.callbacks);
        print_row(
            "all callbacks",
            case.callbacks.iter().map(|callback| callback.calls).sum(),
            case.fuel,
            case.guest_ns,
            [case.hostcalls, case.bytes_in, case.bytes_out],
        );
        if !case.stages.is_empty() {
            let stages: Vec<String> = case
                .stages
                .iter()
                .map(|stage| format!("{} {}", stage.name, grouped(stage.fuel)))
                .collect();
            say!("  fuel by stage: {}", stages.join(", "));
        }
        if !case.exchange_ns.is_absent() {
            say!(
                "  whole exchange through the library, no trace: {}",
                time(case.exchange_ns)
            );
        }
        let calls: Vec<String> = case
            .hostcalls_by_name
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        say!(
            "  hostcalls: {} ({} return data); memory {} KiB, then {} KiB",
            if calls.is_empty() {
                "none".to_owned()
            } else {
                calls.join(", ")
            },
            case.returning,
            case.memory_before / 1024,
            case.memory_after / 1024
        );
    }
    if cases.iter().any(|case| !case.guest_ns.is_absent()) {
        say!();
        say!(
            "times: median (a tenth faster – a tenth slower), on an engine that does not count fuel"
        );
    }
}

fn print_callbacks(callbacks: &[palisade_cli::bench::measure::CallbackCost]) {
    say!(
        "  {:<28} {:>5} {:>11} {:>28} {:>9} {:>9} {:>9}",
        "callback",
        "calls",
        "fuel",
        "time",
        "hostcalls",
        "bytes in",
        "bytes out"
    );
    for callback in callbacks {
        print_row(
            &callback.name,
            callback.calls,
            callback.fuel,
            callback.ns,
            [callback.hostcalls, callback.bytes_in, callback.bytes_out],
        );
    }
}

fn print_row(name: &str, calls: u64, fuel: u64, ns: Spread, [hostcalls, read, written]: [u64; 3]) {
    say!(
        "  {name:<28} {calls:>5} {:>11} {:>28} {hostcalls:>9} {:>9} {:>9}",
        grouped(fuel),
        time(ns),
        grouped(read),
        grouped(written)
    );
}

fn print_budgets(rows: &[Row], over: usize) {
    let paint = Paint::stdout();
    say!("{:<64} {:>12} {:>12} {:>7}", "", "budget", "got", "%");
    let number = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), grouped);
    for row in rows {
        let percent = row
            .percent()
            .map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}"));
        let line = format!(
            "{:<64} {:>12} {:>12} {percent:>7}",
            row.name,
            number(row.budget),
            number(row.got)
        );
        if row.fails() {
            say!("{} OVER", paint.red(&line));
        } else {
            say!("{line}");
        }
    }
    let summary = format!("{} within budget, {over} not", rows.len() - over);
    say!(
        "{}",
        if over == 0 {
            paint.green(&summary)
        } else {
            paint.red(&summary)
        }
    );
}

/// A spread in µs, or nothing where no time was taken.
fn time(spread: Spread) -> String {
    if spread.is_absent() {
        return "-".to_owned();
    }
    let us = |nanos: u64| {
        let tenths = nanos / 10;
        format!("{}.{:02}", tenths / 100, tenths % 100)
    };
    format!(
        "{} µs ({}–{})",
        us(spread.median),
        us(spread.p10),
        us(spread.p90)
    )
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
