//! The verdict corpus on the native driver, and what the corpus must cover.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{File, load, parse, run_file};
use palisade_engine::verdict::Reason;

fn corpus() -> Result<Vec<File>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpora/verdicts");
    let mut paths = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths.iter().map(|path| load(path)).collect()
}

#[test]
fn the_engine_decides_as_the_corpus_says() -> Result<()> {
    let reports: Vec<_> = corpus()?
        .iter()
        .flat_map(|file| run_file(file, &mut Native, ""))
        .collect();
    let failed: Vec<_> = reports.iter().filter(|report| !report.passed()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(reports.len() >= 60, "{} cases", reports.len());
    Ok(())
}

#[test]
fn every_reason_has_a_case() -> Result<()> {
    let files = corpus()?;
    let seen: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| &file.cases)
        .flat_map(|case| &case.requests)
        .filter_map(|request| request.expect.0.deny.as_deref())
        .collect();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| reason.row().code)
        // A full table takes hundreds of requests: `filter/engine/src/engine/tests.rs` fills one.
        .filter(|code| !seen.contains(code) && *code != "replay_capacity")
        .collect();
    assert!(missing.is_empty(), "no case expects {missing:?}");
    Ok(())
}

#[test]
fn a_wrong_expectation_fails() {
    // The runner itself: each of these differs from what the engine does.
    let policy = "policy: { headers: { forbid: [x-debug] } }\ncases:\n";
    let cases = [
        "  - { name: verdict, requests: [{ expect: injection }] }",
        "  - { name: reason, requests: [{ headers: [[x-debug, '1']], expect: missing_header }] }",
        "  - { name: status, requests: [{ upstream: 201, expect: { status: 200 } }] }",
        "  - { name: allowed, requests: [{ headers: [[x-debug, '1']] }] }",
        "  - { name: upstream, requests: [{ expect: { upstream: { present: [x-user] } } }] }",
        "  - { name: equal, requests: [{ headers: [[a, b]], expect: { upstream: { equal: [[a, c]] } } }] }",
        "  - { name: path, requests: [{ path: /a, expect: { upstream_path: /b } }] }",
        "  - { name: event, requests: [{ headers: [[x-debug, '1']], expect: { deny: forbidden_header, event: [nothing] } }] }",
        "  - { name: lacks, requests: [{ headers: [[x-debug, '1']], expect: { deny: forbidden_header, event_lacks: [forbidden] } }] }",
        "  - { name: reply, requests: [{ headers: [[x-debug, '1']], expect: { deny: forbidden_header, reply: { present: [allow] } } }] }",
    ];
    for case in cases {
        let file = parse(&format!("{policy}{case}\n"), Path::new("inline.yaml")).expect(case);
        let reports = run_file(&file, &mut Native, "");
        assert!(
            reports.len() == 1 && !reports[0].passed(),
            "{case}: {reports:?}"
        );
    }
}
