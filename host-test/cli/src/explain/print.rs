//! An explanation for people: verdict, table of steps, values before and after each decoding step, the way out.
//!
//! **In:** what was explained. **Out:** text; colours only when asked for.
//! **Invariant:** no byte of a request reaches the terminal unescaped.

use std::fmt::Write as _;

use super::broken::Broken;
use super::change::How;
use super::decide::{Explanation, Match, Value, Verdict};
use super::exception::{Exception, Nearest};
use super::input::Input;

/// Bytes of a value that are shown in one line.
const WIDTH: usize = 100;

/// What stands for a value that is not to be shown.
const HIDDEN: &str = "[redacted]";

/// Everything, as text.
#[must_use]
pub fn human(
    input: &Input,
    told: &Explanation,
    broken: Option<&Broken>,
    exception: Option<&Exception>,
    nearest: Option<&Nearest>,
    colour: bool,
) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    headline(&mut out, told, paint);
    for note in &input.notes {
        line(&mut out, &format!("  note: {}", visible(note)));
    }
    for warning in &told.warnings {
        line(&mut out, &format!("  warning: {}", visible(warning)));
    }
    table(&mut out, told, paint);
    if let Some(broken) = broken {
        fault(&mut out, broken, paint);
    }
    for value in shown(told) {
        block(&mut out, value, paint);
    }
    let hidden = shown(told).any(|value| value.raw == HIDDEN);
    if hidden {
        line(
            &mut out,
            "\n  names in `events.redact` are hidden: `--show-secrets` shows their values",
        );
    }
    let ran = told
        .steps
        .iter()
        .any(|row| row.step.starts_with("injection"));
    match told.score {
        Some(score) if ran => {
            let why = if told.values.is_empty() {
                "nothing was seen"
            } else {
                "the worst value counts"
            };
            line(
                &mut out,
                &format!("\n  score {} of {} ({why})", score.score, score.threshold),
            );
        }
        Some(score) if score.score > 0 => line(
            &mut out,
            &format!(
                "\n  injection detection had no turn; it would score {} of {}",
                score.score, score.threshold
            ),
        ),
        _ => {}
    }
    if !told.headers.is_empty() {
        let whose = if matches!(told.verdict, Verdict::Denied { .. }) {
            "the reply carries"
        } else {
            "the upstream gets besides"
        };
        line(&mut out, &format!("\n  {whose}"));
        for (name, value) in &told.headers {
            line(
                &mut out,
                &format!("    {}: {}", visible(name), visible(value)),
            );
        }
    }
    if let Some(exception) = exception {
        way_out(&mut out, exception, paint);
    }
    if let Verdict::Allowed { monitored } = told.verdict {
        let text = match nearest {
            Some(near) if monitored && !below(told) => format!(
                "\n  enforced, it would be refused: {} (score {} of {} at level {})",
                visible(&near.what),
                near.score,
                near.threshold,
                near.level
            ),
            Some(near) => format!(
                "\n  closest: {} would refuse it at level {} (score {} of {})",
                visible(&near.what),
                near.level,
                near.score,
                near.threshold
            ),
            None if ran => "\n  closest: no level from 1 to 4 would refuse it".to_owned(),
            None => String::new(),
        };
        if !text.is_empty() {
            line(&mut out, &text);
        }
    }
    out
}

/// Whether injection detection alone found something, and too little to refuse it.
fn below(told: &Explanation) -> bool {
    told.score
        .is_some_and(|score| score.score < score.threshold)
        && told
            .findings
            .iter()
            .all(|finding| finding.reason == "injection")
}

fn headline(out: &mut String, told: &Explanation, paint: Paint) {
    let place = if told.route.is_empty() {
        "no route".to_owned()
    } else {
        format!("route `{}`", visible(&told.route))
    };
    let head = match &told.verdict {
        Verdict::Allowed { monitored: false } => paint.green("ALLOWED"),
        Verdict::Allowed { monitored: true } if below(told) => {
            format!(
                "{} with findings below the threshold",
                paint.green("ALLOWED")
            )
        }
        Verdict::Allowed { monitored: true } => {
            format!(
                "{} with findings that are only reported",
                paint.green("ALLOWED")
            )
        }
        Verdict::Denied {
            stage,
            reason,
            status,
        } => format!("{} {status} {reason}, by {stage}", paint.red("DENIED")),
        Verdict::Held => format!("{}: nothing freed it", paint.red("HELD")),
    };
    line(
        out,
        &format!(
            "{head}  ({place}, client {}, body {})",
            told.client, told.body
        ),
    );
}

fn table(out: &mut String, told: &Explanation, paint: Paint) {
    line(out, "");
    line(
        out,
        &format!("  {:<17} {:<9} {:>9}  detail", "step", "decision", "fuel"),
    );
    for row in &told.steps {
        let decision = format!("{:<9}", row.decision);
        let decision = match row.decision {
            "refused" => paint.red(&decision),
            "reported" => paint.bold(&decision),
            _ => decision,
        };
        let text = format!(
            "  {:<17} {decision} {:>9}  {}",
            row.step,
            grouped(row.fuel),
            clip(&visible(&row.detail), WIDTH)
        );
        line(out, text.trim_end());
    }
    line(
        out,
        &format!(
            "  {:<17} {:<9} {:>9}  the verdict carried out, the stream begun and ended",
            "around it",
            "",
            grouped(told.rest)
        ),
    );
    line(
        out,
        &format!("  {:<17} {:<9} {:>9}", "all", "", grouped(told.fuel)),
    );
}

/// Values worth showing: those that weigh something; without any, those that nearly did.
fn shown(told: &Explanation) -> impl Iterator<Item = &Value> {
    let weighs = |value: &&Value| value.matches.iter().any(|seen| seen.points > 0);
    let any = told.values.iter().any(|value| weighs(&value));
    told.values
        .iter()
        .filter(move |value| !any || weighs(value))
        .take(8)
}

fn block(out: &mut String, value: &Value, paint: Paint) {
    let mut classes: Vec<String> = Vec::new();
    for seen in &value.matches {
        let taken = if seen.excepted { ", excepted" } else { "" };
        let word = format!(
            "{} {} points, level {}{taken}",
            visible(&seen.rule),
            seen.points,
            seen.level
        );
        if !classes.contains(&word) {
            classes.push(word);
        }
    }
    line(
        out,
        &format!(
            "\n  {}  {}",
            paint.bold(&visible(&value.place)),
            classes.join(", ")
        ),
    );
    let mut views = vec![("as sent", value.raw.as_str())];
    views.extend(
        value
            .steps
            .iter()
            .map(|step| (step.by.as_str(), step.bytes.as_str())),
    );
    let wide = views
        .iter()
        .map(|(by, _)| by.len())
        .max()
        .unwrap_or(0)
        .max(7);
    // A match is shown in the first view that has it.
    let mut left: Vec<&Match> = value.matches.iter().collect();
    for (by, bytes) in views {
        let (here, later): (Vec<&Match>, Vec<&Match>) = left
            .into_iter()
            .partition(|seen| !seen.evidence.is_empty() && bytes.contains(&seen.evidence));
        left = later;
        let at = here
            .iter()
            .filter_map(|seen| Some((bytes.find(&seen.evidence)?, seen.evidence.len())))
            .max_by_key(|(_, length)| *length);
        line(
            out,
            &format!("    {by:<wide$}  {}", marked(bytes, at, paint)),
        );
        for seen in here {
            line(
                out,
                &format!(
                    "    {:<wide$}  └ {}: {}",
                    "",
                    visible(&seen.rule),
                    paint.red(&visible(&seen.evidence))
                ),
            );
            if !seen.tokens.is_empty() {
                line(out, &format!("    {:<wide$}    as {}", "", seen.tokens));
            }
        }
    }
}

/// Where a body breaks, and what to send instead.
fn fault(out: &mut String, broken: &Broken, paint: Paint) {
    let place = broken.offset.map_or_else(String::new, |at| {
        format!(" at byte {at} of {}", broken.bytes)
    });
    line(
        out,
        &format!(
            "\n  {}  broken as {}{place}: {}",
            paint.bold("body"),
            broken.kind,
            visible(&broken.fault)
        ),
    );
    if broken.offset.is_some() {
        let before = visible(&broken.before);
        let spaces = " ".repeat(before.chars().count());
        line(
            out,
            &format!("    {before}{}", paint.red(&visible(&broken.after))),
        );
        line(out, &format!("    {spaces}^"));
    }
    line(out, &format!("  fix: {}", broken.fix));
}

/// A view with its match lit up, cut around it.
fn marked(bytes: &str, at: Option<(usize, usize)>, paint: Paint) -> String {
    let Some((from, length)) = at else {
        return clip(&visible(bytes), WIDTH);
    };
    let (before, rest) = bytes.split_at(from);
    let (hit, after) = rest.split_at(length);
    let before = visible(before);
    let skip = before.chars().count().saturating_sub(WIDTH / 2);
    let lead = if skip > 0 { "…" } else { "" };
    let before: String = before.chars().skip(skip).collect();
    format!(
        "{lead}{before}{}{}",
        paint.red(&visible(hit)),
        clip(&visible(after), WIDTH / 2)
    )
}

fn way_out(out: &mut String, exception: &Exception, paint: Paint) {
    if let Some(advice) = &exception.advice {
        line(out, &format!("\n  no exception: {advice}"));
        return;
    }
    let proof = if exception.proved {
        "proved: the module lets this request pass with it"
    } else {
        "not proved"
    };
    line(
        out,
        &format!(
            "\n  {} ({} runs; {proof})",
            paint.bold("narrowest exception"),
            exception.runs
        ),
    );
    for change in &exception.changes {
        let how = match change.how {
            How::Add => "add",
            How::Replace => "set",
        };
        line(out, &format!("\n    # {how}"));
        for text in change.yaml.lines() {
            line(out, &format!("    {text}"));
        }
        line(
            out,
            &format!("    # also lets pass: {}", visible(&change.warning)),
        );
    }
}

/// A line more.
fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

/// Control and other characters that a terminal would act on, escaped.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let escape = letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = escape.then(|| letter.escape_default());
            let plain = (!escape).then_some(letter);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most).collect();
    cut.push('…');
    cut
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(
            visible("a\x1b[31m\n\u{202e}ü'"),
            "a\\u{1b}[31m\\n\\u{202e}ü'"
        );
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(marked("aXbc", Some((1, 1)), Paint(false)), "aXbc");
    }
}
