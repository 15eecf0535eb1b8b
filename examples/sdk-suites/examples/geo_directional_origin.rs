//! Tells the upstream the client's country; a client cannot say it itself.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, property};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        headers.remove("x-country-code");
        let country = property(&["source", "client_region"]);
        if let Some(country) = country.filter(|country| !country.is_empty()) {
            headers.set("x-country-code", &country);
        }
        Action::Continue
    }
}
