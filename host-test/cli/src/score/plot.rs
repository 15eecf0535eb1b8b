//! Plots of a report: what is caught beside what is refused as the threshold moves, and what is caught of each class.
//!
//! **In:** rows with scores, tables. **Out:** inline SVG without script, coloured by the page's variables, readable from 340 pixels on.
//! **Invariant:** a point is counted from the scores of the rows, never interpolated; the same rows give the same bytes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::corpus::Corpus;
use super::table::percent;
use super::{Counts, Label, Tables, Verdict};

/// What a threshold does.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Points that refuse.
    pub threshold: u32,
    /// Percent of the attacks that are caught.
    pub caught: f64,
    /// Percent of the benign rows that are refused: of all, then by tier in their order.
    pub refused: Vec<f64>,
}

/// Names of the benign groups of a [`Point`], and what each threshold that changes something does. Nothing where the filter tells no scores.
#[must_use]
pub fn points(corpus: &Corpus, verdicts: &[Verdict]) -> (Vec<String>, Vec<Point>) {
    let mut groups = vec!["all".to_owned()];
    groups.extend(corpus.tiers.keys().cloned());
    let rows: Vec<_> = corpus
        .rows
        .iter()
        .zip(verdicts)
        .filter(|(row, verdict)| row.mutant.is_none() && verdict.score.is_some())
        .collect();
    let mut thresholds: BTreeSet<u32> = rows
        .iter()
        .filter_map(|(_, verdict)| verdict.score)
        .filter(|score| *score > 0)
        .collect();
    if let Some(most) = thresholds.last().copied() {
        // Where nothing is left but what cannot be read.
        thresholds.insert(most + 1);
    }
    let mut points = Vec::new();
    for threshold in thresholds {
        let mut attacks = Counts::default();
        let mut benign = vec![Counts::default(); groups.len()];
        for (row, verdict) in &rows {
            // What was refused for another reason stays refused.
            let other = verdict.blocked && verdict.refusal != "injection";
            let refused = other || verdict.score.is_some_and(|score| score >= threshold);
            match row.label {
                Label::Attack => attacks.add(row.label, refused),
                Label::Benign => {
                    let tier = corpus.tier(&row.source);
                    for (group, counts) in groups.iter().zip(&mut benign) {
                        if group == "all" || tier == Some(group) {
                            counts.add(row.label, refused);
                        }
                    }
                }
                Label::Ambiguous => {}
            }
        }
        points.push(Point {
            threshold,
            caught: attacks.caught_percent().unwrap_or_default(),
            refused: benign
                .iter()
                .map(|counts| counts.blocked_percent().unwrap_or_default())
                .collect(),
        });
    }
    if rows.is_empty() {
        points.clear();
    }
    (groups, points)
}

const WIDTH: f64 = 420.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 404.0;

/// The curve of caught over refused, a line a benign group; the threshold that was judged by is ringed.
#[must_use]
pub fn curve(groups: &[String], points: &[Point], judged_by: u32) -> String {
    const TOP: f64 = 14.0;
    const FLOOR: f64 = 250.0;
    let most = points
        .iter()
        .flat_map(|point| &point.refused)
        .fold(0.0_f64, |most, share| most.max(*share));
    let (end, step) = axis(most.max(0.5));
    let lowest = points
        .iter()
        .fold(100.0_f64, |low, point| low.min(point.caught));
    let from = (lowest / 10.0).floor() * 10.0;
    let from = from.min(90.0);
    let x = |share: f64| LEFT + (RIGHT - LEFT) * share / end;
    let y = |share: f64| FLOOR - (FLOOR - TOP) * (share - from) / (100.0 - from);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} 330\" role=\"img\" aria-label=\"Attacks caught over benign requests refused, by threshold\">\n"
    );
    let rise = if from < 50.0 { 20.0 } else { 10.0 };
    let mut mark = from;
    while mark <= 100.0 {
        let at = y(mark);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"end\" x=\"38\" y=\"{:.1}\">{mark:.0}</text>",
            at + 4.0
        );
        mark += rise;
    }
    let mut mark = 0.0;
    while mark <= end + 1e-9 {
        let at = x(mark);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{FLOOR}\"/><text class=\"middle\" x=\"{at:.1}\" y=\"268\">{}</text>",
            short(mark)
        );
        mark += step;
    }
    let _ = writeln!(
        out,
        "<text class=\"middle\" x=\"224\" y=\"288\">% of benign requests refused</text>\
         <text class=\"middle\" transform=\"translate(11 132) rotate(-90)\">% of attacks caught</text>"
    );
    for (index, group) in groups.iter().enumerate() {
        let places: Vec<(f64, f64, u32)> = points
            .iter()
            .map(|point| {
                let share = point.refused.get(index).copied().unwrap_or_default();
                (x(share), y(point.caught), point.threshold)
            })
            .collect();
        let line: Vec<String> = places
            .iter()
            .map(|(x, y, _)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            out,
            "<polyline class=\"line g{index}\" points=\"{}\"/>",
            line.join(" ")
        );
        for (x, y, threshold) in places {
            let _ = writeln!(
                out,
                "<circle class=\"dot g{index}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{}: threshold {threshold}</title></circle>",
                escaped(group)
            );
        }
    }
    // The verdicts of a threshold are those of the smallest score that reaches it.
    if let Some(point) = points.iter().find(|point| point.threshold >= judged_by) {
        for (index, share) in point.refused.iter().enumerate() {
            let _ = writeln!(
                out,
                "<circle class=\"ring g{index}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"6\"/>",
                x(*share),
                y(point.caught)
            );
        }
    }
    let mut at = LEFT;
    for (index, group) in groups.iter().enumerate() {
        let _ = writeln!(
            out,
            "<rect class=\"key g{index}\" x=\"{at:.0}\" y=\"304\" width=\"12\" height=\"12\"/><text x=\"{:.0}\" y=\"314\">{}</text>",
            at + 17.0,
            escaped(group)
        );
        at += 34.0 + 7.5 * length(group);
    }
    let _ = writeln!(
        out,
        "<circle class=\"ring\" cx=\"{:.0}\" cy=\"310\" r=\"6\"/><text x=\"{:.0}\" y=\"314\">threshold {judged_by}</text>\n</svg>",
        at + 6.0,
        at + 17.0
    );
    out
}

/// A bar a class of attacks.
#[must_use]
pub fn bars(tables: &Tables) -> String {
    let classes: Vec<(&String, &Counts)> = tables
        .classes
        .iter()
        .filter(|(_, counts)| counts.attacks > 0)
        .collect();
    let height = 24.0 * number(classes.len()) + 8.0;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Attacks caught, by class\">\n"
    );
    let mut top = 4.0;
    for (name, counts) in classes {
        let share = percent(counts.caught, counts.attacks).unwrap_or_default();
        let wide = 180.0 * share / 100.0;
        let _ = writeln!(
            out,
            "<text class=\"end\" x=\"92\" y=\"{0:.0}\">{1}</text><rect class=\"bed\" x=\"100\" y=\"{2:.0}\" width=\"180\" height=\"14\"/>\
             <rect class=\"bar\" x=\"100\" y=\"{2:.0}\" width=\"{wide:.1}\" height=\"14\"/>\
             <text x=\"288\" y=\"{0:.0}\"><tspan class=\"ink\">{share:.1} %</tspan> of {3}</text>",
            top + 14.0,
            escaped(name),
            top + 3.0,
            counts.attacks
        );
        top += 24.0;
    }
    out.push_str("</svg>\n");
    out
}

/// A round end of an axis, and the step of its marks.
fn axis(most: f64) -> (f64, f64) {
    let scale = 10.0_f64.powf(most.log10().floor());
    for factor in [1.0, 2.0, 2.5, 5.0, 10.0] {
        let end = factor * scale;
        if end >= most {
            return (end, end / 5.0);
        }
    }
    (most, most / 5.0)
}

fn short(share: f64) -> String {
    let text = format!("{share:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn length(text: &str) -> f64 {
    number(text.chars().count())
}

/// Text of a page.
#[must_use]
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            one => out.push(one),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Request, Row};

    fn row(label: Label, source: &str) -> Row {
        Row {
            id: String::new(),
            source: source.to_owned(),
            class: "sqli".to_owned(),
            label,
            place: String::new(),
            note: String::new(),
            request: Request::default(),
            mutant: None,
        }
    }

    fn verdict(score: u32, refusal: &str) -> Verdict {
        Verdict {
            score: Some(score),
            blocked: !refusal.is_empty(),
            refusal: refusal.to_owned(),
            ..Verdict::default()
        }
    }

    #[test]
    fn points_are_counted_from_scores() {
        let corpus = Corpus {
            rows: vec![
                row(Label::Attack, "a"),
                row(Label::Attack, "a"),
                row(Label::Attack, "a"),
                row(Label::Benign, "b"),
                row(Label::Benign, "c"),
                row(Label::Ambiguous, "c"),
            ],
            tiers: [("real".to_owned(), vec!["c".to_owned()])].into(),
            ..Corpus::default()
        };
        let verdicts = [
            verdict(10, "injection"),
            verdict(3, ""),
            verdict(0, "malformed_body"),
            verdict(3, ""),
            verdict(0, ""),
            verdict(99, "injection"),
        ];
        let (groups, points) = points(&corpus, &verdicts);
        assert_eq!(groups, ["all", "real"]);
        let told: Vec<(u32, String, Vec<f64>)> = points
            .into_iter()
            .map(|point| {
                (
                    point.threshold,
                    format!("{:.1}", point.caught),
                    point.refused,
                )
            })
            .collect();
        let expected = [
            (3, "100.0".to_owned(), vec![50.0, 0.0]),
            (10, "66.7".to_owned(), vec![0.0, 0.0]),
            (99, "33.3".to_owned(), vec![0.0, 0.0]),
            (100, "33.3".to_owned(), vec![0.0, 0.0]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_axis_ends_beyond_what_it_shows() {
        for (most, end) in [
            (0.5, 0.5),
            (0.62, 1.0),
            (1.52, 2.0),
            (13.8, 20.0),
            (100.0, 100.0),
        ] {
            let (got, _) = axis(most);
            assert!((got - end).abs() < 1e-9, "{most}: {got}");
        }
    }

    #[test]
    fn names_cannot_leave_their_text() {
        let mut tables = Tables::default();
        let counts = Counts {
            attacks: 1,
            ..Counts::default()
        };
        tables.classes.insert("<b>\"&".to_owned(), counts);
        let drawn = bars(&tables);
        assert!(drawn.contains("&lt;b&gt;&quot;&amp;"), "{drawn}");
        assert!(!drawn.contains("<b>"), "{drawn}");
    }
}
