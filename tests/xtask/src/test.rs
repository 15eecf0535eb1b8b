//! `cargo xtask test`: every step CI runs, in an order that fails early, sharing one build cache.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{run, wasm_build};

type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: [Step; 13] = [
    ("format", "rustfmt agrees", || {
        run("cargo", &["fmt", "--all", "--check"])
    }),
    (
        "wasm",
        "the filter builds, fits, and no panic is reachable from a request",
        || wasm_build().map(|_| ()),
    ),
    ("lint", "clippy, warnings denied", || {
        run(
            "cargo",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ],
        )
    }),
    ("envoy", "a real Envoy is here", || {
        palisade_tests::envoy::install().map(|_| ())
    }),
    (
        "ratelimit-engine",
        "a rate limit service and Redis are here",
        crate::ratelimit::build,
    ),
    (
        "unit",
        "unit tests, the host's, and the suites over native, harness and real Envoy",
        || run("cargo", &["test", "--workspace"]),
    ),
    (
        "host",
        "the host against every function of the ABI, in every callback",
        || host(None),
    ),
    (
        "conformance",
        "tokens, keys and signatures against published vectors, one row a case",
        || conformance(None),
    ),
    (
        "limits",
        "limits under races, leases, churn, reloads, fleets and chaos, one row a run",
        || limits(&[]),
    ),
    (
        "injection",
        "what is caught and what is refused in error, in the filter and natively",
        || injection(&[]),
    ),
    (
        "interop",
        "tokens and sealed secrets both ways with PyJWT and cryptography",
        interop,
    ),
    (
        "budgets",
        "fuel, hostcalls and size are within tests/budgets.yaml",
        || {
            run(
                "cargo",
                &["build", "--quiet", "--workspace", "--bin", "palisade"],
            )?;
            run(
                "target/debug/palisade",
                &["bench", "--budgets", "tests/budgets.yaml"],
            )
        },
    ),
    ("playground", "the engine builds for the browser", || {
        run(
            "cargo",
            &[
                "build",
                "--package",
                "palisade-playground",
                "--target",
                "wasm32-unknown-unknown",
                "--release",
            ],
        )
    }),
];

/// The host's conformance suite; with a file, its rows go there as JSON.
pub(crate) fn host(json: Option<&str>) -> Result<()> {
    suite("abi", &["--", "--quiet"], "PALISADE_ABI_ROWS", json)
        .context("the host does not keep to the ABI")
}

/// The suites of published vectors; with a file, their rows go there as JSON.
pub(crate) fn conformance(json: Option<&str>) -> Result<()> {
    suite("conformance", &[], "PALISADE_CONFORMANCE_ROWS", json)
        .context("credentials are not judged as the vectors say")
}

/// The suites of limits; `--json OUT` for their rows, and what else `tests/limits` takes: `--long`, or one run again.
pub(crate) fn limits(arguments: &[&str]) -> Result<()> {
    if !palisade_tests::root()
        .join("target/palisade.wasm")
        .is_file()
    {
        wasm_build()?;
    }
    palisade_tests::envoy::install()?;
    crate::ratelimit::build()?;
    suite_with("limits", arguments, "PALISADE_LIMITS_ROWS")
        .context("limits do not hold what they promise")
}

/// The corpora of injection detection; `--json OUT`, and what else `tests/injection` takes: `--long`, `--seed N`.
pub(crate) fn injection(arguments: &[&str]) -> Result<()> {
    if !palisade_tests::root()
        .join("target/palisade.wasm")
        .is_file()
    {
        wasm_build()?;
    }
    suite_with("injection", arguments, "PALISADE_INJECTION_ROWS")
        .context("detection does not reach its gates")
}

/// A suite with arguments of its own.
fn suite_with(name: &str, arguments: &[&str], variable: &str) -> Result<()> {
    let mut json = None;
    let mut rest = vec!["--"];
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if *word == "--json" {
            json = Some(*words.next().context("--json OUT")?);
        } else {
            rest.push(word);
        }
    }
    suite(name, &rest, variable, json)
}

/// What the other side of `interop` is made of: PyPI packages, and the folders that say which version is there.
const PACKAGES: [(&str, &str); 2] = [
    ("PyJWT==2.15.1", "pyjwt-2.15.1.dist-info"),
    ("cryptography==50.0.2", "cryptography-50.0.2.dist-info"),
];

fn interop() -> Result<()> {
    let folder = palisade_tests::root().join("target/python");
    if !PACKAGES.iter().all(|(_, here)| folder.join(here).is_dir()) {
        let target = folder.to_string_lossy();
        let names = PACKAGES.map(|(name, _)| name);
        eprintln!(
            "installing {} (about 10 MB) into target/python",
            names.join(" and ")
        );
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--target",
            &target,
        ];
        run("python3", &[&pip[..], &names].concat()).context(
            "this step needs python3 (3.9 or newer) with pip, and PyPI or a mirror of it",
        )?;
    }
    let status = crate::command("cargo")
        .args(["test", "--quiet", "--workspace", "--test", "interop"])
        .env("PALISADE_PYTHON", &folder)
        .current_dir(palisade_tests::root())
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("others read our tokens otherwise, or we theirs ({status})");
    }
    Ok(())
}

/// A test binary that writes its rows where a variable says.
fn suite(name: &str, more: &[&str], variable: &str, json: Option<&str>) -> Result<()> {
    // Of the whole workspace, so that the crates are those the step `unit` has built.
    let mut command = crate::command("cargo");
    command
        .args(["test", "--quiet", "--workspace", "--test", name])
        .args(more)
        .current_dir(palisade_tests::root());
    if let Some(json) = json {
        let path = std::path::absolute(json).with_context(|| format!("the path {json}"))?;
        command.env(variable, path);
    }
    let status = command.status().context("start cargo")?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

pub(crate) fn run_steps(names: &[&str]) -> Result<()> {
    for name in names {
        if !STEPS.iter().any(|(step, _, _)| step == name) {
            let known: Vec<&str> = STEPS.iter().map(|(step, _, _)| *step).collect();
            bail!("`{name}` is no step; the steps are {}", known.join(", "));
        }
    }
    let started = Instant::now();
    let chosen = || {
        STEPS
            .iter()
            .filter(|(name, _, _)| names.is_empty() || names.contains(name))
    };
    let all = chosen().count();
    for (at, (name, what, step)) in chosen().enumerate() {
        let begun = Instant::now();
        eprintln!("\n[{}/{all}] {name}: {what}", at.saturating_add(1));
        step().with_context(|| format!("step `{name}`"))?;
        eprintln!(
            "[{}/{all}] {name}: ok in {} s",
            at.saturating_add(1),
            begun.elapsed().as_secs()
        );
    }
    eprintln!(
        "\nall {all} steps passed in {} s",
        started.elapsed().as_secs()
    );
    Ok(())
}
