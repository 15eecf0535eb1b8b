//! Bytes and header fields beside what they should be.
//!
//! **Out:** a [`Difference`] for each that is not so, in words for a reader; long values are cut.

use anyhow::Result;
use regex::Regex;

use super::expect::Difference;
use super::expectation::{Fields, Text};
use super::value::Surroundings;

/// Differences as they are found.
pub(super) struct Found(pub(super) Vec<Difference>);

impl Found {
    pub(super) fn add(
        &mut self,
        what: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.0.push(Difference {
            request: String::new(),
            what: what.to_owned(),
            expected: expected.into(),
            found: found.into(),
        });
    }
}

pub(super) fn matches(pattern: &str, bytes: &[u8]) -> bool {
    // Patterns were compiled when the file was read.
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(&String::from_utf8_lossy(bytes)))
}

pub(super) fn field<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &[u8]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.as_slice())
}

pub(super) fn body(
    what: &str,
    expected: &Text,
    found_body: &[u8],
    surroundings: Surroundings<'_>,
    found: &mut Found,
) -> Result<()> {
    let text = String::from_utf8_lossy(found_body);
    let table = &expected.0;
    if let Some(value) = &table.equal {
        let value = value.render(surroundings)?;
        if value != found_body {
            let wanted = show_text(&value);
            found.add(what, wanted, show_text(found_body));
        }
    }
    for wanted in table
        .contain
        .iter()
        .filter(|wanted| !text.contains(*wanted))
    {
        found.add(what, format!("`{wanted}` in it"), show_text(found_body));
    }
    for unwanted in table
        .lack
        .iter()
        .filter(|unwanted| text.contains(*unwanted))
    {
        found.add(
            what,
            format!("no `{unwanted}` in it"),
            show_text(found_body),
        );
    }
    if let Some(pattern) = table
        .matches
        .as_ref()
        .filter(|pattern| !matches(pattern, found_body))
    {
        found.add(
            what,
            format!("a match of `{pattern}`"),
            show_text(found_body),
        );
    }
    Ok(())
}

pub(super) fn compare(
    side: &str,
    expected: &Fields,
    fields: &[(Vec<u8>, Vec<u8>)],
    known: impl Fn(&str) -> bool,
    surroundings: Surroundings<'_>,
    found: &mut Found,
) -> Result<()> {
    let values = |name: &str| -> Vec<&[u8]> {
        fields
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
            .collect()
    };
    let shown = |values: &[&[u8]]| match values {
        [] => "nothing".to_owned(),
        values => values
            .iter()
            .map(|value| show(value))
            .collect::<Vec<_>>()
            .join(" and "),
    };
    for name in expected.present.iter().filter(|name| known(name)) {
        if values(name).is_empty() {
            found.add(&format!("{side} {name}"), "some value", "nothing");
        }
    }
    for name in expected.absent.iter().filter(|name| known(name)) {
        let values = values(name);
        if !values.is_empty() {
            found.add(&format!("{side} {name}"), "nothing", shown(&values));
        }
    }
    for (name, value) in expected.equal.iter().filter(|(name, _)| known(name)) {
        let value = value.render(surroundings)?;
        let values = values(name);
        if values != [value.as_slice()] {
            found.add(&format!("{side} {name}"), show(&value), shown(&values));
        }
    }
    for (name, text) in expected.contain.iter().filter(|(name, _)| known(name)) {
        let values = values(name);
        let holds = |value: &&[u8]| String::from_utf8_lossy(value).contains(text);
        if !values.iter().any(holds) {
            found.add(
                &format!("{side} {name}"),
                format!("a value with `{text}`"),
                shown(&values),
            );
        }
    }
    for (name, pattern) in expected.matches.iter().filter(|(name, _)| known(name)) {
        let values = values(name);
        if !values.iter().any(|value| matches(pattern, value)) {
            found.add(
                &format!("{side} {name}"),
                format!("a value that matches `{pattern}`"),
                shown(&values),
            );
        }
    }
    Ok(())
}

/// A body for a reader: as it is if it is text of several lines, else as [`show`] does.
pub(super) fn show_text(bytes: &[u8]) -> String {
    const MOST: usize = 4096;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\n') && bytes.len() <= MOST => text.to_owned(),
        _ => show(bytes),
    }
}

/// Bytes for a reader, cut.
#[must_use]
pub fn show(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let mut text: String = bytes
        .iter()
        .take(MOST)
        .flat_map(|byte| std::ascii::escape_default(*byte))
        .map(char::from)
        .collect();
    if bytes.len() > MOST {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    format!("`{text}`")
}
