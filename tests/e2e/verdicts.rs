//! One corpus, three drivers: every case of `tests/corpora/verdicts` on the native engine, on the `.wasm` in our
//! host, and on the `.wasm` in a real Envoy. Each is a test of its own: `cargo test -p palisade-tests --test verdicts NAME`.
//!
//! **Envoy's share:** it has no virtual clock and no injected faults, so cases with either are not its. A case whose request
//! Envoy refuses by itself, before the filter, says `drivers: [native, harness]`; `envoy.rs` shows that it is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_cli::envoy::driver::InEnvoy;
use palisade_cli::scenario::harness::Harness;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{Case, Driver, File, load, run_file, unable};
use palisade_host::Module;

fn main() {
    let arguments = Arguments::from_args();
    let module = palisade_tests::root().join("target/palisade.wasm");
    if !module.is_file() {
        eprintln!(
            "{} is missing: `cargo xtask wasm` builds it, `cargo xtask test` does so first",
            module.display()
        );
        std::process::exit(1);
    }
    let compiled = match Module::from_file(&module) {
        Ok(compiled) => Arc::new(compiled),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    let mut files: Vec<PathBuf> =
        match std::fs::read_dir(palisade_tests::root().join("tests/corpora/verdicts")) {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
                .collect(),
            Err(error) => {
                eprintln!("tests/corpora/verdicts: {error}");
                std::process::exit(1);
            }
        };
    files.sort();
    let mut trials = Vec::new();
    for path in files {
        let file = match load(&path) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                let text = format!("{error:#}");
                trials.push(Trial::test(path.display().to_string(), move || {
                    Err(Failed::from(text))
                }));
                continue;
            }
        };
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        for case in &file.cases {
            let name = |driver: &str| format!("{driver}::{stem}::{}", case.name);
            let only = |case: &Case| {
                Arc::new(File {
                    cases: vec![case.clone()],
                    ..(*file).clone()
                })
            };
            if unable(&file, case, "native").is_none() {
                let one = only(case);
                trials.push(Trial::test(name("native"), move || run(&one, &mut Native)));
            }
            if unable(&file, case, "harness").is_none() {
                let (one, module) = (only(case), compiled.clone());
                trials.push(Trial::test(name("harness"), move || {
                    run(&one, &mut Harness::new((*module).clone()))
                }));
            }
            if unable(&file, case, "envoy").is_none() {
                let one = only(case);
                trials.push(Trial::test(name("envoy"), move || {
                    let mut one = (*one).clone();
                    // Tokens of a case are minted for its clock: Envoy's is the real one.
                    one.wall = SystemTime::now()
                        .duration_since(UNIX_EPOCH)
                        .map_or(0, |since| since.as_secs());
                    run(&one, &mut InEnvoy::default())
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run<D: Driver>(file: &File, driver: &mut D) -> Result<(), Failed> {
    let reports = run_file(file, driver, "");
    if reports.is_empty() {
        return Err("the case did not run".into());
    }
    let differences: Vec<String> = reports
        .into_iter()
        .flat_map(|report| report.differences)
        .map(|difference| difference.to_string())
        .collect();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences.join("\n").into())
    }
}
