//! What guests log, kept for inspection and handed to a sink.
//!
//! Invariant: at most `KEPT` lines are kept for one VM (the newest), so a serving host does not grow.

use std::{collections::VecDeque, fmt};

/// Severity of a log line, as the ABI numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// 0
    Trace,
    /// 1
    Debug,
    /// 2
    Info,
    /// 3
    Warn,
    /// 4
    Error,
    /// 5
    Critical,
}

impl LogLevel {
    /// The level of an ABI number.
    #[must_use]
    pub const fn from_abi(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            5 => Self::Critical,
            _ => return None,
        })
    }
}

/// One line a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// The text; bytes that are not UTF-8 are replaced.
    pub message: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        };
        write!(f, "[{level}] {}", self.message)
    }
}

/// Where log lines go besides being kept.
pub type LogSink = Box<dyn FnMut(&LogLine) + Send>;

/// Lines kept per VM.
const KEPT: usize = 10_000;

pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) sink: Option<LogSink>,
    lines: VecDeque<LogLine>,
    /// Lines that were written and are no longer kept.
    gone: usize,
}

impl Log {
    pub(crate) fn new(level: LogLevel, sink: Option<LogSink>) -> Self {
        Self {
            level,
            sink,
            lines: VecDeque::new(),
            gone: 0,
        }
    }

    pub(crate) fn write(&mut self, level: LogLevel, message: &[u8]) {
        if level < self.level {
            return;
        }
        let line = LogLine {
            level,
            message: String::from_utf8_lossy(message).into_owned(),
        };
        if let Some(sink) = &mut self.sink {
            sink(&line);
        }
        if self.lines.len() >= KEPT {
            self.lines.pop_front();
            self.gone += 1;
        }
        self.lines.push_back(line);
    }

    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        self.gone += self.lines.len();
        std::mem::take(&mut self.lines).into()
    }

    /// The place after the newest line.
    pub(crate) fn mark(&self) -> usize {
        self.gone + self.lines.len()
    }

    /// Lines written after a mark, as far as they are kept.
    pub(crate) fn since(&self, mark: usize) -> Vec<LogLine> {
        self.lines
            .iter()
            .skip(mark.saturating_sub(self.gone))
            .cloned()
            .collect()
    }
}
