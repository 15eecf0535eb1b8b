//! Puts advertisements at the marks that the configuration names.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Body, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin {
    library: String,
    ads: Vec<Ad>,
    for_ads: bool,
    page: bool,
}

sdk_suites::plugin!(Plugin);

#[derive(Clone, Default)]
struct Ad {
    name: String,
    slot: String,
    size: String,
    before: bool,
    mark: String,
}

impl Filter for Plugin {
    fn configure(&mut self, configuration: &str) {
        for line in configuration.lines() {
            let words: Vec<&str> = line.split(", ").collect();
            match words.as_slice() {
                ["gpt_url", url] => (*url).clone_into(&mut self.library),
                ["ad", name, slot, size, before, mark] => self.ads.push(Ad {
                    name: (*name).to_owned(),
                    slot: (*slot).to_owned(),
                    size: (*size).to_owned(),
                    before: *before == "true",
                    mark: (*mark).to_owned(),
                }),
                _ => {}
            }
        }
    }

    fn request_headers(&mut self, headers: Headers) -> Action {
        self.for_ads = headers
            .get(":path")
            .is_some_and(|path| path.starts_with("/ads/"));
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        let kind = headers.get("Content-Type").unwrap_or_default();
        self.page = kind.starts_with("text/html") && !self.for_ads;
        if self.page {
            headers.remove("Content-Length");
        }
        Action::Continue
    }

    fn response_body(&mut self, body: Body) {
        if !self.page {
            return;
        }
        let mut text = body.text();
        let library = format!("<script async src=\"{}\"></script>", self.library);
        let place = text
            .find("<head>")
            .map(|at| at + "<head>".len())
            .or_else(|| text.find("<body>"));
        if let Some(place) = place {
            text.insert_str(place, &library);
        }
        for ad in &self.ads {
            let Some(at) = text.find(&ad.mark) else {
                continue;
            };
            let at = if ad.before { at } else { at + ad.mark.len() };
            let (name, slot, size) = (&ad.name, &ad.slot, &ad.size);
            text.insert_str(at, &format!(
                "<div id=\"ad-container-{name}\"><script>googletag.defineSlot('{slot}', [{size}])</script></div>"
            ));
        }
        body.set(text.as_bytes());
    }
}
