//! How results are held against expectations.

use regex::Regex;

use super::{Expect, Matcher};

/// Header fields as the suites see them: one value a name, whatever its case; further values joined by `, `.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut fields = Self::default();
        for (name, value) in pairs {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.add(&text(name), &text(value));
        }
        fields
    }

    pub(super) fn add(&mut self, name: &str, value: &str) {
        match self
            .0
            .iter_mut()
            .find(|(held, _)| held.eq_ignore_ascii_case(name))
        {
            Some((_, held)) if held.is_empty() => value.clone_into(held),
            Some((_, held)) => {
                held.push_str(", ");
                held.push_str(value);
            }
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(held, _)| held.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// In the order of their names, whatever their case.
    pub(super) fn sorted(mut self) -> Vec<(String, String)> {
        self.0.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        self.0
    }

    /// `name: value` lines. The guest's spelling of a name is gone (a proxy knows lower case only), so each spelling that tests use is a
    /// line of its own: lower case, the input's, and `Title-Case`.
    fn lines(&self, input: &[(String, String)]) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, value) in &self.0 {
            let mut spellings = vec![name.clone(), title(name)];
            spellings.extend(
                input
                    .iter()
                    .map(|(spelt, _)| spelt.clone())
                    .filter(|spelt| spelt.eq_ignore_ascii_case(name)),
            );
            spellings.sort();
            spellings.dedup();
            lines.extend(
                spellings
                    .into_iter()
                    .map(|spelt| format!("{spelt}: {value}")),
            );
        }
        lines
    }
}

fn title(name: &str) -> String {
    let mut up = true;
    name.chars()
        .map(|c| {
            let c = if up { c.to_ascii_uppercase() } else { c };
            up = c == '-';
            c
        })
        .collect()
}

impl Matcher {
    fn holds(&self, candidates: &[String]) -> Result<bool, String> {
        let hit = match (&self.exact, &self.regex) {
            (Some(exact), _) => candidates.iter().any(|candidate| candidate == exact),
            (None, Some(pattern)) => {
                let whole = Regex::new(&format!("\\A(?:{pattern})\\z"))
                    .map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
                candidates.iter().any(|candidate| whole.is_match(candidate))
            }
            (None, None) => return Err("a matcher needs `exact` or `regex`".to_owned()),
        };
        Ok(hit != self.invert)
    }

    /// What differs when it must hold of one of the candidates.
    pub(super) fn check(&self, what: &str, candidates: &[String], failures: &mut Vec<String>) {
        match self.holds(candidates) {
            Ok(true) => {}
            Ok(false) => failures.push(format!(
                "{what}: expected {}{} `{}`, got {}",
                if self.invert { "nothing " } else { "" },
                if self.exact.is_some() {
                    "equal to"
                } else {
                    "matching"
                },
                self.exact
                    .as_deref()
                    .or(self.regex.as_deref())
                    .unwrap_or_default(),
                if candidates.is_empty() {
                    "nothing".to_owned()
                } else {
                    candidates.join("\n    ")
                }
            )),
            Err(error) => failures.push(format!("{what}: {error}")),
        }
    }
}

/// What one phase came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase {
    /// The guest's return value lets the headers go on.
    pub(super) goes_on: bool,
    pub(super) headers: Fields,
    pub(super) body: String,
    /// Status of a local reply; 0: none.
    pub(super) status: u32,
    pub(super) grpc_status: i64,
    pub(super) details: String,
    pub(super) logs: Vec<String>,
}

impl Expect {
    /// Log lines alone: what the phases outside callbacks are held to.
    pub(super) fn check_logs(&self, phase: &str, logs: &[String], failures: &mut Vec<String>) {
        for matcher in &self.log {
            matcher.check(&format!("{phase}: log"), logs, failures);
        }
    }

    pub(super) fn check(
        &self,
        phase: &str,
        input: &[(String, String)],
        result: &Phase,
        failures: &mut Vec<String>,
    ) {
        for (name, value) in &self.has_header {
            match result.headers.get(name) {
                Some(found) if found == value => {}
                found => failures.push(format!(
                    "{phase}: header `{name}`: expected `{value}`, got {}",
                    found.map_or_else(|| "none".to_owned(), |found| format!("`{found}`"))
                )),
            }
        }
        for name in &self.no_header {
            if let Some(found) = result.headers.get(name) {
                failures.push(format!(
                    "{phase}: header `{name}`: expected none, got `{found}`"
                ));
            }
        }
        if !self.headers.is_empty() {
            let lines = result.headers.lines(input);
            for matcher in &self.headers {
                matcher.check(&format!("{phase}: header line"), &lines, failures);
            }
        }
        for matcher in &self.body {
            let body = std::slice::from_ref(&result.body);
            matcher.check(&format!("{phase}: body"), body, failures);
        }
        match &self.immediate {
            None => {
                if result.status != 0 {
                    failures.push(format!(
                        "{phase}: expected no local reply, got one with status {} `{}`",
                        result.status, result.body
                    ));
                } else if !result.goes_on {
                    failures.push(format!(
                        "{phase}: expected the stream to go on, got a pause"
                    ));
                }
            }
            Some(expected) => {
                if result.status == 0 || result.goes_on {
                    failures.push(format!(
                        "{phase}: expected a local reply that stops the stream, got {}",
                        if result.status == 0 {
                            "none"
                        } else {
                            "one, but the stream goes on"
                        }
                    ));
                }
                if let Some(status) = expected.http_status
                    && status != result.status
                {
                    failures.push(format!(
                        "{phase}: status of the local reply: expected {status}, got {}",
                        result.status
                    ));
                }
                if let Some(status) = expected.grpc_status
                    && status != result.grpc_status
                {
                    failures.push(format!(
                        "{phase}: gRPC status of the local reply: expected {status}, got {}",
                        result.grpc_status
                    ));
                }
                if let Some(details) = &expected.details
                    && *details != result.details
                {
                    failures.push(format!(
                        "{phase}: details of the local reply: expected `{details}`, got `{}`",
                        result.details
                    ));
                }
            }
        }
        self.check_logs(phase, &result.logs, failures);
    }
}
