//! One file a subcommand, and what they share.

pub(crate) mod bans;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod filter;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod serve_limits;
pub(crate) mod simulate;
mod simulate_input;
mod simulate_svg;
mod simulate_trace;
pub(crate) mod test;
pub(crate) mod token;

use std::io::IsTerminal;

/// Colours, when somebody looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn stdout() -> Self {
        Self {
            on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    pub(crate) fn stderr() -> Self {
        Self {
            on: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
