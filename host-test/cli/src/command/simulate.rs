//! `palisade simulate`: races on purpose, found by seed, shortened and replayed.
//!
//! **In:** a filter, traffic, what is to go wrong, a property. **Out:** clean, or the seed that breaks the property with its shortest schedule.
//! **Invariant:** exit code 0 when every seed is clean, 1 when one is not, 2 for usage and I/O; a seed always says the same.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use palisade_host::simulate::{
    Action, Control, Event, Failure, Property, Report, Run, Schedule, Simulation, Traffic,
    Violation,
};
use palisade_host::{Limits, Request};
use serde_json::{Value, json};

use super::Paint;
use super::filter::{Filter, header};
use super::simulate_input::{failure, rate, scenario_traffic, span};
use super::simulate_trace::{self, Held};

/// Race any filter: workers over one store, interleaved by seeds; the seed that breaks a property, and how to replay it.
///
/// Of every seed it must hold: no trap, one answer for each request, no stream left held, and --limit if given. The first
/// seed that breaks one is shown with the shortest schedule that still does, and how to run it again.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    #[command(flatten)]
    filter: Filter,

    /// VMs over one store.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// How many seeds: 0, 1, 2, ….
    #[arg(long, default_value_t = 1000, value_name = "N")]
    seeds: u64,
    /// This seed alone.
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// With --seed: who runs when, instead of what the seed draws.
    #[arg(
        long,
        requires = "seed",
        value_name = "SCHEDULE",
        allow_hyphen_values = true
    )]
    schedule: Option<Schedule>,
    /// With --seed: print everything that happens.
    #[arg(long, requires = "seed")]
    trace: bool,

    /// Requests of one run; absent: 100, or those of the traffic file once.
    #[arg(long, value_name = "N", help_heading = "Traffic", value_parser = many)]
    requests: Option<usize>,
    /// Clients that send them, in turn.
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Traffic")]
    clients: usize,
    /// What they ask for.
    #[arg(
        long,
        default_value = "/",
        value_name = "TARGET",
        help_heading = "Traffic"
    )]
    path: String,
    /// Method.
    #[arg(long, short = 'X', default_value = "GET", help_heading = "Traffic")]
    method: String,
    /// A header on each.
    #[arg(
        long = "header",
        short = 'H',
        value_name = "NAME: VALUE",
        help_heading = "Traffic"
    )]
    headers: Vec<String>,
    /// Requests of a scenario file instead; their expectations are not looked at.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clients", "path", "method", "headers"], help_heading = "Traffic")]
    traffic: Option<PathBuf>,
    /// Requests of a trace instead, once and at its times: lines `SECONDS CLIENT METHOD TARGET [STATUS]`.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["seeds", "seed", "requests", "clients", "path", "method", "headers", "traffic", "skew", "step", "faults", "fail", "crash", "restart", "at_least"],
        help_heading = "Traffic"
    )]
    replay: Option<PathBuf>,
    /// With --replay: a picture of what was admitted and refused over time.
    #[arg(
        long,
        requires = "replay",
        value_name = "OUT.svg",
        help_heading = "Traffic"
    )]
    svg: Option<PathBuf>,
    /// Which case of the file; absent: the first.
    #[arg(
        long,
        requires = "traffic",
        value_name = "NAME",
        help_heading = "Traffic"
    )]
    case: Option<String>,

    /// At most so many requests of each client reach the upstream.
    #[arg(long, value_name = "L", help_heading = "Property")]
    limit: Option<u64>,
    /// In any span of this length, instead of in the whole run.
    #[arg(long, requires = "limit", value_name = "SPAN", value_parser = span, help_heading = "Property")]
    per: Option<Duration>,
    /// And no fewer, if so many were sent.
    #[arg(
        long,
        requires = "limit",
        conflicts_with = "per",
        help_heading = "Property"
    )]
    at_least: bool,

    /// The workers' clocks differ: each is off by up to this, such as 2s.
    #[arg(long, default_value = "0s", value_name = "SPAN", value_parser = span, help_heading = "What goes wrong")]
    skew: Duration,
    /// Time passes before each request: up to twice this.
    #[arg(long, default_value = "1ms", value_name = "SPAN", value_parser = span, help_heading = "What goes wrong")]
    step: Duration,
    /// Any hostcall of a request fails with this probability, with any error.
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "What goes wrong")]
    faults: Option<f64>,
    /// A hostcall that fails with a status (name or number), always or with a probability.
    #[arg(long, value_name = "HOSTCALL=STATUS[@RATE]", value_parser = failure, help_heading = "What goes wrong")]
    fail: Vec<Failure>,
    /// A VM dies in any hostcall of a request with this probability; the store survives.
    #[arg(long, default_value_t = 0.0, value_name = "RATE", value_parser = rate, help_heading = "What goes wrong")]
    crash: f64,
    /// A VM is replaced before a request with this probability; the store survives.
    #[arg(long, default_value_t = 0.0, value_name = "RATE", value_parser = rate, help_heading = "What goes wrong")]
    restart: f64,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Simulate {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (simulation, traffic) = self.prepare()?;
        let mut properties = Property::sane();
        if let Some(limit) = self.limit {
            properties.push(match self.per {
                Some(span) => Property::at_most_in(limit, span),
                None => Property::at_most(limit),
            });
            if self.at_least {
                properties.push(Property::at_least(limit));
            }
        }
        simulation.check()?;
        if let Some(trace) = &self.replay {
            return simulate_trace::run(&simulation, trace, &self.held());
        }
        match self.seed {
            Some(seed) => Ok(self.one(&simulation, seed, &traffic, &properties)),
            None => self.many(&simulation, &traffic, &properties),
        }
    }

    fn held(&self) -> Held {
        Held {
            limit: self.limit,
            span: self.per,
            json: self.json,
            picture: self.svg.clone(),
        }
    }

    fn prepare(&self) -> Result<(Simulation, Traffic)> {
        let module = self.filter.load(Limits::default())?;
        for failure in &self.fail {
            if let Some(hostcall) = &failure.hostcall
                && !module.imports_function(hostcall)
            {
                bail!("--fail: the filter has no hostcall `{hostcall}`");
            }
        }
        let mut failures = self.fail.clone();
        failures.extend(self.faults.map(|rate| Failure {
            hostcall: None,
            status: None,
            rate,
        }));
        let mut simulation = Simulation {
            workers: usize::from(self.workers),
            root_id: self.filter.root_id(),
            without_functions: self.filter.without_functions(),
            plugin_name: "simulated".to_owned(),
            vm_id: "simulated".to_owned(),
            vm_configuration: self.filter.vm_configuration(),
            // As every configuration of ours has it; without it a body never comes to a filter that waits for one.
            allow_on_headers_stop_iteration: true,
            skew: self.skew,
            step: self.step,
            failures,
            restart_rate: self.restart,
            crash_rate: self.crash,
            ..Simulation::new(module)
        };
        let mut traffic = match &self.traffic {
            Some(path) => scenario_traffic(path, self.case.as_deref(), &mut simulation)?,
            None => {
                let mut request = Request::new(&self.method, &self.path);
                for line in &self.headers {
                    let (name, value) = header(line)?;
                    request = request.header(name, value);
                }
                Traffic::race_of(&request, self.requests.unwrap_or(100), self.clients)
            }
        };
        if let Some(count) = self.requests {
            traffic.requests = traffic.requests.into_iter().cycle().take(count).collect();
        }
        if self.filter.is_configured() || self.traffic.is_none() {
            let given = self.filter.given()?;
            simulation.plugin_configuration = given.configuration;
            simulation.environment = given.environment;
        } else {
            for (name, value) in self.filter.named()? {
                simulation.environment.retain(|(held, _)| *held != name);
                simulation.environment.push((name, value));
            }
        }
        Ok((simulation, traffic))
    }

    fn many(
        &self,
        simulation: &Simulation,
        traffic: &Traffic,
        properties: &[Property],
    ) -> Result<ExitCode> {
        let control = Arc::new(Control::new());
        stop_on_interrupt(Arc::clone(&control))?;
        let bar = ProgressBar::new(self.seeds).with_style(
            // Drawn on a terminal only.
            ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let report = std::thread::scope(|scope| {
            let run = scope
                .spawn(|| simulation.run_controlled(0..self.seeds, traffic, properties, &control));
            while !run.is_finished() {
                bar.set_position(control.done());
                std::thread::sleep(Duration::from_millis(20));
            }
            run.join()
        });
        bar.finish_and_clear();
        let report = report.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if self.json {
            say!("{:#}", self.json_of(&report));
        } else {
            self.print(&report, properties);
        }
        Ok(ExitCode::from(u8::from(report.violation.is_some())))
    }

    fn one(
        &self,
        simulation: &Simulation,
        seed: u64,
        traffic: &Traffic,
        properties: &[Property],
    ) -> ExitCode {
        let run = match &self.schedule {
            Some(schedule) => simulation.replay(seed, traffic, schedule),
            None => simulation.record(seed, traffic),
        };
        let broken: Vec<(&str, String)> = properties
            .iter()
            .filter_map(|property| Some((property.name(), property.breaks(&run)?)))
            .collect();
        if self.json {
            let mut shown = run_json(&run);
            if let Some(object) = shown.as_object_mut() {
                let violations: Vec<Value> = broken
                    .iter()
                    .map(|(property, what)| json!({ "property": property, "what": what }))
                    .collect();
                object.insert("violations".to_owned(), Value::from(violations));
                if self.trace {
                    object.insert("events".to_owned(), events_json(&run.events));
                }
            }
            say!("{shown:#}");
        } else {
            if self.trace {
                for event in &run.events {
                    say!("{event}");
                }
            }
            self.print_one(&run, &broken);
        }
        ExitCode::from(u8::from(!broken.is_empty()))
    }

    fn print_one(&self, run: &Run, broken: &[(&str, String)]) {
        let paint = Paint::stdout();
        say!(
            "seed {} ({}): {} requests, {} admitted, {} interruptions, fingerprint {:016x}",
            run.seed,
            run.strategy,
            run.answers.len(),
            run.admitted().values().sum::<u64>(),
            run.schedule.interruptions(),
            run.fingerprint
        );
        for (property, what) in broken {
            say!("{} {}: {what}", paint.red("FAIL"), paint.bold(property));
        }
        if broken.is_empty() {
            say!("{}", paint.green("clean"));
        } else if !self.trace {
            say!("all that happened: {}", again(run.seed, &["--trace"]));
        }
    }

    fn print(&self, report: &Report, properties: &[Property]) {
        let paint = Paint::stdout();
        let (least, most) = report.admitted.unwrap_or_default();
        let seconds = report.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = report.seeds as f64 / seconds.max(1e-9);
        let admitted = if least == most {
            format!("{least}")
        } else {
            format!("{least} to {most}")
        };
        let mut wrong = String::new();
        if report.injected > 0 {
            wrong.push_str(&format!(", {} hostcalls failed", report.injected));
        }
        if report.restarts > 0 {
            wrong.push_str(&format!(", {} VMs replaced", report.restarts));
        }
        say!(
            "{} seeds, {} workers, {} requests ({admitted} admitted a seed), {} switches at {} points{wrong}; {seconds:.1} s, {rate:.0} seeds/s",
            report.seeds,
            self.workers,
            report.requests,
            report.switches,
            report.steps,
        );
        if let Some(violation) = &report.violation {
            print_violation(violation, paint);
            return;
        }
        for property in properties {
            say!("  {} {}", paint.green("ok"), property.name());
        }
        if report.stopped {
            say!("stopped after {} of {} seeds", report.seeds, self.seeds);
        }
    }

    fn json_of(&self, report: &Report) -> Value {
        let violation = report.violation.as_ref().map(|violation| {
            json!({
                "property": violation.property,
                "what": violation.what,
                "run": run_json(&violation.run),
                "shortest": run_json(&violation.shortest),
                "events": events_json(&violation.shortest.events),
                "replay": again(violation.run.seed, &["--trace"]),
            })
        });
        let (least, most) = report.admitted.unwrap_or_default();
        json!({
            "seeds": report.seeds, "workers": self.workers, "requests": report.requests,
            "admitted": { "least": least, "most": most },
            "points": report.steps, "switches": report.switches,
            "injected": report.injected, "restarts": report.restarts,
            "seconds": report.elapsed.as_secs_f64(), "stopped": report.stopped, "violation": violation,
        })
    }
}

fn print_violation(violation: &Violation, paint: Paint) {
    let Violation {
        property,
        what,
        run,
        shortest,
    } = violation;
    say!("{} {}: {what}", paint.red("FAIL"), paint.bold(property));
    say!(
        "  seed {} ({}), {} interruptions; the shortest schedule found has {}:",
        run.seed,
        run.strategy,
        run.schedule.interruptions(),
        shortest.schedule.interruptions()
    );
    for line in story(&shortest.events) {
        say!("    {line}");
    }
    let admitted: u64 = shortest.admitted().values().sum();
    say!(
        "    in all {admitted} of {} requests admitted",
        shortest.answers.len()
    );
    say!("  again: {}", again(run.seed, &["--trace"]));
    let schedule = shortest.schedule.to_string();
    say!(
        "  the short one: {}",
        again(run.seed, &["--schedule", &schedule, "--trace"])
    );
}

/// Events worker by worker; of a long turn its beginning, its end, and what was made to go wrong.
fn story(events: &[Event]) -> Vec<String> {
    const HEAD: usize = 1;
    const TAIL: usize = 3;
    let mut lines = Vec::new();
    for turn in events.chunk_by(|left, right| left.worker == right.worker) {
        if !lines.is_empty() {
            lines.push("--".to_owned());
        }
        let mut hidden = 0;
        for (at, event) in turn.iter().enumerate() {
            let ends = at < HEAD || at + TAIL >= turn.len();
            if !ends && !is_notable(event) {
                hidden += 1;
                continue;
            }
            if hidden > 0 {
                lines.push(format!("worker {}  … {hidden} more …", event.worker));
                hidden = 0;
            }
            lines.push(event.to_string());
        }
    }
    lines
}

const fn is_notable(event: &Event) -> bool {
    matches!(
        event.action,
        Action::Call { injected: true, .. }
            | Action::Crash { .. }
            | Action::Answer { status: 0, .. }
    )
}

/// The command line of this process for one seed; values of variables may be secrets and are left out.
fn again(seed: u64, more: &[&str]) -> String {
    let mut words = vec!["palisade".to_owned()];
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        let own = ["--seeds", "--seed", "--schedule"];
        if word == "--env" {
            let variable = given.next().unwrap_or_default();
            let name = variable.split_once('=').map_or("", |(name, _)| name);
            words.extend([word, format!("{name}=...")]);
        } else if let Some((name, _)) = word
            .strip_prefix("--env=")
            .and_then(|it| it.split_once('='))
        {
            words.push(format!("--env={name}=..."));
        } else if own.contains(&word.as_str()) {
            given.next();
        } else if !own.iter().any(|own| word.starts_with(&format!("{own}=")))
            && !["--trace", "--json"].contains(&word.as_str())
        {
            words.push(word);
        }
    }
    words.extend(["--seed".to_owned(), seed.to_string()]);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    let words = words.iter().map(String::as_str);
    // Only a NUL cannot be quoted, and no argument holds one.
    shlex::try_join(words).unwrap_or_default()
}

fn run_json(run: &Run) -> Value {
    json!({
        "seed": run.seed, "strategy": run.strategy.to_string(), "admitted": run.admitted(),
        "requests": run.answers.len(), "faults": run.faults, "held": run.held, "injected": run.injected, "restarts": run.restarts,
        "interruptions": run.schedule.interruptions(), "schedule": run.schedule.to_string(),
        "fingerprint": format!("{:016x}", run.fingerprint),
    })
}

fn events_json(events: &[Event]) -> Value {
    events
        .iter()
        .map(|event| json!({ "worker": event.worker, "what": event.action.to_string().trim() }))
        .collect()
}

/// Ctrl-C ends the run after the seeds that are running; what was done is printed. A second one ends the process.
fn stop_on_interrupt(control: Arc<Control>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                control.stop();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
    });
    Ok(())
}

/// Requests of one run.
fn many(text: &str) -> Result<usize, String> {
    const MOST: usize = 100_000;
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| format!("`{text}` is no number from 0 to {MOST}"))
}
