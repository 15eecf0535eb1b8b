//! Limits under races, leases, requests in flight, churn, reloads, fleets and chaos: one row a run, and what was admitted beyond what is promised.
//!
//! **In:** `--long` (the full setting), `--suite S`, `--case C`, `--seed N` (one run again). **Out:** a line for each suite and case, the
//! runs that broke a promise with the words that run them again, and as the last line `over-admission: …`, computed from the rows. With
//! `PALISADE_LIMITS_ROWS` the rows as JSON there. Exit code 1: a row does not hold.
//! **Invariant:** a row is judged by what came of its requests, never by what the limiter says of itself. Everything but the rows
//! of the real Envoy is a function of the seed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite of known shape: failing here is failing it"
)]

mod chaos;
mod churn;
mod envoy;
mod fleet;
mod flight;
mod kinds;
mod lease;
mod module;
mod race;
mod reload;
mod world;

#[expect(dead_code, reason = "this suite uses a part of it")]
#[path = "../e2e/support.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

/// What a limit promises of a row's `worst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Never more than the bound, which is the algorithm's own.
    Exact,
    /// A lease: the bound is the algorithm's own and what leases may add.
    Lease,
    /// A fleet that is told of hits once an interval: the bound is what may come until the answer.
    Told,
}

impl Promise {
    const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Lease => "lease",
            Self::Told => "told",
        }
    }
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) suite: &'static str,
    pub(crate) case: String,
    /// `engine`, `module` (the shipped one in our host) or `envoy`.
    pub(crate) driver: &'static str,
    pub(crate) seed: u64,
    pub(crate) algorithm: &'static str,
    pub(crate) promise: Promise,
    pub(crate) quota: u64,
    /// Requests.
    pub(crate) demand: u64,
    /// Those that were let through.
    pub(crate) admitted: u64,
    /// The most that one key was admitted in any window.
    pub(crate) worst: u64,
    /// What `worst` may be.
    pub(crate) bound: u64,
    /// The part of it that leases, or late answers, add to what the algorithm bounds.
    pub(crate) added: u64,
    /// What `admitted` must be at least, while demand lasts.
    pub(crate) least: u64,
    /// Numbers of the suite's own.
    pub(crate) more: Value,
    /// What else went wrong.
    pub(crate) wrong: Option<String>,
}

impl Row {
    pub(crate) fn new(suite: &'static str, case: &str, driver: &'static str, seed: u64) -> Self {
        Self {
            suite,
            case: case.to_owned(),
            driver,
            seed,
            algorithm: "sliding_window",
            promise: Promise::Exact,
            quota: 0,
            demand: 0,
            admitted: 0,
            worst: 0,
            bound: 0,
            added: 0,
            least: 0,
            more: Value::Null,
            wrong: None,
        }
    }

    const fn over(&self) -> u64 {
        self.worst.saturating_sub(self.bound)
    }

    /// Beyond what the algorithm alone bounds.
    const fn beyond(&self) -> u64 {
        self.worst
            .saturating_sub(self.bound.saturating_sub(self.added))
    }

    const fn holds(&self) -> bool {
        self.over() == 0 && self.admitted >= self.least && self.wrong.is_none()
    }

    fn json(&self) -> Value {
        json!({
            "suite": self.suite, "case": self.case, "driver": self.driver, "seed": self.seed, "algorithm": self.algorithm,
            "promise": self.promise.name(), "added": self.added,
            "quota": self.quota, "demand": self.demand, "admitted": self.admitted, "worst": self.worst, "bound": self.bound,
            "least": self.least, "more": self.more, "wrong": self.wrong, "ok": self.holds(),
        })
    }

    fn complaint(&self) -> String {
        let mut text = format!(
            "FAILED {} {} ({}): quota {}, demand {}, admitted {} (at least {}), {} in a window (at most {})",
            self.suite,
            self.case,
            self.driver,
            self.quota,
            self.demand,
            self.admitted,
            self.least,
            self.worst,
            self.bound
        );
        if let Some(wrong) = &self.wrong {
            text.push_str(&format!("; {wrong}"));
        }
        text.push_str(&format!(
            "\n  again: cargo xtask test limits --suite {} --case {} --seed {}",
            self.suite, self.case, self.seed
        ));
        text
    }
}

/// What is to be run.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) long: bool,
    suite: Option<String>,
    case: Option<String>,
    seed: Option<u64>,
}

impl Chosen {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut chosen = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--long" => chosen.long = true,
                "--suite" => chosen.suite = Some(value()?),
                "--case" => chosen.case = Some(value()?),
                "--seed" => {
                    let text = value()?;
                    let seed = text.parse().map_err(|_| format!("`{text}` is no seed"))?;
                    chosen.seed = Some(seed);
                }
                _ => return Err(format!("`{word}`: --long, --suite S, --case C, --seed N")),
            }
        }
        Ok(chosen)
    }

    /// The rows of a case, in order of their seeds, from both cores.
    pub(crate) fn runs(
        &self,
        suite: &'static str,
        case: &str,
        seeds: u64,
        run: impl Fn(u64) -> Row + Sync,
    ) -> Vec<Row> {
        // What panics is a row too, with its seed.
        let run = |seed: u64| {
            catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned()));
                let mut row = Row::new(suite, case, "none", seed);
                row.wrong = Some(format!("a panic: {}", text.unwrap_or_default()));
                row
            })
        };
        let named = |given: &Option<String>, name: &str| given.as_ref().is_none_or(|it| it == name);
        if !named(&self.suite, suite) || !named(&self.case, case) {
            return Vec::new();
        }
        if let Some(seed) = self.seed {
            return vec![run(seed)];
        }
        let next = AtomicU64::new(0);
        let rows = Mutex::new(Vec::new());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            break;
                        }
                        let row = run(seed);
                        rows.lock().unwrap().push(row);
                    }
                });
            }
        });
        let mut rows = rows.into_inner().unwrap();
        rows.sort_by_key(|row| row.seed);
        rows
    }
}

type Suite = (&'static str, fn(&Chosen) -> Vec<Row>);

const SUITES: [Suite; 13] = [
    ("race", race::rows),
    ("race", module::races),
    ("race", envoy::rows),
    ("lease", lease::rows),
    ("lease", module::leases),
    ("lease", envoy::leases),
    ("flight", flight::rows),
    ("churn", churn::rows),
    ("reload", reload::rows),
    ("reload", envoy::reloads),
    ("fleet", fleet::rows),
    ("chaos", chaos::rows),
    ("chaos", module::chaos),
];

fn main() -> ExitCode {
    let chosen = match Chosen::parse(std::env::args().skip(1)) {
        Ok(chosen) => chosen,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut rows: Vec<Row> = Vec::new();
    for (suite, run) in SUITES {
        let begun = Instant::now();
        let of = run(&chosen);
        if !of.is_empty() {
            print(&of);
            println!(
                "{suite}: {} rows in {:.1} s",
                of.len(),
                begun.elapsed().as_secs_f64()
            );
        }
        rows.extend(of);
    }
    if rows.is_empty() {
        eprintln!("nothing to run: no such suite or case");
        return ExitCode::from(2);
    }
    if let Some(path) = std::env::var_os("PALISADE_LIMITS_ROWS") {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        std::fs::write(path, serde_json::to_string_pretty(&rows).unwrap()).unwrap();
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| !row.holds()).collect();
    for row in failed.iter().take(20) {
        println!("{}", row.complaint());
    }
    println!("{} rows, {} failed", rows.len(), failed.len());
    println!("{}", summary(&rows));
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// A line for each case and driver.
fn print(rows: &[Row]) {
    for of in rows.chunk_by(|left, right| left.case == right.case && left.driver == right.driver) {
        let sum = |number: fn(&Row) -> u64| of.iter().map(number).sum::<u64>();
        let most = |number: fn(&Row) -> u64| of.iter().map(number).max().unwrap_or(0);
        let Some(first) = of.first() else { continue };
        println!(
            "  {} {} ({}): {} runs, demand {}, admitted {}, over {}, failed {}{}",
            first.suite,
            first.case,
            first.driver,
            of.len(),
            sum(|row| row.demand),
            sum(|row| row.admitted),
            most(Row::over),
            of.iter().filter(|row| !row.holds()).count(),
            if of.len() == 1 && !first.more.is_null() {
                format!(", {}", first.more)
            } else {
                String::new()
            }
        );
    }
}

/// Beyond the algorithm's own bound: all exact runs together, and the worst of the leased ones.
fn summary(rows: &[Row]) -> String {
    let of = |promise: Promise| rows.iter().filter(move |row| row.promise == promise);
    let exact: u64 = of(Promise::Exact).map(Row::over).sum();
    let worst = of(Promise::Lease).map(Row::beyond).max();
    let bound = of(Promise::Lease).map(|row| row.added).max();
    let lease = match worst.zip(bound) {
        Some((worst, bound)) => format!("{worst} (bound {bound})"),
        None => "not run".to_owned(),
    };
    format!("over-admission: exact {exact}, lease {lease}")
}
