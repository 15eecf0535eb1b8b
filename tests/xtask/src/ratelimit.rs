//! `cargo xtask ratelimit-engine`: what the suite of fleets needs, a rate limit service and Redis.
//!
//! **Out:** `target/ratelimit-engine/debug/ratelimit-engine`, and `redis-server` in the path: from the distribution's package
//! when it is missing and we may install it, else an error that names it. The service links OpenSSL, whose headers come likewise.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Oldest Redis that the service's scripts run on (`EXPIRE … NX`).
const REDIS: u32 = 7;

/// Builds the service and looks for Redis.
pub(crate) fn build() -> Result<()> {
    redis()?;
    openssl()?;
    eprintln!(
        "building tests/ratelimit-engine into target/ratelimit-engine (the first time about two minutes)"
    );
    crate::run(
        "cargo",
        &[
            "build",
            "--locked",
            "--manifest-path",
            "tests/ratelimit-engine/Cargo.toml",
            "--target-dir",
            "target/ratelimit-engine",
        ],
    )
}

fn redis() -> Result<()> {
    if version().is_none() {
        install(&["redis-server"]).context(
            "redis-server is missing and could not be installed; install Redis 7 or later",
        )?;
    }
    let found = version().context("redis-server does not say its version")?;
    ensure!(
        found >= REDIS,
        "redis-server is version {found}; install Redis {REDIS} or later"
    );
    Ok(())
}

/// Headers that limitador's Redis client is built with.
fn openssl() -> Result<()> {
    let there = || {
        let asked = Command::new("pkg-config")
            .args(["--exists", "openssl"])
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    };
    if !there() {
        install(&["libssl-dev", "pkg-config"]).context(
            "OpenSSL's headers or pkg-config are missing and could not be installed; install libssl-dev and pkg-config",
        )?;
    }
    ensure!(
        there(),
        "pkg-config does not know openssl; install libssl-dev"
    );
    Ok(())
}

/// Installs packages of the distribution, saying so.
fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {} from the distribution", packages.join(" "));
    crate::run("apt-get", &["update", "--quiet"])?;
    let mut line = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    line.extend(packages);
    crate::run("apt-get", &line)
}

/// Major version of the Redis in the path.
fn version() -> Option<u32> {
    let mut command = Command::new("redis-server");
    let said = command
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout);
    let (_, version) = text.split_once("v=")?;
    version.split('.').next()?.parse().ok()
}
