//! Changes one domain in the links of a page, wherever its chunks are cut.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Body, Filter};

#[derive(Clone, Default)]
struct Plugin {
    held: String,
}

sdk_suites::plugin!(Plugin);

fn rewrite(tag: &str) -> String {
    if !tag.starts_with("<a ") {
        return tag.to_owned();
    }
    tag.replace("href=https://foo.com", "href=\"https://bar.com\"")
}

impl Filter for Plugin {
    fn response_body(&mut self, body: Body) {
        self.held.push_str(&body.text());
        let mut out = String::new();
        while let Some(open) = self.held.find('<') {
            let (text, tag) = self.held.split_at(open);
            let Some(close) = tag.find('>') else { break };
            let (tag, rest) = tag.split_at(close + 1);
            out.push_str(text);
            out.push_str(&rewrite(tag));
            self.held = rest.to_owned();
        }
        if body.end || !self.held.contains('<') {
            out.push_str(&std::mem::take(&mut self.held));
        }
        body.set(out.as_bytes());
    }
}
