//! The report as one page that needs nothing else: no script, no font, no request.
//!
//! **In:** what was scored. **Out:** HTML.
//! **Invariant:** payloads are shown as text: everything from a corpus is escaped, and the page's own policy forbids scripts besides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::corpus::Corpus;
use super::gates::{Check, Exceptions};
use super::list::{Which, found, shown};
use super::plot::{self, escaped};
use super::transplant::Transplants;
use super::{Counts, Row, Tables, Verdict};

/// What a report shows.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What judged: `the engine`, a module, under which policy.
    pub judge: &'a str,
    /// Points that refuse.
    pub threshold: u32,
    /// Rows.
    pub corpus: &'a Corpus,
    /// Their verdicts.
    pub verdicts: &'a [Verdict],
    /// Counts.
    pub tables: &'a Tables,
    /// Gates.
    pub checks: &'a [Check],
    /// Rows said to be wrong.
    pub said: &'a Exceptions,
    /// Transplants.
    pub transplants: Option<&'a Transplants>,
}

/// Rows of one list and class that are shown.
const MOST: usize = 400;

const STYLE: &str = "\
:root{--page:#fbfbfa;--card:#fff;--ink:#1c2126;--soft:#59636e;--line:#dde1e6;--ok:#1f7a4d;--no:#c2364a;--g0:#59636e;--g1:#2563c4;--g2:#1f7a4d;--g3:#b06a00;--bar:#2563c4;--bed:#e8ebef}
@media (prefers-color-scheme:dark){:root{--page:#0e1216;--card:#161b21;--ink:#e6edf3;--soft:#9aa4af;--line:#2c343d;--ok:#57b98a;--no:#f0788a;--g0:#9aa4af;--g1:#6ea8ff;--g2:#57b98a;--g3:#e3a94a;--bar:#6ea8ff;--bed:#252c34}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:1240px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.5rem;margin:0 0 2px}h2{font-size:1.1rem;margin:36px 0 10px}
p{margin:4px 0 12px;color:var(--soft);max-width:80ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:18px 0}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tile b{display:block;font-size:1.55rem;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.2}
.tile span{color:var(--soft);font-size:.88rem}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:14px;align-items:start}
.tables{grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr))}
.card h3{margin:0 0 8px;font-size:.98rem}
svg{display:block;width:100%;max-width:560px;height:auto;margin:0 auto}
svg text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:var(--soft)}svg .ink{fill:var(--ink);font-weight:600}
.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:var(--line)}
.line{fill:none;stroke-width:1.8}.dot{stroke:none}.ring{fill:none;stroke-width:2;stroke:var(--ink)}
.line.g0,.ring.g0{stroke:var(--g0)}.line.g1,.ring.g1{stroke:var(--g1)}.line.g2,.ring.g2{stroke:var(--g2)}.line.g3,.ring.g3{stroke:var(--g3)}
.dot.g0,.key.g0{fill:var(--g0)}.dot.g1,.key.g1{fill:var(--g1)}.dot.g2,.key.g2{fill:var(--g2)}.dot.g3,.key.g3{fill:var(--g3)}
.bar{fill:var(--bar)}.bed{fill:var(--bed)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.87rem}
th,td{text-align:right;padding:3px 6px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
tr:last-child td{border-bottom:0}
.ok{color:var(--ok)}.no{color:var(--no)}.w{white-space:normal}
details{background:var(--card);border:1px solid var(--line);border-radius:8px;margin:8px 0}
summary{cursor:pointer;padding:9px 14px;font-weight:600}summary span{color:var(--soft);font-weight:400}
article{border-top:1px solid var(--line);padding:9px 14px}
article h4{margin:0;font-size:.9rem;overflow-wrap:anywhere}article h4 span{color:var(--soft);font-weight:400}
code{display:block;font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin-top:3px}
.found{color:var(--no)}.why{color:var(--g3)}
";

impl Report<'_> {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>Palisade score</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>Palisade score</h1>\n<p>{} rows of {} files, judged by {}.</p>\n",
            self.corpus.rows.len(),
            self.corpus.files.len(),
            escaped(self.judge)
        );
        self.tiles(&mut out);
        self.gates(&mut out);
        self.plots(&mut out);
        out.push_str("<h2>Tables</h2>\n<div class=\"two tables\">\n");
        for (name, table) in [
            ("Source", &self.tables.sources),
            ("Place", &self.tables.places),
            ("Class", &self.tables.classes),
            ("Benign tier", &self.tables.tiers),
            ("Mutation", &self.tables.mutations),
        ] {
            section(&mut out, name, table);
        }
        out.push_str("</div>\n");
        self.lists(&mut out);
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }

    fn tiles(&self, out: &mut String) {
        let mut all = Vec::new();
        let total = &self.tables.total;
        if let Some(share) = total.caught_percent() {
            let text = format!(
                "of {} attacks caught, {} missed",
                total.attacks,
                total.attacks - total.caught
            );
            all.push((format!("{share:.2} %"), text));
        }
        for (tier, counts) in &self.tables.tiers {
            if let Some(share) = counts.blocked_percent() {
                let text = format!(
                    "of {} benign rows, tier {tier}, refused: {}",
                    counts.benign, counts.blocked
                );
                all.push((format!("{share:.2} %"), text));
            }
        }
        if self.tables.tiers.is_empty()
            && let Some(share) = total.blocked_percent()
        {
            let text = format!("of {} benign rows refused: {}", total.benign, total.blocked);
            all.push((format!("{share:.2} %"), text));
        }
        if let Some(share) = self.tables.survived_percent() {
            all.push((
                format!("{share:.2} %"),
                "of the mutants judged as their value".to_owned(),
            ));
        }
        if let Some(share) = self.transplants.and_then(Transplants::percent) {
            all.push((
                format!("{share:.2} %"),
                "of the transplants judged by their value".to_owned(),
            ));
        }
        if self.tables.faults > 0 {
            all.push((
                self.tables.faults.to_string(),
                "rows over which the filter FAILED".to_owned(),
            ));
        }
        out.push_str("<div class=\"tiles\">\n");
        for (number, text) in all {
            let _ = writeln!(
                out,
                "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
                escaped(&number),
                escaped(&text)
            );
        }
        out.push_str("</div>\n");
        if self.tables.ambiguous > 0 {
            let _ = writeln!(
                out,
                "<p>{} ambiguous rows are in no number; {} of them were refused.</p>",
                self.tables.ambiguous, self.tables.ambiguous_refused
            );
        }
    }

    fn gates(&self, out: &mut String) {
        if self.checks.is_empty() {
            return;
        }
        out.push_str("<h2>Gates</h2>\n<div class=\"card scroll\"><table><tr><th>gate</th><th>bound</th><th>got</th><th></th></tr>\n");
        for check in self.checks {
            let got = check
                .got
                .map_or_else(|| "no rows".to_owned(), |got| format!("{got:.2}"));
            let (class, word) = if check.holds {
                ("ok", "ok")
            } else {
                ("no", "missed")
            };
            let _ = writeln!(
                out,
                "<tr><td class=\"w\">{}</td><td>{}</td><td>{got}</td><td class=\"{class}\">{word}</td></tr>",
                escaped(&check.gate),
                check.bound
            );
        }
        out.push_str("</table></div>\n");
    }

    fn plots(&self, out: &mut String) {
        let (groups, points) = plot::points(self.corpus, self.verdicts);
        out.push_str("<h2>Plots</h2>\n<div class=\"two\">\n");
        if points.len() > 1 {
            let _ = writeln!(
                out,
                "<div class=\"card\"><h3>Caught over refused, as the threshold moves</h3>\n{}",
                plot::curve(&groups, &points, self.threshold)
            );
            out.push_str("<details><summary>The same in numbers</summary><div class=\"scroll\"><table><tr><th>threshold</th><th>caught %</th>");
            for group in &groups {
                let _ = write!(out, "<th>refused %, {}</th>", escaped(group));
            }
            out.push_str("</tr>\n");
            for point in &points {
                let _ = write!(
                    out,
                    "<tr><td>{}</td><td>{:.2}</td>",
                    point.threshold, point.caught
                );
                for share in &point.refused {
                    let _ = write!(out, "<td>{share:.2}</td>");
                }
                out.push_str("</tr>\n");
            }
            out.push_str("</table></div></details></div>\n");
        }
        let _ = writeln!(
            out,
            "<div class=\"card\"><h3>Caught, by class</h3>\n{}</div>\n</div>",
            plot::bars(self.tables)
        );
    }

    fn lists(&self, out: &mut String) {
        for (which, name, about) in [
            (
                Which::FalseAlarms,
                "False alarms",
                "Benign rows that were refused.",
            ),
            (Which::Misses, "Misses", "Attacks that were let through."),
            (
                Which::Mutants,
                "Mutants",
                "Spelled otherwise, and judged otherwise than the value they were made from.",
            ),
        ] {
            let rows = which.of(&self.corpus.rows, self.verdicts);
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(out, "<h2>{name}: {}</h2>\n<p>{about}</p>", rows.len());
            let mut groups: BTreeMap<String, Vec<(&Row, &Verdict)>> = BTreeMap::new();
            for (row, verdict) in rows {
                let group = match (&row.mutant, which) {
                    (Some(mutant), _) => mutant.by.to_owned(),
                    (None, Which::FalseAlarms) => row.source.clone(),
                    (None, _) => row.class.clone(),
                };
                groups.entry(group).or_default().push((row, verdict));
            }
            for (group, rows) in groups {
                let _ = writeln!(
                    out,
                    "<details><summary>{} <span>{}</span></summary>",
                    escaped(&group),
                    rows.len()
                );
                for (row, verdict) in rows.iter().take(MOST) {
                    self.entry(out, row, verdict);
                }
                if rows.len() > MOST {
                    let _ = writeln!(out, "<article>… and {} more</article>", rows.len() - MOST);
                }
                out.push_str("</details>\n");
            }
        }
        self.strays(out);
    }

    fn entry(&self, out: &mut String, row: &Row, verdict: &Verdict) {
        let mut about = Vec::new();
        if !row.place.is_empty() {
            about.push(format!("in {}", row.place));
        }
        if let Some(score) = verdict.score {
            about.push(format!("score {score}"));
        }
        if !row.note.is_empty() {
            about.push(shown(row.note.as_bytes(), 120));
        }
        let _ = writeln!(
            out,
            "<article><h4>{} <span>{}</span></h4>",
            escaped(&row.id),
            escaped(&about.join(" · "))
        );
        let request = &row.request;
        let mut text = format!(
            "{} {}",
            shown(request.method.as_bytes(), 20),
            shown(request.path.as_bytes(), 400)
        );
        for line in super::list::headers(row, verdict) {
            text.push('\n');
            text.push_str(&line);
        }
        if !request.body.is_empty() {
            text.push('\n');
            text.push_str(&shown(&request.body, 600));
        }
        let _ = writeln!(out, "<code>{}</code>", escaped(&text));
        for reason in &verdict.reasons {
            let _ = writeln!(
                out,
                "<code class=\"found\">{}</code>",
                escaped(&found(reason))
            );
        }
        let told = |code: &str| verdict.reasons.iter().any(|one| one.reason == code);
        if !verdict.refusal.is_empty() && !told(&verdict.refusal) {
            let _ = writeln!(
                out,
                "<code class=\"found\">{}</code>",
                escaped(&verdict.refusal)
            );
        }
        if let Some(reason) = self.said.of(&row.id) {
            let _ = writeln!(
                out,
                "<code class=\"why\">said to be wrong or artificial: {}</code>",
                escaped(reason)
            );
        }
        out.push_str("</article>\n");
    }

    fn strays(&self, out: &mut String) {
        let Some(transplants) = self.transplants else {
            return;
        };
        let _ = writeln!(
            out,
            "<h2>Transplants</h2>\n<p>Values of attacks put into benign requests, and benign values into attacks: the verdict must follow the value.</p>\n\
             <div class=\"card scroll\"><table><tr><th></th><th>made</th><th>followed</th></tr>"
        );
        for (name, part) in [
            ("payloads in benign requests", transplants.payloads),
            ("missed values in benign requests", transplants.missed),
            ("benign values in attacks", transplants.honest),
        ] {
            let _ = writeln!(
                out,
                "<tr><td class=\"w\">{name}</td><td>{}</td><td>{}</td></tr>",
                part.made, part.followed
            );
        }
        let _ = writeln!(
            out,
            "<tr><td class=\"w\">attacks in which no single value decides</td><td>{}</td><td></td></tr>\n</table></div>",
            transplants.without
        );
        if transplants.strays.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "<details><summary>Verdicts that did not follow <span>{}</span></summary>",
            transplants.strays.len()
        );
        for stray in transplants.strays.iter().take(MOST) {
            let word = if stray.refused { "refused" } else { "passed" };
            let _ = writeln!(
                out,
                "<article><h4>{} <span>{word}, in {} of {}</span></h4><code>{}</code></article>",
                escaped(&stray.value_of),
                escaped(&stray.place),
                escaped(&stray.request_of),
                escaped(&stray.value)
            );
        }
        out.push_str("</details>\n");
    }
}

fn section(out: &mut String, name: &str, table: &BTreeMap<String, Counts>) {
    if table.is_empty() {
        return;
    }
    let attacks = table.values().any(|counts| counts.attacks > 0);
    let mixed = name != "Class";
    let benign = mixed && table.values().any(|counts| counts.benign > 0);
    let _ = write!(
        out,
        "<div class=\"card\"><h3>{name}</h3><div class=\"scroll\"><table><tr><th></th>"
    );
    if attacks {
        out.push_str("<th>attacks</th><th>caught %</th><th>missed</th>");
    }
    if benign {
        out.push_str("<th>benign</th><th>refused</th><th>%</th>");
    }
    out.push_str("</tr>\n");
    let share = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{share:.2}"));
    let rows = table.iter();
    // Honest rows have no class of attack.
    for (name, counts) in rows.filter(|(_, counts)| mixed || counts.attacks > 0) {
        let _ = write!(out, "<tr><td>{}</td>", escaped(name));
        for (is_attack, shown, all, percent, part) in [
            (
                true,
                attacks,
                counts.attacks,
                counts.caught_percent(),
                counts.attacks - counts.caught,
            ),
            (
                false,
                benign,
                counts.benign,
                counts.blocked_percent(),
                counts.blocked,
            ),
        ] {
            if shown && all == 0 {
                out.push_str("<td></td><td></td><td></td>");
            } else if shown {
                let percent = share(percent);
                let (left, right) = if is_attack {
                    (percent, part.to_string())
                } else {
                    (part.to_string(), percent)
                };
                let _ = write!(out, "<td>{all}</td><td>{left}</td><td>{right}</td>");
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div></div>\n");
}
