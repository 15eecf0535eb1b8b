//! Injection detection on collections of attacks and of honest requests, through the shipped filter and natively, and on our own corpus.
//!
//! **In:** the folder `PALISADE_CORPORA` (else `../shared/corpora`), `tests/corpora/injection`, the gates and exceptions of this folder; `--long`:
//! every mutation in every place, every value transplanted; `--seed N`. **Out:** tables, mutants and transplants that were judged otherwise, gates;
//! with `PALISADE_INJECTION_ROWS` all of it as JSON there. Exit code 1: a gate is missed, the filter and the engine disagree over a row, or
//! the filter fails over one.
//! **Invariant:** every number is counted from verdicts of this run; the gates are judged on those of the shipped filter. Missing collections are a
//! failure in CI (`CI=true`), said elsewhere.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a suite of known shape: failing here is failing it"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use palisade_cli::score::corpus::Corpus;
use palisade_cli::score::gates::{Check, Exceptions, Gates};
use palisade_cli::score::judge::{InModule, Native, injection_alone};
use palisade_cli::score::list::{self, Which};
use palisade_cli::score::own::Mutate;
use palisade_cli::score::transplant::{self, Transplants};
use palisade_cli::score::{Row, Tables, Verdict, judge_all};
use palisade_host::Module;
use serde_json::{Value, json};

/// Mutants of a value, and values that are transplanted, in a run that is not long.
const MUTANTS: u32 = 6;
const MOVED: usize = 1000;
/// Rows listed.
const LISTED: usize = 25;

struct Suite {
    module: Module,
    policy: Value,
    threads: usize,
    long: bool,
    seed: u64,
    json: serde_json::Map<String, Value>,
    failed: Vec<String>,
}

fn main() -> ExitCode {
    let (mut long, mut seed) = (false, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--long" => long = true,
            "--seed" => seed = arguments.next().and_then(|text| text.parse().ok()).unwrap(),
            // What Cargo passes to every test.
            "--quiet" => {}
            other => panic!("{other}: the suite takes --long and --seed N"),
        }
    }
    let path = palisade_tests::root().join("target/palisade.wasm");
    assert!(
        path.is_file(),
        "{} is missing: `cargo xtask wasm` builds it, `cargo xtask test` does so first",
        path.display()
    );
    let mut suite = Suite {
        module: Module::from_file(&path).unwrap(),
        policy: injection_alone(None, None, None).unwrap(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        long,
        seed,
        json: serde_json::Map::new(),
        failed: Vec::new(),
    };
    suite.collections();
    suite.own();
    suite.report()
}

fn beside(name: &str) -> PathBuf {
    palisade_tests::root().join("tests/injection").join(name)
}

impl Suite {
    /// Public collections.
    fn collections(&mut self) {
        let folder = std::env::var_os("PALISADE_CORPORA").map_or_else(
            || palisade_tests::root().join("../shared/corpora"),
            PathBuf::from,
        );
        if !folder.is_dir() {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{} is not there; PALISADE_CORPORA names the folder",
                folder.display()
            );
            println!(
                "skipped: {} is not there; PALISADE_CORPORA names the folder",
                folder.display()
            );
            return;
        }
        println!("# Collections, through the shipped filter\n");
        let corpus = Corpus::load(&[folder], None).unwrap();
        let said = Exceptions::load(&beside("exceptions.toml")).unwrap();
        let (verdicts, tables) = self.judge(&corpus);
        println!("{}", tables.text());
        let known = |id: &&str| corpus.rows.iter().any(|row| row.id == **id);
        for id in said.ids().filter(|id| !known(id)) {
            self.failed
                .push(format!("exceptions.toml: no row is called `{id}`"));
        }
        let against = |which: Which| -> Vec<Value> {
            let rows = which.of(&corpus.rows, &verdicts);
            let excepted = rows.iter().filter_map(|(row, _)| {
                let reason = said.of(&row.id)?;
                println!("  {}: {reason}", row.id);
                Some(json!({ "id": row.id, "reason": reason }))
            });
            excepted.collect()
        };
        println!("counted against us, though said to be wrong or artificial:");
        let wrong = [against(Which::Misses), against(Which::FalseAlarms)].concat();
        println!("  {} rows\n", wrong.len());
        let transplants = self.transplants(&corpus, &verdicts);
        self.gates("collections", "gates.toml", &tables, Some(&transplants));
        let ids = |which: Which| -> Vec<Value> {
            let rows = which.of(&corpus.rows, &verdicts);
            rows.iter().map(|(row, _)| json!(row.id)).collect()
        };
        let told = json!({
            "tables": tables, "misses": ids(Which::Misses), "false_alarms": ids(Which::FalseAlarms),
            "said_wrong": wrong, "transplants": transplants,
        });
        self.json.insert("collections".to_owned(), told);
    }

    /// Our own corpus with its mutants.
    fn own(&mut self) {
        println!("# Our own corpus, through the shipped filter\n");
        let mutate = Mutate {
            each: (!self.long).then_some(MUTANTS),
            seed: self.seed,
        };
        let folder = palisade_tests::root().join("tests/corpora/injection");
        let corpus = Corpus::load(&[folder], Some(mutate)).unwrap();
        let (verdicts, tables) = self.judge(&corpus);
        println!("{}", tables.text());
        for (which, name) in [
            (Which::Misses, "missed"),
            (Which::FalseAlarms, "refused in error"),
            (Which::Mutants, "mutants judged otherwise"),
        ] {
            print_list(name, which, &corpus.rows, &verdicts);
        }
        self.gates("own", "own.toml", &tables, None);
        let told = json!({ "tables": tables, "mutants": list_of(Which::Mutants, &corpus.rows, &verdicts) });
        self.json.insert("own".to_owned(), told);
    }

    /// Verdicts of the shipped filter; the engine's must be the same.
    fn judge(&mut self, corpus: &Corpus) -> (Vec<Verdict>, Tables) {
        let begun = Instant::now();
        let shipped = judge_all(
            &corpus.rows,
            self.threads,
            || InModule::ours(&self.module, &self.policy, false),
            &|_| (),
        )
        .unwrap();
        let took = begun.elapsed();
        let native = judge_all(
            &corpus.rows,
            self.threads,
            || Native::new(&self.policy, false),
            &|_| (),
        )
        .unwrap();
        println!(
            "{} rows: {:.1} s in the shipped filter, {:.1} s natively",
            shipped.len(),
            took.as_secs_f64(),
            (begun.elapsed() - took).as_secs_f64()
        );
        let mut apart = 0;
        for (left, right) in shipped.iter().zip(&native) {
            if left.blocked != right.blocked || left.refusal != right.refusal {
                apart += 1;
                if apart <= LISTED {
                    println!(
                        "{}: the filter says `{}`, the engine `{}`",
                        left.id, left.refusal, right.refusal
                    );
                }
            }
            if let Some(fault) = &left.fault {
                self.failed
                    .push(format!("{}: the filter failed: {fault}", left.id));
            }
        }
        println!("the filter and the engine disagree over {apart} rows\n");
        if apart > 0 {
            self.failed.push(format!(
                "the filter and the engine disagree over {apart} rows"
            ));
        }
        let tables = Tables::of(corpus, &shipped);
        (shipped, tables)
    }

    fn transplants(&self, corpus: &Corpus, verdicts: &[Verdict]) -> Transplants {
        let moved = (!self.long).then_some(MOVED);
        let told = transplant::run(
            &corpus.rows,
            verdicts,
            moved,
            self.seed,
            self.threads,
            || Native::new(&self.policy, false),
            &|_| (),
        )
        .unwrap();
        println!("{}", told.text());
        for stray in told.strays.iter().take(LISTED) {
            println!(
                "{}: the value of {} in {} of {}: {}",
                if stray.refused { "refused" } else { "passed" },
                stray.value_of,
                stray.place,
                stray.request_of,
                stray.value
            );
        }
        told
    }

    fn gates(&mut self, part: &str, file: &str, tables: &Tables, moved: Option<&Transplants>) {
        let gates = Gates::load(&beside(file)).unwrap();
        let checks = gates.check(tables, moved.and_then(Transplants::percent));
        for check in &checks {
            println!(
                "{} {}",
                if check.holds { "ok    " } else { "MISSED" },
                check.text()
            );
        }
        println!();
        let missed = checks.iter().filter(|check| !check.holds);
        self.failed
            .extend(missed.map(|check| format!("{part}: {}", Check::text(check))));
    }

    fn report(mut self) -> ExitCode {
        self.json.insert("failed".to_owned(), json!(self.failed));
        if let Some(path) = std::env::var_os("PALISADE_INJECTION_ROWS") {
            let text = format!("{:#}\n", Value::Object(self.json));
            std::fs::write(Path::new(&path), text).unwrap();
        }
        for line in self.failed.iter().take(LISTED) {
            println!("FAILED {line}");
        }
        println!("injection: {} failures", self.failed.len());
        ExitCode::from(u8::from(!self.failed.is_empty()))
    }
}

fn list_of(which: Which, rows: &[Row], verdicts: &[Verdict]) -> Vec<Value> {
    let rows = which.of(rows, verdicts);
    rows.iter().map(|(row, _)| json!(row.id)).collect()
}

fn print_list(name: &str, which: Which, rows: &[Row], verdicts: &[Verdict]) {
    let rows = which.of(rows, verdicts);
    println!("{name}: {} of {}", rows.len().min(LISTED), rows.len());
    for (row, verdict) in rows.into_iter().take(LISTED) {
        print!("{}", list::entry(row, verdict, None));
    }
    println!();
}
