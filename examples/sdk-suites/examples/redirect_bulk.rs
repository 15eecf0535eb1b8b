//! Redirects domains that the configuration lists.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, reply};

#[derive(Clone, Default)]
struct Plugin {
    domains: Vec<(String, String)>,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn configure(&mut self, configuration: &str) {
        self.domains = configuration
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .map(|(from, to)| (from.trim().to_ascii_lowercase(), to.trim().to_owned()))
            .collect();
    }

    fn request_headers(&mut self, headers: Headers) -> Action {
        let get = |name| headers.get(name).unwrap_or_default();
        let authority = get(":authority").to_ascii_lowercase();
        let host = authority.split(':').next().unwrap_or_default();
        let Some((_, to)) = self.domains.iter().find(|(from, _)| from == host) else {
            return Action::Continue;
        };
        let location = format!("{}://{to}{}", get(":scheme"), get(":path"));
        reply(301, &[("Location", &location)], "")
    }
}
