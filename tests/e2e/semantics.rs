//! The probe guest in a real Envoy and in our host: the same experiments, and what the guest, the client and the upstream saw of each.
//!
//! In: `corpora/semantics/experiments.yaml`, and `examples/probe` built for wasm. Out: one test an experiment; `observed.txt` is what Envoy did.
//! Invariant: Envoy does what `observed.txt` says, and our host does the same, unless the experiment says how it `differs`: then it must.
//! `PALISADE_RECORD=1` writes `observed.txt` anew; `PALISADE_SHOW=1` prints both sides of each experiment.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: failing here is failing the test"
)]

#[path = "semantics/envoy.rs"]
mod envoy;
#[path = "semantics/experiment.rs"]
mod experiment;
#[path = "semantics/ours.rs"]
mod ours;
#[path = "semantics/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use experiment::Experiment;

/// The probe, built once.
fn build() -> PathBuf {
    let root = palisade_tests::root();
    let target = root.join("target/guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&root).args([
        "build",
        "--quiet",
        "--release",
        "--target",
        "wasm32-unknown-unknown",
        "-p",
        "probe",
        "--target-dir",
    ]);
    assert!(
        cargo.arg(&target).status().unwrap().success(),
        "the probe does not build"
    );
    target.join("wasm32-unknown-unknown/release/probe.wasm")
}

fn corpus(file: &str) -> PathBuf {
    palisade_tests::root()
        .join("tests/corpora/semantics")
        .join(file)
}

/// `observed.txt`: blocks of `== name` and lines.
fn observed() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(corpus("observed.txt")).unwrap_or_default();
    text.split("== ")
        .filter_map(|block| block.split_once('\n'))
        .map(|(name, lines)| (name.to_owned(), lines.to_owned()))
        .collect()
}

fn record(experiments: &[Experiment], lab: &envoy::Lab) {
    let mut text = "What Envoy 1.40 did in each experiment; `PALISADE_RECORD=1 cargo test -p palisade-tests --test semantics` writes it.\n\n".to_owned();
    for experiment in experiments {
        text.push_str(&format!("== {}\n{}", experiment.name, lab.run(experiment)));
    }
    std::fs::write(corpus("observed.txt"), text).unwrap();
}

fn check(
    experiment: &Experiment,
    seen: &str,
    expected: Option<&String>,
    ours: &str,
) -> Result<(), Failed> {
    if std::env::var_os("PALISADE_SHOW").is_some() {
        println!("\n== {}\n{seen}-- ours\n{ours}", experiment.name);
    }
    let expected = expected.ok_or("not in observed.txt: record it")?;
    if seen != expected {
        return Err(format!(
            "Envoy did not do what observed.txt says\n--- now\n{seen}--- observed.txt\n{expected}"
        )
        .into());
    }
    match (&experiment.differs, ours == expected) {
        (None, true) | (Some(_), false) => Ok(()),
        (None, false) => {
            Err(format!("our host differs\n--- Envoy\n{expected}--- ours\n{ours}").into())
        }
        (Some(why), true) => Err(format!("it is said to differ ({why}), but does not").into()),
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One Envoy, one upstream: experiments run one after another.
    arguments.test_threads = Some(1);
    let text = std::fs::read_to_string(corpus("experiments.yaml")).unwrap();
    let experiments: Vec<Experiment> = experiment::parse(&text);
    if arguments.list {
        let trials = experiments
            .into_iter()
            .map(|e| Trial::test(e.name, || Ok(())))
            .collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let wasm = build();
    let module = palisade_host::Module::from_file(&wasm).unwrap();
    let lab = envoy::Lab::start();
    if std::env::var_os("PALISADE_RECORD").is_some() {
        record(&experiments, &lab);
        return ExitCode::SUCCESS;
    }
    let (lab, observed) = (Arc::new(Mutex::new(lab)), Arc::new(observed()));
    let trials = experiments
        .into_iter()
        .map(|experiment| {
            let (lab, observed, module) = (Arc::clone(&lab), Arc::clone(&observed), module.clone());
            Trial::test(experiment.name.clone(), move || {
                let seen = lab
                    .lock()
                    .map_err(|_| "another experiment broke the laboratory")?
                    .run(&experiment);
                let ours = ours::run(&module, &experiment);
                check(&experiment, &seen, observed.get(&experiment.name), &ours)
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(lab);
    conclusion.exit_code()
}
