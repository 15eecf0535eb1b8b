//! What `palisade simulate` reads: policies, scenario files as traffic, spans, rates, failures.
//!
//! **In:** words of the command line and the files they name. **Out:** what the simulation takes, or an error that names the word.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use palisade_cli::scenario::time::Step;
use palisade_cli::scenario::value::Surroundings;
use palisade_cli::scenario::{self, Message};
use palisade_host::simulate::{Arrival, Failure, Simulation, Traffic};

/// The requests of a case; its policy and environment too, which the command line may replace.
pub(super) fn scenario_traffic(
    path: &Path,
    name: Option<&str>,
    simulation: &mut Simulation,
) -> Result<Traffic> {
    let file = scenario::load(path)?;
    let mut cases = file.cases.iter();
    let case = cases
        .find(|case| name.is_none_or(|name| case.name == name))
        .with_context(|| match name {
            Some(name) => format!("{}: no case is called `{name}`", path.display()),
            None => format!("{}: no cases", path.display()),
        })?;
    let env = file.env(case);
    simulation.wall = Duration::from_secs(file.wall);
    simulation.plugin_configuration = file.configuration_of(case)?;
    let surroundings = Surroundings {
        env: &env,
        folder: file.folder(),
        wall: file.wall,
    };
    let mut traffic = Traffic::default();
    for request in &case.requests {
        for _ in 0..request.times {
            for (_, message) in request.messages(surroundings)? {
                traffic.requests.push(arrival(message));
            }
        }
    }
    simulation.environment = env.into_iter().collect();
    Ok(traffic)
}

fn arrival(message: Message) -> Arrival {
    let client = message
        .peer
        .rsplit_once(':')
        .map_or(message.peer.as_str(), |(address, _)| address);
    Arrival {
        client: client.to_owned(),
        upstream: message.upstream,
        request: message.request(),
    }
}

/// A span of time that is not negative.
pub(super) fn span(text: &str) -> Result<Duration> {
    let ms = Step::parse(text)?.ms;
    let ms = u64::try_from(ms).map_err(|_| anyhow!("`{text}`: a span cannot be negative"))?;
    Ok(Duration::from_millis(ms))
}

/// A probability.
pub(super) fn rate(text: &str) -> Result<f64> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=1.0).contains(rate))
        .with_context(|| format!("`{text}` is no probability; write a number from 0 to 1"))
}

/// Reads `HOSTCALL=STATUS[@RATE]`.
pub(super) fn failure(text: &str) -> Result<Failure> {
    let (hostcall, rest) = text.split_once('=').with_context(|| {
        format!("`{text}`: a failure is written such as set_shared_data=CAS_MISMATCH@0.1")
    })?;
    let (status, chance) = match rest.split_once('@') {
        Some((status, chance)) => (status, rate(chance)?),
        None => (rest, 1.0),
    };
    let wasi = [
        "args_", "clock_", "environ_", "fd_", "path_", "proc_", "random_", "sched_",
    ];
    let full =
        hostcall.starts_with("proxy_") || wasi.iter().any(|start| hostcall.starts_with(start));
    Ok(Failure {
        hostcall: Some(if full {
            hostcall.to_owned()
        } else {
            format!("proxy_{hostcall}")
        }),
        status: Some(status_number(status)?),
        rate: chance,
    })
}

fn status_number(text: &str) -> Result<i32> {
    const NAMES: [&str; 13] = [
        "ok",
        "notfound",
        "badargument",
        "serializationfailure",
        "parsefailure",
        "badexpression",
        "invalidmemoryaccess",
        "empty",
        "casmismatch",
        "resultmismatch",
        "internalfailure",
        "brokenconnection",
        "unimplemented",
    ];
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let plain = text.replace(['_', '-'], "").to_ascii_lowercase();
    NAMES
        .iter()
        .position(|name| *name == plain)
        .and_then(|at| i32::try_from(at).ok())
        .with_context(|| {
            format!("`{text}` is no status; write a number, or a name such as CAS_MISMATCH")
        })
}
