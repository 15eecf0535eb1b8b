//! `cargo xtask …`: everything a developer, a user trying it, and CI run.
//!
//! **Invariant:** what is missing is installed into `target/` and said so; what cannot be is an error
//! that names the fix, never a skipped step.

mod bench;
mod bench_host;
mod bench_injection;
mod bench_limits;
mod bench_tokens;
mod demo;
mod foreign;
mod ratelimit;
mod serve;
mod test;
mod wasm;

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  serve [--envoy] [--listen ADDR]  build the filter and run it in front of a demo upstream
  test [STEP …]                    everything CI checks, or the named steps
  test host --json OUT             the host's conformance rows, written to a file
  test conformance --json OUT      the rows of the credential suites, likewise
  test limits [--json OUT] [--long] [--suite S] [--case C] [--seed N]
                                   races, leases, churn, reloads, fleets and chaos of limits, or one run again
  test injection [--json OUT] [--long] [--seed N]
                                   what is caught of the corpora, mutants and transplants too
  wasm                             build the filter, prove it panic-free, print its size
  bench envoy [--json OUT]         CPU per request in real Envoy, beside the bare one
  bench tokens [--json OUT]        CPU per token in real Envoy, beside Envoy's own jwt_authn
  bench injection [--json OUT]     CPU of injection detection in real Envoy, beside the same policy without it
  bench limits [--json OUT]        CPU per limit in real Envoy, beside the same policy without one
  bench host [--json OUT]          CPU per request in our gateway, beside hyper alone
  ratelimit-engine                 build the rate limit service of the fleet suite, and see that Redis is here
  foreign                          build filters in Go and C++ (compilers from PyPI) and run them on the host
  certificates                     write target/tls for envoy/tls.yaml
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", rest @ ..] => serve::run(rest),
        ["test", "host", "--json", out] => test::host(Some(out)),
        ["test", "conformance", "--json", out] => test::conformance(Some(out)),
        ["test", "limits", rest @ ..]
            if rest.first().is_some_and(|word| word.starts_with("--")) =>
        {
            test::limits(rest)
        }
        ["test", "injection", rest @ ..]
            if rest.first().is_some_and(|word| word.starts_with("--")) =>
        {
            test::injection(rest)
        }
        ["test", steps @ ..] => test::run_steps(steps),
        ["wasm"] => wasm_build().map(|_| ()),
        ["bench", "envoy", rest @ ..] => bench::run(rest),
        ["bench", "host", rest @ ..] => bench_host::run(rest),
        ["bench", "injection", rest @ ..] => bench_injection::run(rest),
        ["bench", "limits", rest @ ..] => bench_limits::run(rest),
        ["bench", "tokens", rest @ ..] => bench_tokens::run(rest),
        ["foreign"] => foreign::run(),
        ["ratelimit-engine"] => ratelimit::build(),
        ["certificates"] => {
            palisade_tests::certificates::write(&palisade_tests::root().join("target/tls"))
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The filter, built and checked.
fn wasm_build() -> Result<std::path::PathBuf> {
    wasm::build(&palisade_tests::root())
}

/// A command without what `cargo run` tells us of our own package: ring's build asks for those variables, and would be built anew
/// (with all of TLS) whenever a Cargo that we start and one from the shell take turns.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let about_us = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if about_us {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command in the repository's root, its output on ours; an error when it fails.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let shown = format!("{program} {}", arguments.join(" "));
    eprintln!("$ {shown}");
    let status = command(program)
        .args(arguments)
        .current_dir(palisade_tests::root())
        .status()
        .with_context(|| format!("start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}
