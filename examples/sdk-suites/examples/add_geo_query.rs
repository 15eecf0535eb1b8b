//! Puts the client's country into the query.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log, property, with_query};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let country = property(&["request", "client_region"])
            .filter(|country| !country.is_empty())
            .unwrap_or_else(|| "unknown".to_owned());
        log(&format!("country: {country}"));
        let path = headers.get(":path").unwrap_or_default();
        headers.set(":path", &with_query(&path, "country", &country));
        Action::Continue
    }
}
