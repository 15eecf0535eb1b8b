//! `cargo xtask wasm`: builds the filter, proves that no request can reach a panic, weighs it, strips it.
//!
//! What [`boundary`] names is counted instead.
//!
//! **In:** the `palisade-filter` package. **Out:** `target/palisade.wasm`; exit 1 with the shortest call paths when the
//! walk ([`walk`]) finds a panic, or when the module is over its limits.

mod boundary;
mod walk;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Largest shipped module.
const MAX_MODULE: usize = 2_310_000;
/// Largest code section: what V8 compiles before the filter is ready.
const MAX_CODE: usize = 1_748_000;

/// What a host calls on behalf of a request; `configure` and `vm_start` are the operator's.
const ROOTS: [&str; 11] = [
    "malloc",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_http_call_response",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_tick",
];

/// Builds, checks, strips; the path of the shipped module.
///
/// # Errors
/// The build fails, a request can reach a panic, or the module is over its limits.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = crate::command(cargo)
        .args([
            "build",
            "--quiet",
            "-p",
            "palisade-filter",
            "--profile",
            "wasm",
        ])
        .args(["--target", "wasm32-unknown-unknown"])
        // Less inlining: 13 % less code for V8 to compile at start, for 2 % more fuel a request.
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "-C llvm-args=-inline-threshold=50",
        )
        .current_dir(root)
        .status()
        .context("cargo did not start")?;
    ensure!(status.success(), "the filter does not build");
    let target = root.join("target");
    let built = target.join("wasm32-unknown-unknown/wasm/palisade_filter.wasm");
    let module = fs::read(&built).with_context(|| format!("{} is missing", built.display()))?;

    let sections = sections(&module)?;
    let stripped = strip(&module, &sections);
    print!("{}", weigh(&sections, stripped.len())?);
    let shipped = target.join("palisade.wasm");
    prove(&module, &stripped, size_of(&sections, 10)).inspect_err(|_| {
        // An older module under this name would pass for the one that failed.
        let _ = fs::remove_file(&shipped);
    })?;
    // A process that has the old module mapped or half read must not see a mixture.
    let partial = target.join("palisade.wasm.partial");
    fs::write(&partial, stripped)?;
    fs::rename(&partial, &shipped)?;
    Ok(shipped)
}

/// What a shipped module must hold: no way from a request into a panic, and its limits.
fn prove(module: &[u8], stripped: &[u8], code: usize) -> Result<()> {
    let report = walk::walk(module, &ROOTS, &boundary::BOUNDARIES)?;
    println!(
        "walk: {} of {} functions reachable from a request",
        report.reached, report.functions
    );
    for behind in &report.behind {
        let (_, name) = behind.function.rsplit_once(':').unwrap_or_default();
        let reached = if behind.reached {
            ""
        } else {
            " (by no request)"
        };
        let ways: usize = behind.panics.values().sum();
        let owners: Vec<String> = behind
            .panics
            .iter()
            .map(|(owner, ways)| format!("{owner} {ways}"))
            .collect();
        println!(
            "  behind {name}{reached}: {} functions, {ways} ways into a panic: {}",
            behind.functions,
            owners.join(", ")
        );
    }
    if !report.findings.is_empty() {
        bail!(
            "a request can reach a panic:\n{}",
            report.findings.join("\n")
        );
    }
    ensure!(
        code <= MAX_CODE,
        "the code section has {code} bytes, over {MAX_CODE}"
    );
    ensure!(
        stripped.len() <= MAX_MODULE,
        "the module has {} bytes, over {MAX_MODULE}",
        stripped.len()
    );
    Ok(())
}

/// A section: its id and the range of the whole section, header and all.
struct Section {
    id: u8,
    range: std::ops::Range<usize>,
}

fn sections(module: &[u8]) -> Result<Vec<Section>> {
    ensure!(module.starts_with(b"\0asm\x01\0\0\0"), "not a wasm module");
    let mut found = Vec::new();
    let mut at = 8;
    while let Some(&id) = module.get(at) {
        let start = at;
        at += 1;
        let (mut size, mut shift) = (0_usize, 0);
        loop {
            let byte = *module.get(at).context("a section is cut")?;
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            ensure!(shift < 35, "a section size is too long");
        }
        at = at.saturating_add(size);
        ensure!(at <= module.len(), "a section is cut");
        found.push(Section {
            id,
            range: start..at,
        });
    }
    Ok(found)
}

/// The module without custom sections (names, producers, target features).
fn strip(module: &[u8], sections: &[Section]) -> Vec<u8> {
    let mut out = module.get(..8).unwrap_or_default().to_vec();
    for section in sections.iter().filter(|section| section.id != 0) {
        out.extend_from_slice(module.get(section.range.clone()).unwrap_or_default());
    }
    out
}

fn size_of(sections: &[Section], id: u8) -> usize {
    sections
        .iter()
        .filter(|section| section.id == id)
        .map(|section| section.range.len())
        .sum()
}

fn weigh(sections: &[Section], shipped: usize) -> Result<String> {
    const NAMES: [(u8, &str); 4] = [
        (10, "code"),
        (11, "data"),
        (0, "custom (stripped)"),
        (9, "elements"),
    ];
    let mut out = String::new();
    for (id, name) in NAMES {
        writeln!(out, "{name:>18} {:>9} bytes", size_of(sections, id))?;
    }
    let other: usize = sections
        .iter()
        .filter(|section| NAMES.iter().all(|(id, _)| *id != section.id))
        .map(|section| section.range.len())
        .sum();
    writeln!(out, "{:>18} {other:>9} bytes", "other")?;
    writeln!(
        out,
        "{:>18} {shipped:>9} bytes (limit {MAX_MODULE}; code {MAX_CODE})",
        "shipped"
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripping_drops_custom_sections_only() {
        let module = wat::parse_str(
            r#"(module (@custom "producers" "x") (func $named (export "f") (result i32) i32.const 1))"#,
        )
        .unwrap();
        let stripped = strip(&module, &sections(&module).unwrap());
        assert!(stripped.len() < module.len());
        assert!(size_of(&sections(&module).unwrap(), 0) > 0);
        assert_eq!(size_of(&sections(&stripped).unwrap(), 0), 0);
        wasmparser::validate(&stripped).unwrap();
        for end in 9..module.len() {
            let _ = sections(&module[..end]);
        }
    }
}
