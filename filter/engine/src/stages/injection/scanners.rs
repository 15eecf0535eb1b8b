//! Names that scanners of sites give themselves: a list that an operator asks for (`injection.scanners`).
//!
//! **In:** a head. **Out:** a finding of class `scanner` for the first name in each place.
//! **Invariant:** a name counts as a word of its own (`zgrab`, not `urlgrabber`). Libraries and tools that honest clients use (`curl`,
//! `python-requests`, `Go-http-client`), search engines, monitors and services that an owner orders are not in the list. Who hides
//! his name is not found: this saves work, it stops nobody.
//! **Source:** what the tools send by their documentation and sources; each row has the month in which that was last looked up.
//! **Cost:** nothing unless asked for; then a look-up at each word of the user agent.

use super::bytes::{has_at, rest};
use super::inspection::{Inspection, Place};
use super::{Class, Strength};
use crate::request::RequestHead;

/// A name and the month it was looked up in.
type Row = (&'static [u8], &'static str);

/// Words of user agents, in lower case.
const AGENTS: &[Row] = &[
    (b"(hydra)", "2026-11"),
    (b"acunetix", "2026-11"),
    (b"arachni", "2026-11"),
    (b"commix", "2026-11"),
    (b"dirbuster", "2026-11"),
    (b"dirsearch", "2026-11"),
    (b"dotdotpwn", "2026-11"),
    (b"feroxbuster", "2026-11"),
    (b"ffuf", "2026-11"),
    (b"fimap", "2026-11"),
    (b"fuzz faster u fool", "2026-11"),
    (b"gobuster", "2026-11"),
    (b"golismero", "2026-11"),
    (b"havij", "2026-11"),
    (b"httpx - open-source project", "2026-11"),
    (b"jaeles", "2026-11"),
    (b"joomscan", "2026-11"),
    (b"jorgee", "2026-11"),
    (b"l9explore", "2026-11"),
    (b"l9tcpid", "2026-11"),
    (b"masscan", "2026-11"),
    (b"morfeus", "2026-11"),
    (b"nessus", "2026-11"),
    (b"netsparker", "2026-11"),
    (b"nikto", "2026-11"),
    (b"nmap scripting engine", "2026-11"),
    (b"nuclei", "2026-11"),
    (b"openvas", "2026-11"),
    (b"paros", "2026-11"),
    (b"skipfish", "2026-11"),
    (b"sqlmap", "2026-11"),
    (b"uniscan", "2026-11"),
    (b"w3af", "2026-11"),
    (b"wapiti", "2026-11"),
    (b"webinspect", "2026-11"),
    (b"webshag", "2026-11"),
    (b"wfuzz", "2026-11"),
    (b"whatweb", "2026-11"),
    (b"wpscan", "2026-11"),
    (b"zgrab", "2026-11"),
    (b"zmeu", "2026-11"),
];

/// Headers that only they send.
const HEADERS: &[Row] = &[
    (b"acunetix-aspect", "2026-11"),
    (b"acunetix-product", "2026-11"),
    (b"acunetix-scanning-agreement", "2026-11"),
    (b"acunetix-user-agreement", "2026-11"),
    (b"x-ratproxy-loop", "2026-11"),
    (b"x-requestmanager-memo", "2026-11"),
    (b"x-scan-memo", "2026-11"),
    (b"x-scanner", "2026-11"),
    (b"x-wipp", "2026-11"),
];

/// Beginnings of paths that nobody has: they ask for what is not there.
const PATHS: &[Row] = &[
    (b"/acunetix-wvs-test-for-some-inexistent-file", "2026-11"),
    (b"/appscan_fingerprint/", "2026-11"),
    (b"/nessus_is_probing_you_", "2026-11"),
    (b"/nice%20ports%2c/tri%6eity.txt%2ebak", "2026-11"),
    (b"/nmaplowercheck", "2026-11"),
    (b"/w00tw00t.at.", "2026-11"),
];

/// Looks at user agent, names of headers and path.
pub(super) fn look(head: &RequestHead<'_>, inspection: &mut Inspection<'_>) {
    let begins = |row: &&Row| has_at(head.target, 0, row.0);
    if PATHS.iter().any(|row| begins(&row)) {
        note(Place::Path, b"", head.target, inspection);
    }
    for field in &head.fields {
        if field.name.eq_ignore_ascii_case(b"user-agent") {
            inspection.pay(field.value.len());
            if let Some(at) = agent(field.value) {
                note(Place::Header, field.name, rest(field.value, at), inspection);
            }
        } else if HEADERS
            .iter()
            .any(|(name, _)| field.name.eq_ignore_ascii_case(name))
        {
            note(Place::Header, field.name, field.name, inspection);
        }
    }
}

fn note(place: Place, name: &[u8], evidence: &[u8], inspection: &mut Inspection<'_>) {
    inspection.note(place, name, evidence, Class::Scanner, Strength::Decisive);
}

/// Where a name stands in a user agent, as a word.
fn agent(value: &[u8]) -> Option<usize> {
    let mut before = b' ';
    let mut at = 0_usize;
    let start = value.get(..MAX_AGENT).unwrap_or(value);
    for &byte in start {
        if !is_word(before)
            && AGENTS.iter().any(|(name, _)| {
                let behind = value.get(at.saturating_add(name.len()));
                has_at(value, at, name) && behind.is_none_or(|&byte| !is_word(byte))
            })
        {
            return Some(at);
        }
        before = byte;
        at = at.saturating_add(1);
    }
    None
}

/// Bytes of a user agent that are looked at.
const MAX_AGENT: usize = 512;

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::super::{Here, InjectionStage};
    use super::{AGENTS, HEADERS, PATHS};
    use crate::budget::MAX_STEPS;
    use crate::finding::Findings;
    use crate::request::RequestHead;
    use crate::units::UnixTime;

    fn found(pairs: &[(&str, &str)], on: bool) -> Option<(String, String)> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = RequestHead::decode(pairs);
        let (mut steps, mut found) = (MAX_STEPS, Findings::default());
        let mut stage = InjectionStage::new(1, 5);
        stage.scanners = on;
        let here = Here::new(b"", UnixTime(0));
        stage
            .inspect_head(&head, here, &mut steps, &mut found)
            .err()?;
        let finding = found.as_slice().last()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(&finding.rule), text(&finding.place)))
    }

    #[test]
    fn scanners_are_found_when_asked_for() {
        for agent in [
            "sqlmap/1.8.4#stable (https://sqlmap.org)",
            "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:000003)",
            "Nuclei - Open-source project (github.com/projectdiscovery/nuclei)",
            "WPScan v3.8.25 (https://wpscan.com/wordpress-security-scanner)",
            "Mozilla/5.0 zgrab/0.x",
            "masscan/1.3 (https://github.com/robertdavidgraham/masscan)",
            "gobuster/3.6",
            "Fuzz Faster U Fool v2.1.0-dev",
            "feroxbuster/2.10.1",
            "Mozilla/5.0 [en] (X11, U; OpenVAS-VT 9.0.1)",
            "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
            "Mozilla/5.0 (Hydra)",
            "DirBuster-1.0-RC1 (http://www.owasp.org/index.php/Category:OWASP_DirBuster_Project)",
        ] {
            let pairs = [(":path", "/"), ("user-agent", agent)];
            let place = "header:user-agent".to_owned();
            assert_eq!(
                found(&pairs, true),
                Some(("scanner".into(), place)),
                "{agent}"
            );
            assert_eq!(found(&pairs, false), None, "{agent}");
        }
        let header = [(":path", "/"), ("x-scanner", "1")];
        assert_eq!(
            found(&header, true).map(|found| found.1),
            Some("header:x-scanner".into())
        );
        let path = [(":path", "/nmaplowercheck1700000000")];
        assert_eq!(
            found(&path, true).map(|found| found.0),
            Some("scanner".into())
        );
        assert_eq!(found(&path, false), None);
    }

    #[test]
    fn honest_clients_are_not_in_the_list() {
        for agent in [
            "curl/8.5.0",
            "Wget/1.21.4",
            "python-requests/2.31.0",
            "Go-http-client/2.0",
            "okhttp/4.12.0",
            "Java/17.0.2",
            "Apache-HttpClient/4.5.14 (Java/17.0.9)",
            "urlgrabber/3.10 yum/3.4.3",
            "mozilla/5.0 ecairn-grabber/1.0 (+http://ecairn.com/grabber)",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
            "Zapier",
            "python-httpx/0.27.0",
            "Nucleic/1.0 (hydrated)",
            "",
        ] {
            assert_eq!(
                found(&[(":path", "/"), ("user-agent", agent)], true),
                None,
                "{agent}"
            );
        }
    }

    /// In order, in lower case, and with a month.
    #[test]
    fn the_list_is_kept() {
        for rows in [AGENTS, HEADERS, PATHS] {
            assert!(rows.is_sorted_by(|left, right| left.0 < right.0));
            for (name, month) in rows {
                assert!(name.iter().all(|byte| !byte.is_ascii_uppercase()));
                let (year, of_year) = month.split_once('-').unwrap_or_default();
                assert!(
                    year.parse::<u16>().is_ok_and(|year| year >= 2026),
                    "{month}"
                );
                assert!(
                    of_year.parse::<u8>().is_ok_and(|of| (1..=12).contains(&of)),
                    "{month}"
                );
            }
        }
    }
}
