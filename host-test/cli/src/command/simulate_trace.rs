//! `palisade simulate --replay`: the requests of a trace at the times they came, through workers over one store.
//!
//! **In:** lines `SECONDS CLIENT METHOD TARGET [STATUS]`, as an access log can be told to write. **Out:** what became of each request,
//! judged by the property of `--limit`, and a picture of it.
//! **Invariant:** the clock is the trace's; the same trace always gives the same answers. Requests go to the workers in turn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use palisade_host::simulate::Simulation;
use palisade_host::{Clock, LogLevel, Request, Response, Shared, Vm, VmConfig};
use serde_json::json;

use super::{Paint, simulate_svg};

/// Requests of a trace at most.
const MOST: usize = 10_000_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at_ms: u64,
    pub(super) client: String,
    method: String,
    target: String,
    /// What the upstream answers if it gets there.
    status: u16,
}

/// One request, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) at_ms: u64,
    /// Index into [`Replay::clients`].
    pub(super) client: usize,
    pub(super) admitted: bool,
}

/// A trace, decided.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) clients: Vec<String>,
    pub(super) decided: Vec<Decided>,
    /// Refusals by their details.
    pub(super) reasons: BTreeMap<String, u64>,
}

/// What a trace is held to, and how it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Admissions of one client at most.
    pub(super) limit: Option<u64>,
    /// In any span of this length; absent: in all.
    pub(super) span: Option<Duration>,
    pub(super) json: bool,
    pub(super) picture: Option<PathBuf>,
}

/// Plays a trace and tells what came of it.
pub(super) fn run(simulation: &Simulation, trace: &Path, held: &Held) -> Result<ExitCode> {
    let replay = play(simulation, &read(trace)?)?;
    if let Some(out) = &held.picture {
        std::fs::write(out, simulate_svg::draw(&replay, held))
            .with_context(|| format!("--svg: cannot write {}", out.display()))?;
    }
    let worst = replay
        .admitted()
        .iter()
        .map(|times| most_within(times, held.span))
        .zip(&replay.clients)
        .max_by_key(|((most, _), _)| *most);
    let ((most, until_ms), client) = worst.map_or(((0, 0), ""), |(most, name)| (most, name));
    let broken = held.limit.is_some_and(|limit| most > limit);
    if held.json {
        say!(
            "{:#}",
            json!({
                "requests": replay.decided.len(), "clients": replay.clients.len(), "length_ms": replay.length_ms(),
                "admitted": replay.passed(), "refused": replay.reasons,
                "most": { "client": client, "admitted": most, "until_ms": until_ms }, "ok": !broken,
            })
        );
        return Ok(ExitCode::from(u8::from(broken)));
    }
    let paint = Paint::stdout();
    say!(
        "{} requests of {} clients in {:?}, {} workers: {} admitted",
        replay.decided.len(),
        replay.clients.len(),
        Duration::from_millis(replay.length_ms()),
        simulation.workers,
        replay.passed()
    );
    for (reason, count) in &replay.reasons {
        say!("  {count} refused: {reason}");
    }
    let span = held
        .span
        .map_or_else(String::new, |span| format!(" in any {span:?}"));
    let verdict = match held.limit {
        Some(limit) if broken => format!(" {} (limit {limit})", paint.red("FAIL")),
        Some(limit) => format!(" {} (limit {limit})", paint.green("ok")),
        None => String::new(),
    };
    say!("  the most of one client{span}: {most}, of {client}{verdict}");
    Ok(ExitCode::from(u8::from(broken)))
}

/// Reads a trace: times ascend; lines that are empty or begin with `#` say nothing.
pub(super) fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--replay: cannot read {}", path.display()))?;
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = || format!("{}:{}", path.display(), number + 1);
        let read = parse(line).with_context(|| {
            format!(
                "{}: `{line}` is no request; write such as `12.250 203.0.113.7 GET /path 200`",
                place()
            )
        })?;
        let last = lines.last().map_or(0, |last| last.at_ms);
        ensure!(
            read.at_ms >= last,
            "{}: earlier than the line before",
            place()
        );
        ensure!(lines.len() < MOST, "{}: more than {MOST} requests", place());
        lines.push(read);
    }
    ensure!(!lines.is_empty(), "{}: no requests", path.display());
    Ok(lines)
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_ascii_whitespace();
    let at_ms = milliseconds(words.next()?)?;
    let (client, method, target) = (words.next()?, words.next()?, words.next()?);
    let status = words.next().map_or(Some(200), |word| word.parse().ok())?;
    let address: std::net::IpAddr = client.parse().ok()?;
    (words.next().is_none() && target.starts_with('/')).then(|| Line {
        at_ms,
        client: address.to_string(),
        method: method.to_owned(),
        target: target.to_owned(),
        status,
    })
}

/// Seconds with up to three decimals; more are cut.
fn milliseconds(word: &str) -> Option<u64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let seconds: u64 = whole.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

/// Plays the lines; times count from the first.
pub(super) fn play(simulation: &Simulation, lines: &[Line]) -> Result<Replay> {
    let clock = Clock::virtual_at(simulation.wall);
    // As in a race: a guest can look back an hour.
    clock.set_monotonic(Duration::from_secs(3600));
    let shared = Shared::new();
    let mut vms = Vec::new();
    for number in 0..simulation.workers.max(1) {
        let config = VmConfig {
            root_id: simulation.root_id.clone(),
            without_functions: simulation.without_functions.clone(),
            plugin_name: simulation.plugin_name.clone(),
            vm_id: simulation.vm_id.clone(),
            vm_configuration: simulation.vm_configuration.clone(),
            plugin_configuration: simulation.plugin_configuration.clone(),
            environment: simulation.environment.clone(),
            shared: shared.clone(),
            clock: clock.clone(),
            log_level: LogLevel::Warn,
            allow_on_headers_stop_iteration: simulation.allow_on_headers_stop_iteration,
            seed: u64::try_from(number).ok(),
            trace: false,
            ..VmConfig::default()
        };
        let vm = Vm::start(&simulation.module, config)?;
        let period = vm.tick_period();
        vms.push((vm, period, period));
    }
    let mut replay = Replay::default();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let first = lines.first().map_or(0, |line| line.at_ms);
    let mut passed = Duration::ZERO;
    for (number, line) in lines.iter().enumerate() {
        let at = Duration::from_millis(line.at_ms - first);
        // Ticks that fall due until then, in the order of their times.
        while let Some(due) = vms
            .iter()
            .filter_map(|(_, _, due)| *due)
            .min()
            .filter(|due| *due <= at)
        {
            clock.advance(due.saturating_sub(passed));
            passed = passed.max(due);
            for (vm, period, next) in &mut vms {
                if *next == Some(due) {
                    vm.tick()?;
                    *next = period.map(|period| due + period.max(Duration::from_millis(1)));
                }
            }
        }
        clock.advance(at.saturating_sub(passed));
        passed = passed.max(at);
        let client = *known.entry(&line.client).or_insert_with(|| {
            replay.clients.push(line.client.clone());
            replay.clients.len() - 1
        });
        let request = Request::new(&line.method, &line.target)
            .from_address(std::net::SocketAddr::new(line.client.parse()?, 40_000).to_string());
        let workers = vms.len();
        let Some((vm, _, _)) = vms.get_mut(number % workers) else {
            continue;
        };
        let mut admitted = false;
        let outcome = vm.exchange(&request, |_| {
            admitted = true;
            Response::new(line.status, "")
        })?;
        if !admitted {
            let details = outcome.local_reply.map(|reply| reply.details);
            let reason = details.filter(|details| !details.is_empty());
            let reason = reason.unwrap_or_else(|| format!("status {}", outcome.status));
            *replay.reasons.entry(reason).or_default() += 1;
        }
        replay.decided.push(Decided {
            at_ms: line.at_ms - first,
            client,
            admitted,
        });
    }
    Ok(replay)
}

impl Replay {
    /// Times of what was admitted, for each client.
    pub(super) fn admitted(&self) -> Vec<Vec<u64>> {
        let mut times = vec![Vec::new(); self.clients.len()];
        for decided in self.decided.iter().filter(|decided| decided.admitted) {
            if let Some(of) = times.get_mut(decided.client) {
                of.push(decided.at_ms);
            }
        }
        times
    }

    /// The client with the most requests.
    pub(super) fn busiest(&self) -> usize {
        let mut counts = vec![0_u64; self.clients.len()];
        for decided in &self.decided {
            if let Some(count) = counts.get_mut(decided.client) {
                *count += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        counts.iter().position(|count| *count == most).unwrap_or(0)
    }

    pub(super) fn passed(&self) -> usize {
        self.decided.iter().filter(|one| one.admitted).count()
    }

    pub(super) fn length_ms(&self) -> u64 {
        self.decided.last().map_or(0, |last| last.at_ms)
    }
}

/// The most of `times` (ascending) in any span of that length, and when it ended; without one, all.
pub(super) fn most_within(times: &[u64], span: Option<Duration>) -> (u64, u64) {
    let window = span.map_or(u64::MAX, |span| {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    });
    let mut most = (0, 0);
    for (at, time) in times.iter().enumerate() {
        let held = times
            .iter()
            .take(at + 1)
            .rev()
            .take_while(|other| *time - **other < window)
            .count();
        let held = u64::try_from(held).unwrap_or(u64::MAX);
        if held > most.0 {
            most = (held, *time);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused() {
        let line = parse("12.25 203.0.113.7 POST /login 401").unwrap();
        assert_eq!((line.at_ms, line.status), (12_250, 401));
        assert_eq!(parse("0 2001:DB8::1 GET /").unwrap().client, "2001:db8::1");
        for bad in [
            "",
            "12",
            "-1 203.0.113.7 GET /",
            "1 somebody GET /",
            "1 203.0.113.7 GET path",
            "1 203.0.113.7 GET / 200 more",
            "1 203.0.113.7 GET / ok",
            "99999999999999999999 203.0.113.7 GET /",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_hold_what_lies_within_them() {
        let span = |ms| Some(Duration::from_millis(ms));
        assert_eq!(most_within(&[0, 10, 20, 100], span(20)), (2, 10));
        assert_eq!(most_within(&[0, 10, 20, 100], span(21)), (3, 20));
        assert_eq!(most_within(&[0, 10, 20, 100], None), (4, 100));
        assert_eq!(most_within(&[], None), (0, 0));
    }
}
