//! `cargo xtask ratelimit-engine`: what the suite of fleets needs, a rate limit service and Redis.
//!
//! **Out:** `target/ratelimit-engine/debug/ratelimit-engine`, and `redis-server` in the path: from the distribution's package
//! when it is missing and we may install it, else an error that names it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Oldest Redis that the service's scripts run on (`EXPIRE … NX`).
const REDIS: u32 = 7;

/// Builds the service and looks for Redis.
pub(crate) fn build() -> Result<()> {
    redis()?;
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
        eprintln!("installing redis-server from the distribution");
        let update = crate::run("apt-get", &["update", "--quiet"]);
        let install = [
            "install",
            "--yes",
            "--quiet",
            "--no-install-recommends",
            "redis-server",
        ];
        update
            .and_then(|()| crate::run("apt-get", &install))
            .context(
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
