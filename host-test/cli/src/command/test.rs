//! `palisade test`: scenario files and the portable suites.
//!
//! **Out:** exit code 0 if all that ran passed, 1 if something failed, 2 for usage and broken files; nothing selected is a broken use.

mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use palisade_cli::envoy::driver::InEnvoy;
use palisade_cli::envoy::server;
use palisade_cli::scenario::format::{Configuration, Limits, PolicySource, load_for_any};
use palisade_cli::scenario::harness::Harness;
use palisade_cli::scenario::native::Native;
use palisade_cli::scenario::{Difference, File, Report, load, report as play, unable};
use palisade_cli::suites::{self, Suite};
use palisade_host::{LoadOptions, Module};

use super::filter::{self, Filter, cache, module_path};

/// Test any filter with scenario files: what each case expected and what came, here or in a real Envoy.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Scenario files, or folders of them.
    #[arg(required_unless_present = "suites")]
    files: Vec<PathBuf>,
    /// What runs them.
    #[arg(long, value_enum, default_value = "harness")]
    driver: DriverName,
    /// The Envoy of `--driver envoy`; else `$ENVOY`, target/envoy, or the one in PATH.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Only cases whose `file/name` holds this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Run the portable suites in this file.
    #[arg(long, value_name = "FILE.json", conflicts_with = "files")]
    suites: Option<PathBuf>,
    /// Only suites of this plugin; a single module's are those of its name.
    #[arg(long, value_name = "NAME", requires = "suites")]
    suite: Option<String>,
    /// How many cases run at once.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Stop at the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// Print what would run, and run nothing.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print passed and skipped cases too.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    given: Filter,
}

/// A driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverName {
    /// The engine alone.
    Native,
    /// The filter in our host.
    Harness,
    /// The filter in a real Envoy.
    Envoy,
    /// All of them; Envoy where there is one.
    All,
}

/// One thing to run.
#[derive(Clone)]
enum Job {
    /// A case, by its place in its file.
    Case {
        file: Arc<File>,
        index: usize,
        driver: &'static str,
        skip: Option<String>,
        module: Option<Loaded>,
    },
    /// A test of a suite; without a module it is counted and not run.
    Suite {
        suite: Arc<Suite>,
        index: usize,
        module: Option<Module>,
    },
}

/// A module and where it is from.
#[derive(Clone)]
struct Loaded {
    path: PathBuf,
    module: Module,
}

impl Test {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let envoy = match self.driver {
            DriverName::Envoy => Some(server::find(self.envoy.as_deref())?),
            DriverName::All => server::find(self.envoy.as_deref()).ok(),
            DriverName::Native | DriverName::Harness => None,
        };
        let jobs = match &self.suites {
            Some(path) => self.suite_jobs(path)?,
            None => self.case_jobs(envoy.is_some())?,
        };
        if jobs.is_empty() {
            bail!(
                "no case is selected{}",
                if self.filter.is_empty() {
                    String::new()
                } else {
                    format!(": none has `{}` in its name", self.filter)
                }
            );
        }
        if self.list {
            for job in &jobs {
                say!("{}", job.title());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let reports = self.work(&jobs, envoy.as_deref());
        let suites = self.suites.is_some();
        if let Some(path) = &self.junit {
            report::junit(&reports, path)?;
        }
        if self.json {
            report::json(&reports, suites);
        } else {
            report::human(&reports, suites, self.verbose);
        }
        if reports.iter().all(|report| report.skipped.is_some()) {
            bail!("nothing was run: every case was skipped");
        }
        Ok(ExitCode::from(u8::from(reports.iter().any(Report::failed))))
    }

    /// The cases of the files on the drivers asked for.
    fn case_jobs(&self, has_envoy: bool) -> Result<Vec<Job>> {
        let paths = scenario_files(&self.files)?;
        let mut files = paths
            .iter()
            .map(|path| {
                if self.given.is_absent() {
                    load(path)
                } else {
                    load_for_any(path)
                }
            })
            .collect::<Result<Vec<_>>>()?;
        self.give(&mut files)?;
        let mut modules = BTreeMap::new();
        let mut jobs = Vec::new();
        let drivers: &[&'static str] = match self.driver {
            DriverName::Native => &["native"],
            DriverName::Harness => &["harness"],
            DriverName::Envoy => &["envoy"],
            DriverName::All => &["native", "harness", "envoy"],
        };
        for file in files {
            let file = Arc::new(file);
            for driver in drivers {
                for (index, case) in file.cases.iter().enumerate() {
                    let name = format!("{}/{}", file.path.display(), case.name);
                    if !name.contains(&self.filter) {
                        continue;
                    }
                    let mut skip = unable(&file, case, driver);
                    if *driver == "envoy" && !has_envoy {
                        skip = Some("there is no Envoy: see --driver envoy".to_owned());
                    }
                    let module = if *driver == "native" || skip.is_some() || self.list {
                        None
                    } else {
                        Some(self.module_of(&file, &mut modules)?)
                    };
                    jobs.push(Job::Case {
                        file: Arc::clone(&file),
                        index,
                        driver,
                        skip,
                        module,
                    });
                }
            }
        }
        Ok(jobs)
    }

    /// What the command line says of the filter goes before what files say.
    fn give(&self, files: &mut [File]) -> Result<()> {
        let mut env = self.given.named()?;
        let configuration = if self.given.is_configured() {
            let given = self.given.given()?;
            env.extend(given.environment);
            let text = String::from_utf8(given.configuration)
                .context("a configuration given to `palisade test` is text")?;
            Some(text)
        } else {
            None
        };
        for file in files {
            file.env.extend(env.iter().cloned());
            if let Some(text) = self.given.vm_config() {
                file.vm_configuration = Some(Configuration(text.into()));
            }
            if let Some(root) = &self.given.root_id {
                file.root_id.clone_from(root);
            }
            file.without_functions
                .extend(self.given.without_functions());
            if let Some(text) = &configuration {
                if self.given.policy.is_some() {
                    file.policy = Some(PolicySource::Inline(serde_json::from_str(text)?));
                    file.configuration = None;
                } else {
                    file.policy = None;
                    file.configuration = Some(Configuration(text.as_str().into()));
                }
            }
            for case in &mut file.cases {
                for (name, _) in &env {
                    case.env.remove(name);
                }
                if configuration.is_some() {
                    case.policy = None;
                    case.configuration = None;
                }
            }
        }
        Ok(())
    }

    /// The module that a file is run on: the command's, the file's own, or our filter.
    fn module_of(
        &self,
        file: &File,
        modules: &mut BTreeMap<(PathBuf, Option<u64>, Option<usize>), Loaded>,
    ) -> Result<Loaded> {
        let path = match (&self.given.module, file.module_path()) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => path,
            (None, None) => module_path(None)?,
        };
        let Limits { fuel, memory } = file.limits;
        let key = (path.clone(), fuel, memory);
        if let Some(loaded) = modules.get(&key) {
            return Ok(loaded.clone());
        }
        let mut options = LoadOptions {
            cache: cache(),
            ..LoadOptions::default()
        };
        if fuel.is_some() {
            options.limits.fuel = fuel;
        }
        if let Some(memory) = memory {
            options.limits.memory_bytes = memory;
        }
        let module = Module::from_file_with(&path, &options)
            .with_context(|| format!("{}: module {}", file.path.display(), path.display()))?;
        let loaded = Loaded { path, module };
        modules.insert(key, loaded.clone());
        Ok(loaded)
    }

    /// The tests of the portable suites.
    fn suite_jobs(&self, path: &Path) -> Result<Vec<Job>> {
        let Some(given) = &self.given.module else {
            bail!(
                "--suites needs --module: a module, or a folder with a `PLUGIN.wasm` for each suite"
            );
        };
        if self.given.is_configured() {
            bail!("each suite brings its own configuration: leave --policy and --config out");
        }
        let folder = given.is_dir();
        let stem = given
            .file_stem()
            .map(|stem| stem.to_string_lossy().replace('-', "_"))
            .unwrap_or_default();
        let all = suites::load(path)?;
        let plugin = match (&self.suite, folder) {
            (Some(name), _) => Some(name.clone()),
            (None, true) => None,
            (None, false) => Some(stem),
        };
        let chosen: Vec<Suite> = all
            .iter()
            .filter(|suite| plugin.as_ref().is_none_or(|plugin| suite.plugin == *plugin))
            .cloned()
            .collect();
        if chosen.is_empty() {
            let mut names: Vec<&str> = all.iter().map(|suite| suite.plugin.as_str()).collect();
            names.dedup();
            bail!(
                "no suite is called `{}`; name one with --suite: {}",
                plugin.unwrap_or_default(),
                names.join(", ")
            );
        }
        let mut modules: BTreeMap<PathBuf, Module> = BTreeMap::new();
        let mut jobs = Vec::new();
        for suite in chosen {
            let file = if folder {
                suite.module_in(given)
            } else {
                Some(given.clone())
            };
            let module = match file {
                None => None,
                Some(file) => Some(match modules.get(&file) {
                    Some(module) => module.clone(),
                    None => {
                        let module = filter::load(&file, palisade_host::Limits::default())?;
                        modules.insert(file, module.clone());
                        module
                    }
                }),
            };
            let suite = Arc::new(suite);
            for (index, test) in suite.tests.iter().enumerate() {
                if format!("{}/{}", suite.title(), test.name).contains(&self.filter) {
                    jobs.push(Job::Suite {
                        suite: Arc::clone(&suite),
                        index,
                        module: module.clone(),
                    });
                }
            }
        }
        Ok(jobs)
    }

    /// Runs the jobs, several at once; reports come in the order of the jobs.
    fn work(&self, jobs: &[Job], envoy: Option<&Path>) -> Vec<Report> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.jobs.unwrap_or(cores).clamp(1, jobs.len().max(1));
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let done: Mutex<BTreeMap<usize, Report>> = Mutex::new(BTreeMap::new());
        // Drawn on a terminal only.
        let bar = if self.json {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(jobs.len() as u64)
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(index) else { return };
                        bar.set_message(job.title());
                        let report = job.run(envoy);
                        if self.fail_fast && report.failed() {
                            stop.store(true, Ordering::Relaxed);
                        }
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(index, report);
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.into_values().collect()
    }
}

impl Job {
    fn title(&self) -> String {
        match self {
            Self::Case {
                file,
                index,
                driver,
                skip,
                ..
            } => {
                let name = file.cases.get(*index).map_or("", |case| case.name.as_str());
                let skip = skip
                    .as_ref()
                    .map_or_else(String::new, |reason| format!(" (skipped: {reason})"));
                format!("{}/{name} ({driver}){skip}", file.path.display())
            }
            Self::Suite {
                suite,
                index,
                module,
            } => {
                let name = suite.tests.get(*index).map_or("", |test| &test.name);
                let missing = if module.is_none() { " (no module)" } else { "" };
                format!("{}/{name}{missing}", suite.title())
            }
        }
    }

    fn run(&self, envoy: Option<&Path>) -> Report {
        match self {
            Self::Case {
                file,
                index,
                driver,
                skip,
                module,
            } => {
                let Some(case) = file.cases.get(*index) else {
                    return Report::default();
                };
                if let Some(reason) = skip {
                    return Report {
                        file: file.path.display().to_string(),
                        line: file.line_of(case),
                        case: case.name.clone(),
                        driver,
                        skipped: Some(reason.clone()),
                        ..Report::default()
                    };
                }
                match (*driver, module) {
                    ("harness", Some(loaded)) => {
                        play(file, case, &mut Harness::new(loaded.module.clone()))
                    }
                    ("envoy", Some(loaded)) => {
                        let mut driver = InEnvoy {
                            binary: envoy.map(Path::to_owned),
                            module: Some(loaded.path.clone()),
                        };
                        // Tokens of a case are minted for its clock: Envoy's is the real one.
                        let mut file = File::clone(file);
                        file.wall = SystemTime::now()
                            .duration_since(UNIX_EPOCH)
                            .map_or(file.wall, |since| since.as_secs());
                        play(&file, case, &mut driver)
                    }
                    _ => play(file, case, &mut Native),
                }
            }
            Self::Suite {
                suite,
                index,
                module,
            } => {
                let started = Instant::now();
                let mut report = Report {
                    file: suite.title(),
                    driver: "suites",
                    ..Report::default()
                };
                let Some(test) = suite.tests.get(*index) else {
                    return report;
                };
                report.case.clone_from(&test.name);
                match module {
                    None => report.skipped = Some("no module".to_owned()),
                    Some(module) => {
                        report.differences = suites::run(suite, test, module)
                            .iter()
                            .map(|line| Difference::new(line, "", ""))
                            .collect();
                    }
                }
                report.time = started.elapsed();
                report
            }
        }
    }
}

/// The files named, and the `.yaml` and `.yml` files of the folders named, their folders too.
fn scenario_files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = std::fs::read_dir(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        found.sort();
        let folders: Vec<PathBuf> = found.iter().filter(|path| path.is_dir()).cloned().collect();
        found.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
        });
        files.extend(found);
        files.extend(scenario_files(&folders)?);
    }
    Ok(files)
}
