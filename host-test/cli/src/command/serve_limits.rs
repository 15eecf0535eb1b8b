//! The limits of `palisade serve`, as flags.
//!
//! **Invariant:** every time has a unit and lies between a millisecond and a day.

use std::time::Duration;

use clap::Args;
use palisade_host::LogLevel;

/// What nobody may exceed. Times are written 500ms, 10s, 5m.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limited {
    /// How long a request's head may take.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub(crate) header_timeout: Duration,
    /// How long a connection may be without a request.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub(crate) idle_timeout: Duration,
    /// How long nothing may move in a request.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub(crate) stream_idle_timeout: Duration,
    /// How long a request may take in all; absent: as long as something moves.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) request_timeout: Option<Duration>,
    /// Connections at a time; further ones wait.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// Fields of a request's head; more are answered 431.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_headers: u16,
    /// Bytes of a body that the filter may hold; more are answered 413 (request) or 500 (response).
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    pub(crate) buffer_limit: usize,
    /// Wall time of one callback of the filter; a filter that takes longer has failed.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration)]
    pub(crate) callback_timeout: Duration,
    /// How long a stop waits for requests under way.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub(crate) drain: Duration,
}

/// Levels of the filter's log.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

/// A number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(millis)
        .and_then(|(number, millis)| number.checked_mul(millis))
        .filter(|millis| (1..=86_400_000).contains(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| "write a number and a unit (ms, s, m, h), at most a day: `10s`".to_owned())
}
