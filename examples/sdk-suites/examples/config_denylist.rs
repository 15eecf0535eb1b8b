//! Refuses tokens that the configuration lists, a line each.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log, reply};

#[derive(Clone, Default)]
struct Plugin {
    denied: Vec<String>,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn configure(&mut self, configuration: &str) {
        self.denied = configuration
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        log(&format!("Config keys size {}", self.denied.len()));
    }

    fn request_headers(&mut self, headers: Headers) -> Action {
        match headers.get("User-Token") {
            None if !self.denied.is_empty() => {
                reply(403, &[], "Access forbidden - token missing.\n")
            }
            Some(token) if self.denied.contains(&token) => reply(403, &[], "Access forbidden.\n"),
            _ => Action::Continue,
        }
    }
}
