//! `palisade test`: scenario files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Args, ValueEnum};
use palisade_cli::envoy::driver::{InEnvoy, fits};
use palisade_cli::envoy::server;
use palisade_cli::scenario::harness::Harness;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{Report, load, run_file};
use serde_json::json;

use super::{Paint, module};

/// Run scenario files: requests in; expected verdict, reason and effects out.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Scenario files, or folders of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What runs them.
    #[arg(long, value_enum, default_value = "harness")]
    driver: DriverName,
    /// The filter for the harness.
    #[arg(long, value_name = "M.wasm")]
    module: Option<PathBuf>,
    /// The Envoy of `--driver envoy`; else `$ENVOY`, target/envoy, or the one in PATH.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Only cases whose `file/name` holds this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print passed cases too.
    #[arg(long, short)]
    verbose: bool,
}

/// A driver.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DriverName {
    /// The engine alone.
    Native,
    /// The filter in our host.
    Harness,
    /// The filter in a real Envoy.
    Envoy,
    /// Native and harness.
    All,
}

impl Test {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut files = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                let mut found: Vec<PathBuf> = std::fs::read_dir(path)?
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| {
                        path.extension()
                            .is_some_and(|extension| extension == "yaml")
                    })
                    .collect();
                found.sort();
                files.extend(found);
            } else {
                files.push(path.clone());
            }
        }
        let files = files
            .iter()
            .map(|path| load(path))
            .collect::<Result<Vec<_>>>()?;
        let mut reports = Vec::new();
        if matches!(self.driver, DriverName::Native | DriverName::All) {
            for file in &files {
                reports.extend(run_file(file, &mut Native, &self.filter));
            }
        }
        if matches!(self.driver, DriverName::Harness | DriverName::All) {
            let mut harness = Harness::new(module(self.module.as_deref())?);
            for file in &files {
                reports.extend(run_file(file, &mut harness, &self.filter));
            }
        }
        if matches!(self.driver, DriverName::Envoy) {
            let mut envoy = InEnvoy {
                binary: Some(server::find(self.envoy.as_deref())?),
            };
            for mut file in files {
                file.cases.retain(fits);
                // Tokens of a case are minted for its clock: Envoy's is the real one.
                file.wall = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs());
                reports.extend(run_file(&file, &mut envoy, &self.filter));
            }
        }
        self.print(&reports);
        Ok(ExitCode::from(u8::from(
            !reports.iter().all(Report::passed),
        )))
    }

    fn print(&self, reports: &[Report]) {
        let failed = reports.iter().filter(|report| !report.passed()).count();
        let passed = reports.len() - failed;
        if self.json {
            let cases: Vec<_> = reports
                .iter()
                .map(|report| {
                    json!({ "file": report.file, "case": report.case, "driver": report.driver,
                            "passed": report.passed(), "differences": report.differences })
                })
                .collect();
            say!(
                "{:#}",
                json!({ "passed": passed, "failed": failed, "cases": cases })
            );
            return;
        }
        let paint = Paint::stdout();
        for report in reports {
            let title = format!("{}/{} ({})", report.file, report.case, report.driver);
            if report.passed() {
                if self.verbose {
                    say!("{} {title}", paint.green("ok  "));
                }
                continue;
            }
            say!("{} {title}", paint.red("FAIL"));
            for line in &report.differences {
                say!("     {line}");
            }
        }
        let summary = format!("{passed} passed, {failed} failed");
        say!(
            "{}",
            if failed == 0 {
                paint.green(&summary)
            } else {
                paint.red(&summary)
            }
        );
    }
}
