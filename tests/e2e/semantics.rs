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
#[path = "semantics/failure.rs"]
mod failure;
#[path = "semantics/ours.rs"]
mod ours;
#[path = "semantics/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};

use experiment::Experiment;

/// The probe, built once; and the gateway that it runs in.
fn build() -> PathBuf {
    let root = palisade_tests::root();
    // The whole workspace's features, as `cargo test --workspace` has them: nothing is built twice.
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(&root)
        .args(["build", "--quiet", "--workspace", "--bin", "palisade"]);
    assert!(
        cargo.status().unwrap().success(),
        "the gateway does not build"
    );
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
fn observed(file: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(corpus(file)).unwrap_or_default();
    text.split("== ")
        .filter_map(|block| block.split_once('\n'))
        .map(|(name, lines)| (name.to_owned(), lines.to_owned()))
        .collect()
}

fn record(experiments: &[Experiment], lab: &envoy::Lab, failures: &BTreeMap<String, String>) {
    let mut text = "What Envoy 1.40 did when its guest trapped.\n\n".to_owned();
    for (name, seen) in failures {
        text.push_str(&format!("== {name}\n{seen}"));
    }
    std::fs::write(corpus("observed-failures.txt"), text).unwrap();
    let mut text = "What Envoy 1.40 did in each experiment; `PALISADE_RECORD=1 cargo test -p palisade-tests --test semantics` writes it.\n\n".to_owned();
    for experiment in experiments {
        text.push_str(&format!("== {}\n{}", experiment.name, lab.run(experiment)));
    }
    std::fs::write(corpus("observed.txt"), text).unwrap();
}

fn check(
    name: &str,
    differs: Option<&str>,
    seen: &str,
    expected: Option<&String>,
    ours: &str,
) -> Result<(), Failed> {
    if std::env::var_os("PALISADE_SHOW").is_some() {
        println!("\n== {name}\n{seen}-- ours\n{ours}");
    }
    let expected = expected.ok_or("not in observed.txt: record it")?;
    if seen != expected {
        return Err(format!(
            "Envoy did not do what observed.txt says\n--- now\n{seen}--- observed.txt\n{expected}"
        )
        .into());
    }
    match (differs, ours == expected) {
        (None, true) | (Some(_), false) => Ok(()),
        (None, false) => {
            Err(format!("our host differs\n--- Envoy\n{expected}--- ours\n{ours}").into())
        }
        (Some(why), true) => Err(format!("it is said to differ ({why}), but does not").into()),
    }
}

/// What a busy machine can spoil (two pieces that meet in one read, a pause that takes longer) is tried again; what Envoy really does
/// otherwise stays otherwise.
fn again(mut attempt: impl FnMut() -> Result<(), Failed>) -> Result<(), Failed> {
    let mut last = attempt();
    for _ in 0..3 {
        if last.is_ok() {
            break;
        }
        last = attempt();
    }
    last
}

/// Workers of an Envoy; how often the root starts, and how many threads give it ticks.
const STARTS: [(u32, (usize, usize)); 2] = [(1, (3, 2)), (2, (4, 3))];

/// Outcomes in Envoy and in ours, by name.
type Both = (BTreeMap<String, String>, BTreeMap<String, String>);

/// The failures run all at once, for they wait most of their time; each is a trial that looks at its outcome.
fn trials_of_failures(failures: Vec<failure::Experiment>, filter: &str) -> Vec<Trial> {
    let chosen: Vec<_> = (failures.into_iter())
        .filter(|failure| failure.name.contains(filter))
        .collect();
    let both: Arc<OnceLock<Both>> = Arc::default();
    let observed = Arc::new(observed("observed-failures.txt"));
    let all = Arc::new(chosen.clone());
    (chosen.into_iter())
        .map(|failure| {
            let (both, observed, all) =
                (Arc::clone(&both), Arc::clone(&observed), Arc::clone(&all));
            Trial::test(failure.name.clone(), move || {
                let (seen, ours) = both.get_or_init(|| {
                    std::thread::scope(|scope| {
                        let ours = scope.spawn(|| failure::in_ours(&all));
                        (failure::in_envoy(&all), ours.join().unwrap())
                    })
                });
                let name = &failure.name;
                let differs = failure.differs.as_deref();
                let (mut seen, mut ours) = (seen[name].clone(), ours[name].clone());
                again(|| {
                    let checked = check(name, differs, &seen, observed.get(name), &ours);
                    if checked.is_err() {
                        let alone = std::slice::from_ref(&failure);
                        seen = failure::in_envoy(alone).remove(name).unwrap_or_default();
                        ours = failure::in_ours(alone).remove(name).unwrap_or_default();
                    }
                    checked
                })
            })
        })
        .collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One Envoy, one upstream: experiments run one after another.
    arguments.test_threads = Some(1);
    let text = std::fs::read_to_string(corpus("experiments.yaml")).unwrap();
    let experiments: Vec<Experiment> = experiment::parse(&text);
    let text = std::fs::read_to_string(corpus("failures.yaml")).unwrap();
    let failures = failure::parse(&text);
    if arguments.list {
        let trials = (experiments.into_iter().map(|e| e.name))
            .chain(failures.into_iter().map(|e| e.name))
            .chain(STARTS.map(|(workers, _)| format!("root-starts-{workers}")))
            .map(|name| Trial::test(name, || Ok(())))
            .collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let wasm = build();
    let module = palisade_host::Module::from_file(&wasm).unwrap();
    let lab = envoy::Lab::start();
    if std::env::var_os("PALISADE_RECORD").is_some() {
        record(&experiments, &lab, &failure::in_envoy(&failures));
        return ExitCode::SUCCESS;
    }
    let (lab, observed) = (
        Arc::new(Mutex::new(lab)),
        Arc::new(observed("observed.txt")),
    );
    let filter = arguments.filter.clone().unwrap_or_default();
    let mut trials: Vec<Trial> = experiments
        .into_iter()
        .map(|experiment| {
            let (lab, observed, module) = (Arc::clone(&lab), Arc::clone(&observed), module.clone());
            Trial::test(experiment.name.clone(), move || {
                again(|| {
                    let seen = lab
                        .lock()
                        .map_err(|_| "another experiment broke the laboratory")?
                        .run(&experiment);
                    let ours = ours::run(&module, &experiment);
                    check(
                        &experiment.name,
                        experiment.differs.as_deref(),
                        &seen,
                        observed.get(&experiment.name),
                        &ours,
                    )
                })
            })
        })
        .collect();
    trials.extend(trials_of_failures(failures, &filter));
    trials.extend(STARTS.map(|(workers, expected)| {
        Trial::test(format!("root-starts-{workers}"), move || {
            let seen = failure::starts(workers);
            if seen == expected {
                return Ok(());
            }
            Err(format!("starts and threads with ticks: {seen:?}, not {expected:?}").into())
        })
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(lab);
    conclusion.exit_code()
}
