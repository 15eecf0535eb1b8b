//! Puts the script of a challenge behind `<head>`, as configured.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{AfterHead, Body, Filter};

#[derive(Clone, Default)]
struct Plugin {
    script: String,
    place: AfterHead,
}

sdk_suites::plugin!(Plugin);

/// The value of a member of a flat JSON object of texts.
fn member(json: &str, name: &str) -> String {
    let mut parts = json.split('"').skip_while(|part| *part != name);
    parts.nth(2).unwrap_or_default().to_owned()
}

impl Filter for Plugin {
    fn configure(&mut self, configuration: &str) {
        let key = member(configuration, "recaptcha_key_value");
        let script = "https://www.google.com/recaptcha/enterprise.js?render=";
        self.script = if member(configuration, "recaptcha_key_type") == "SESSION" {
            format!("\n<script src=\"{script}&waf={key}\" async defer></script>\n")
        } else {
            format!("\n<script src=\"{script}{key}\"></script>\n")
        };
    }

    fn response_body(&mut self, body: Body) {
        if let Some(changed) = self.place.chunk(&body.get(), &self.script) {
            body.set(&changed);
        }
    }
}
