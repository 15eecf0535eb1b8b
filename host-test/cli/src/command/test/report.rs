//! What came of the cases: for people, as JSON, as JUnit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use palisade_cli::scenario::{Difference, Report};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::super::Paint;

/// How many there are of each.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn of<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut counts = Self::default();
        for report in reports {
            counts.passed += usize::from(report.passed());
            counts.failed += usize::from(report.failed());
            counts.skipped += usize::from(report.skipped.is_some());
        }
        counts
    }

    fn text(self) -> String {
        let mut text = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            text.push_str(&format!(", {} skipped", self.skipped));
        }
        text
    }
}

/// Reports by file (or suite) and driver, in order.
fn groups(reports: &[Report]) -> Vec<(String, Vec<&Report>)> {
    let mut order: Vec<(String, Vec<&Report>)> = Vec::new();
    for report in reports {
        let title = format!("{} ({})", report.file, report.driver);
        match order.iter_mut().find(|(held, _)| *held == title) {
            Some((_, group)) => group.push(report),
            None => order.push((title, vec![report])),
        }
    }
    order
}

/// `suites passed: N/38, tests M/161`: a suite has passed when all its tests have.
fn suites_line(reports: &[Report]) -> String {
    let groups = groups(reports);
    let whole = groups
        .iter()
        .filter(|(_, group)| group.iter().all(|report| report.passed()))
        .count();
    format!(
        "suites passed: {whole}/{}, tests {}/{}",
        groups.len(),
        Counts::of(reports).passed,
        reports.len()
    )
}

/// For people: a line a file, what failed, and why what was skipped was.
pub(super) fn human(reports: &[Report], suites: bool, verbose: bool) {
    let paint = Paint::stdout();
    for (title, group) in groups(reports) {
        let counts = Counts::of(group.iter().copied());
        let mark = if counts.failed > 0 {
            paint.red("FAIL")
        } else if counts.passed == 0 {
            "skip".to_owned()
        } else {
            paint.green("ok  ")
        };
        say!("{mark} {title}: {}", counts.text());
        for report in group {
            let place = match report.line {
                0 => report.file.clone(),
                line => format!("{}:{line}", report.file),
            };
            match &report.skipped {
                Some(reason) if verbose => say!("     skip {}: {reason}", report.case),
                None if report.failed() => {
                    say!(
                        "     {} {} — {place} ({})",
                        paint.red("FAIL"),
                        paint.bold(&report.case),
                        report.driver
                    );
                    for difference in &report.differences {
                        explain(difference, paint);
                    }
                    warn(report);
                }
                None if verbose => {
                    say!("     {} {}", paint.green("ok  "), report.case);
                    warn(report);
                }
                _ => {}
            }
        }
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reports
        .iter()
        .filter_map(|report| report.skipped.as_deref())
    {
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        say!("skipped {count}: {reason}");
    }
    let counts = Counts::of(reports);
    let summary = counts.text();
    say!(
        "{}",
        if counts.failed == 0 {
            paint.green(&summary)
        } else {
            paint.red(&summary)
        }
    );
    if suites {
        say!("{}", suites_line(reports));
    }
}

/// What the filter did wrong without falling over it.
fn warn(report: &Report) {
    for warning in &report.warnings {
        say!("       warning: {warning}");
    }
}

/// One difference: on a line if it is short, line by line if it is text of several lines.
fn explain(difference: &Difference, paint: Paint) {
    let Difference {
        request,
        what,
        expected,
        found,
    } = difference;
    let place = if request.is_empty() {
        what.clone()
    } else {
        format!("{request}: {what}")
    };
    if expected.is_empty() && found.is_empty() {
        say!("       {place}");
        return;
    }
    if expected.contains('\n') && found.contains('\n') {
        say!("       {place}: (- expected, + found)");
        for change in TextDiff::from_lines(expected.as_str(), found.as_str()).iter_all_changes() {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Delete => say!("         {}", paint.red(&format!("-{line}"))),
                ChangeTag::Insert => say!("         {}", paint.green(&format!("+{line}"))),
                ChangeTag::Equal => say!("          {line}"),
            }
        }
        return;
    }
    say!("       {place}");
    say!("         expected {}", paint.green(expected));
    let found = found.replace('\n', "\n                  ");
    say!("         found    {}", paint.red(&found));
}

/// One JSON document.
pub(super) fn json(reports: &[Report], suites: bool) {
    let counts = Counts::of(reports);
    let cases: Vec<_> = reports
        .iter()
        .map(|report| {
            let differences: Vec<_> = report
                .differences
                .iter()
                .map(|difference| {
                    json!({ "request": difference.request, "what": difference.what,
                            "expected": difference.expected, "found": difference.found })
                })
                .collect();
            json!({ "file": report.file, "line": report.line, "case": report.case, "driver": report.driver,
                    "passed": report.passed(), "skipped": report.skipped, "differences": differences,
                    "warnings": report.warnings })
        })
        .collect();
    let mut document = json!({ "passed": counts.passed, "failed": counts.failed,
                               "skipped": counts.skipped, "cases": cases });
    if suites && let Some(object) = document.as_object_mut() {
        object.insert("summary".to_owned(), suites_line(reports).into());
    }
    say!("{document:#}");
}

/// A JUnit file: a suite for each file and driver.
pub(super) fn junit(reports: &[Report], path: &Path) -> Result<()> {
    let mut whole = quick_junit::Report::new("palisade test");
    for (title, group) in groups(reports) {
        let mut suite = TestSuite::new(title);
        for report in group {
            let status = if let Some(reason) = &report.skipped {
                let mut status = TestCaseStatus::skipped();
                status.set_message(reason.as_str());
                status
            } else if report.passed() {
                TestCaseStatus::success()
            } else {
                let lines: Vec<String> =
                    report.differences.iter().map(ToString::to_string).collect();
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(lines.first().map_or("", String::as_str));
                status.set_description(lines.join("\n"));
                status
            };
            let mut case = TestCase::new(report.case.as_str(), status);
            case.set_classname(format!("{}:{}", report.file, report.line));
            case.set_time(report.time);
            suite.add_test_case(case);
        }
        whole.add_test_suite(suite);
    }
    let text = whole.to_string().context("the JUnit report")?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
