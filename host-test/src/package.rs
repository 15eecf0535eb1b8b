//! A guest built from its Cargo package: what a filter's own `#[test]` starts with.
//!
//! In: the name of a package in the workspace the test runs in. Out: its `.wasm`, built for `wasm32-unknown-unknown` in release,
//! under `target/guests`, so that neither target folder nor lock is shared with the build that runs the test.
//! Invariant: one build at a time and each package once a process; what went wrong is `Error::Build` with what Cargo said.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use crate::error::Error;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds a package, or finds it built in this process; the path of its module.
pub(crate) fn build(package: &str) -> Result<PathBuf, Error> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(package) {
        return Ok(path.clone());
    }
    let path = run(package).map_err(|why| Error::Build {
        package: package.to_owned(),
        why,
    })?;
    built.insert(package.to_owned(), path.clone());
    Ok(path)
}

fn run(package: &str) -> Result<PathBuf, String> {
    let manifest = cargo(&["locate-project", "--workspace", "--message-format", "plain"])?;
    let root = Path::new(manifest.trim())
        .parent()
        .ok_or("Cargo named no workspace")?;
    let target = root.join("target/guests");
    let folder = target.to_string_lossy();
    cargo(&[
        "build",
        "--quiet",
        "--release",
        "--target",
        TARGET,
        "--target-dir",
        &folder,
        "--package",
        package,
    ])?;
    let file = format!("{TARGET}/release/{}.wasm", package.replace('-', "_"));
    let path = target.join(file);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "it built, but there is no {}: is its crate-type `cdylib`, and its library named like the package?",
            path.display()
        ))
    }
}

/// Runs Cargo where the test's package is; what it printed, or what went wrong.
fn cargo(arguments: &[&str]) -> Result<String, String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR") {
        cargo.current_dir(package);
    }
    // Flags meant for the host's target are wrong for the guest's.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = cargo
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let hint = if said.contains("target may not be installed") {
        "\nfix: rustup target add wasm32-unknown-unknown"
    } else {
        ""
    };
    Err(format!(
        "cargo {}:\n{}{hint}",
        arguments.join(" "),
        said.trim_end()
    ))
}
