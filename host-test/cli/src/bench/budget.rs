//! Budgets: what a filter may cost, in a file that CI enforces.
//!
//! **In:** a YAML file, measured cases. **Out:** a row for each number; a row over its budget fails the run.
//! **Invariant:** only fuel, hostcalls and the module's size are gated, never a time: the same input gives the same row everywhere. A case
//! without a budget, and a budget without its case, are failures, so neither can go unseen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::measure::CaseCost;

/// Fuel left above a stage at least: some take a hundred units, and a per cent of that is one instruction.
const STAGE_SLACK: u64 = 250;

/// A budget file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// What the file is about.
    #[serde(default)]
    pub about: String,
    /// Scenario files, relative to this one, whose cases marked `bench: true` are measured besides the mix.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Per cent that `--update-budgets` leaves above what it measured, for fuel and size.
    #[serde(default)]
    pub slack_percent: u64,
    /// Size of the module.
    #[serde(default)]
    pub module_bytes: Option<u64>,
    /// By case.
    #[serde(default)]
    pub cases: BTreeMap<String, CaseBudget>,
}

/// What a case may cost.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseBudget {
    /// Fuel of all callbacks.
    pub fuel: u64,
    /// Hostcalls of all callbacks.
    pub hostcalls: u64,
    /// Those that return data in the guest's memory.
    pub returning: u64,
    /// Fuel of the steps of our filter's decision, so that a row over its budget names the stage that grew.
    #[serde(default)]
    pub stages: BTreeMap<String, u64>,
}

/// One number beside its budget.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Case and number.
    pub name: String,
    /// What it may be; absent: the file says nothing of it.
    pub budget: Option<u64>,
    /// What it is; absent: it was not measured.
    pub got: Option<u64>,
}

impl Row {
    /// Whether it fails the run.
    #[must_use]
    pub fn fails(&self) -> bool {
        match (self.budget, self.got) {
            (Some(budget), Some(got)) => got > budget,
            _ => true,
        }
    }

    /// What is used of the budget, in per cent.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let (budget, got) = (self.budget?, self.got?);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a percentage for the eye; counts stay far below 2^52"
        )]
        let percent = got as f64 * 100.0 / budget.max(1) as f64;
        Some(percent)
    }
}

impl Budgets {
    /// Reads a budget file.
    ///
    /// # Errors
    /// It cannot be read, or is not of the format.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_saphyr::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    }

    /// Every number beside its budget, in the order measured; budgets nobody measured are last.
    #[must_use]
    pub fn rows(&self, module_bytes: u64, costs: &[CaseCost]) -> Vec<Row> {
        let mut rows = vec![Row {
            name: "module bytes".to_owned(),
            budget: self.module_bytes,
            got: Some(module_bytes),
        }];
        for cost in costs {
            let budget = self.cases.get(&cost.name);
            for (what, budget, got) in [
                ("fuel", budget.map(|budget| budget.fuel), cost.fuel),
                (
                    "hostcalls",
                    budget.map(|budget| budget.hostcalls),
                    cost.hostcalls,
                ),
                (
                    "hostcalls that return data",
                    budget.map(|budget| budget.returning),
                    cost.returning,
                ),
            ] {
                rows.push(Row {
                    name: format!("{}: {what}", cost.name),
                    budget,
                    got: Some(got),
                });
            }
            let none = BTreeMap::new();
            let stages = budget.map_or(&none, |budget| &budget.stages);
            for stage in &cost.stages {
                rows.push(Row {
                    name: format!("{}: {} fuel", cost.name, stage.name),
                    budget: stages.get(&stage.name).copied(),
                    got: Some(stage.fuel),
                });
            }
            for (name, budget) in stages {
                if !cost.stages.iter().any(|stage| stage.name == *name) {
                    rows.push(Row {
                        name: format!("{}: {name} fuel", cost.name),
                        budget: Some(*budget),
                        got: None,
                    });
                }
            }
        }
        for (name, budget) in &self.cases {
            if !costs.iter().any(|cost| cost.name == *name) {
                rows.push(Row {
                    name: format!("{name}: fuel"),
                    budget: Some(budget.fuel),
                    got: None,
                });
            }
        }
        rows
    }

    /// The file with budgets from what was measured: exact hostcalls; fuel and size with the slack.
    #[must_use]
    pub fn updated(&self, module_bytes: u64, costs: &[CaseCost]) -> String {
        let slack = |got: u64| got + (got * self.slack_percent).div_ceil(100);
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut out = String::from(
            "# Written by `palisade bench --budgets THIS --update-budgets`; a raise needs its reason in the commit.\n",
        );
        if !self.about.is_empty() {
            let _ = writeln!(out, "about: {}", quoted(&self.about));
        }
        if !self.files.is_empty() {
            out.push_str("files:\n");
            for file in &self.files {
                let _ = writeln!(out, "  - {}", quoted(&file.display().to_string()));
            }
        }
        let _ = writeln!(out, "slack_percent: {}", self.slack_percent);
        let _ = writeln!(out, "module_bytes: {}", slack(module_bytes));
        out.push_str("cases:\n");
        for cost in costs {
            let _ = writeln!(out, "  {}:", quoted(&cost.name));
            let _ = writeln!(out, "    fuel: {}", slack(cost.fuel));
            let _ = writeln!(out, "    hostcalls: {}", cost.hostcalls);
            let _ = writeln!(out, "    returning: {}", cost.returning);
            if !cost.stages.is_empty() {
                let stages: Vec<String> = cost
                    .stages
                    .iter()
                    .map(|stage| {
                        let budget = slack(stage.fuel).max(stage.fuel + STAGE_SLACK);
                        format!("{}: {budget}", quoted(&stage.name))
                    })
                    .collect();
                let _ = writeln!(out, "    stages: {{ {} }}", stages.join(", "));
            }
        }
        out
    }
}
