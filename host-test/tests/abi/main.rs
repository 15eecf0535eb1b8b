//! Conformance of the host to ABI v0.2.1: every function, in every callback, with every status its text names.
//!
//! In: the functions of the specification and the tables in `cases/`. Out: a test for each case; with `PALISADE_ABI_ROWS=FILE` the
//! rows as JSON, which `cargo xtask test host --json` shows. Case files and their syntax: `cases.rs`.
//! Invariant: a function without a row, or a status that its text names and no row shows, fails unless `WAIVED` says why.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test; a failure is the test's"
)]

mod cases;
mod functions;
mod probe;
mod run;
mod spec;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_host::{Limits, Module};

use crate::{cases::Case, functions::Function, run::Row};

/// Statuses of the text that this host never gives, and why.
const WAIVED: &[(&str, &str, &str)] = &[
    (
        "proxy_done",
        "OK",
        "for a root context only: tests/callouts/http.rs ends one",
    ),
    (
        "proxy_http_call",
        "INTERNAL_FAILURE",
        "the library queues the call; that it cannot be sent comes as a response with 0 headers",
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let functions = Arc::new(functions::load());
    let limits = Limits {
        fuel: Some(100_000_000),
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let probe = match Module::load_named("probe", probe::text(&functions).as_bytes(), limits) {
        Ok(module) => module,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let cases = match load_cases() {
        Ok(cases) => cases,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let all_run = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let rows: Arc<Mutex<Vec<Row>>> = Arc::default();
    let mut trials = vec![Trial::test("the functions are the specification's", || {
        spec::check().map_err(Failed::from)
    })];
    for (file, case) in cases {
        let (module, functions, rows) = (probe.clone(), Arc::clone(&functions), Arc::clone(&rows));
        let name = format!("{file}: {}", case.name);
        trials.push(Trial::test(name, move || {
            let mut wrong = Vec::new();
            let mut each = vec![case.clone()];
            if case.mutate {
                each.extend(run::mutants(&case));
            }
            for one in each {
                let (got, faults) = run::run(&module, &functions, &one);
                rows.lock().unwrap().extend(got);
                wrong.extend(
                    faults
                        .into_iter()
                        .map(|fault| format!("{}: {fault}", one.name)),
                );
            }
            if wrong.is_empty() {
                Ok(())
            } else {
                Err(Failed::from(wrong.join("\n")))
            }
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let rows = rows.lock().unwrap();
    let covered = functions
        .iter()
        .filter(|function| {
            rows.iter()
                .any(|row| row.function == function.name && row.passed)
        })
        .count();
    if let Some(path) = std::env::var_os("PALISADE_ABI_ROWS") {
        let waived = WAIVED.iter().map(|(function, status, why)| {
            serde_json::json!({ "function": function, "status": status, "why": why })
        });
        let report = serde_json::json!({
            "abi": "0.2.1",
            "functions": functions.len(),
            "covered": covered,
            "waived": waived.collect::<Vec<_>>(),
            "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        fs::write(path, format!("{report:#}\n")).unwrap();
    }
    println!(
        "host functions covered: {covered}/{}, rows: {}",
        functions.len(),
        rows.len()
    );
    let missing = if all_run {
        missing(&functions, &rows)
    } else {
        Vec::new()
    };
    for line in &missing {
        println!("uncovered: {line}");
    }
    if conclusion.has_failed() || !missing.is_empty() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn load_cases() -> Result<Vec<(String, Case)>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi/cases");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let file = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        all.extend(
            cases::parse(&file, &text)?
                .into_iter()
                .map(|case| (file.clone(), case)),
        );
    }
    Ok(all)
}

/// The statuses of a bad pointer.
const MEMORY: [&str; 2] = ["INVALID_MEMORY_ACCESS", "FAULT"];

/// Functions, statuses and pointers that no row shows.
fn missing(functions: &[Function], rows: &[Row]) -> Vec<String> {
    let shown: BTreeSet<(&str, &str)> = rows
        .iter()
        .filter(|row| row.passed)
        .map(|row| (row.function.as_str(), row.got.as_str()))
        .collect();
    let waived = |function: &str, status: &str| {
        WAIVED
            .iter()
            .any(|(name, waived, _)| *name == function && (*waived == status || *waived == "*"))
    };
    let mut missing = Vec::new();
    for function in functions {
        let name = function.name.as_str();
        if !rows.iter().any(|row| row.function == name) && !waived(name, "*") {
            missing.push(format!("{name}: no row"));
        }
        let takes_pointers = function
            .statuses
            .iter()
            .any(|status| MEMORY.contains(&status.as_str()));
        let broken = |row: &&Row| row.function == name && row.case.contains(" at 0x");
        if takes_pointers && !rows.iter().any(|row| broken(&row)) && !waived(name, MEMORY[0]) {
            missing.push(format!("{name}: no case with `mutate`"));
        }
        for status in &function.statuses {
            let is_shown = shown.contains(&(name, status));
            if !is_shown && !waived(name, status) {
                missing.push(format!("{name}: {status}"));
            }
            if is_shown && waived(name, status) {
                missing.push(format!("{name}: {status} is waived, yet a row shows it"));
            }
        }
    }
    missing
}
