//! What guests log, kept for inspection and handed to a sink.
//!
//! Invariant: at most `KEPT` lines and about `KEPT_BYTES` are kept for one VM (the newest), so a serving host does not grow.

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
/// Bytes kept per VM; the newest line is kept whatever its size.
const KEPT_BYTES: usize = 64 << 20;

pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) sink: Option<LogSink>,
    lines: VecDeque<LogLine>,
    /// Of each line whether it is a piece of a text, which the next one goes on with: a runtime that prints a panic writes it in many.
    unfinished: VecDeque<bool>,
    bytes: usize,
    /// Lines that were written and are no longer kept.
    gone: usize,
}

impl Log {
    pub(crate) fn new(level: LogLevel, sink: Option<LogSink>) -> Self {
        Self {
            level,
            sink,
            lines: VecDeque::new(),
            unfinished: VecDeque::new(),
            bytes: 0,
            gone: 0,
        }
    }

    pub(crate) fn write(&mut self, level: LogLevel, message: &[u8]) {
        self.add(level, message, false);
    }

    /// What a guest wrote to a file: a line of the log, as in Envoy, without the newline it ends in.
    pub(crate) fn write_text(&mut self, level: LogLevel, text: &[u8]) {
        match text.strip_suffix(b"\n") {
            Some(line) => self.add(level, line, false),
            None => self.add(level, text, true),
        }
    }

    fn add(&mut self, level: LogLevel, message: &[u8], unfinished: bool) {
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
        self.bytes += line.message.len();
        while self.lines.len() >= KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.unfinished.pop_front();
            self.bytes -= oldest.message.len();
            self.gone += 1;
        }
        self.lines.push_back(line);
        self.unfinished.push_back(unfinished);
    }

    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        self.gone += self.lines.len();
        self.unfinished.clear();
        self.bytes = 0;
        std::mem::take(&mut self.lines).into()
    }

    /// The place after the newest line.
    pub(crate) fn mark(&self) -> usize {
        self.gone + self.lines.len()
    }

    /// The newest lines for an error, which nobody has seen: none, if there is a sink. What was written in pieces is put together.
    pub(crate) fn last(&self, count: usize) -> Vec<LogLine> {
        let mut lines = self.since(0);
        lines.drain(..lines.len().saturating_sub(count));
        lines
    }

    /// As `last`: the lines written after a mark, as far as they are kept.
    pub(crate) fn since(&self, mark: usize) -> Vec<LogLine> {
        let mut whole: Vec<LogLine> = Vec::new();
        if self.sink.is_some() {
            return whole;
        }
        let mut open = false;
        let lines = self.lines.iter().zip(&self.unfinished);
        for (line, unfinished) in lines.skip(mark.saturating_sub(self.gone)) {
            let going_on = std::mem::replace(&mut open, *unfinished);
            let before = whole.pop_if(|before| going_on && before.level == line.level);
            if before.is_none() && !unfinished {
                whole.push(line.clone());
                continue;
            }
            // A piece may hold the end of one line and the start of the next.
            let text = before.map_or_else(String::new, |before| before.message) + &line.message;
            whole.extend(text.split('\n').map(|message| LogLine {
                level: line.level,
                message: message.to_owned(),
            }));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_whole_lines_of_what_was_written_in_pieces() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["a\n", "b\n"], &["a", "b"]),
            (
                &["panic: ", "boom", "\n\ngoroutine ", "1", "\n"],
                &["panic: boom", "", "goroutine 1"],
            ),
            (&["no end"], &["no end"]),
            (&["", "\n"], &[""]),
            // What came in one write stays one line of the log.
            (&["a\nb\n"], &["a\nb"]),
        ];
        for (written, shown) in cases {
            let mut log = Log::new(LogLevel::Info, None);
            for text in *written {
                log.write_text(LogLevel::Error, text.as_bytes());
            }
            let last = log.last(LAST);
            let last: Vec<&str> = last.iter().map(|line| line.message.as_str()).collect();
            assert_eq!(last, *shown, "{written:?}");
            assert_eq!(log.take().len(), written.len());
            assert!(log.last(LAST).is_empty());
        }
        let mut log = Log::new(LogLevel::Info, None);
        log.write_text(LogLevel::Error, b"half");
        log.write(LogLevel::Info, b"another");
        assert_eq!(log.last(LAST).len(), 2);
        assert_eq!(log.last(1).len(), 1);
    }

    const LAST: usize = 20;
}
