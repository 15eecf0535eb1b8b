//! A picture of a replayed trace: what was admitted and refused over time, and how full the busiest client's window was.
//!
//! **In:** a decided trace, the limit it is held to. **Out:** one SVG that needs nothing else, for light and dark pages.
//! **Invariant:** the same trace gives the same bytes.

use std::fmt::Write as _;
use std::time::Duration;

use super::simulate_trace::{Held, Replay};

const WIDTH: u64 = 900;
const HEIGHT: u64 = 500;
/// Edges of the plots.
const LEFT: u64 = 64;
const RIGHT: u64 = 884;
const UPPER: (u64, u64) = (64, 236);
const LOWER: (u64, u64) = (296, 448);
/// Bars at most; a longer trace has wider ones.
const BARS: u64 = 410;

const STYLE: &str = "\
svg{--ink:#1f2328;--soft:#59636e;--grid:#d8dee4;--ok:#2f6f4f;--no:#d1495b;--line:#9a6700;--page:#ffffff}
@media (prefers-color-scheme:dark){svg{--ink:#e6edf3;--soft:#9198a1;--grid:#30363d;--ok:#57ab7d;--no:#f0717f;--line:#e3b341;--page:#0d1117}}
text{font:13px system-ui,-apple-system,Segoe UI,sans-serif;fill:var(--soft)}
.title{font-size:15px;font-weight:600;fill:var(--ink)}
.grid{stroke:var(--grid)}.ok{fill:var(--ok)}.no{fill:var(--no)}
.full{fill:var(--ok);fill-opacity:.18;stroke:var(--ok);stroke-width:1.5}
.limit{stroke:var(--line);stroke-width:1.5;stroke-dasharray:6 4}.over{fill:var(--line)}
.end{text-anchor:end}.middle{text-anchor:middle}
";

/// Draws it.
pub(super) fn draw(replay: &Replay, held: &Held) -> String {
    let seconds = replay.length_ms() / 1000 + 1;
    let width = seconds.div_ceil(BARS).max(1);
    let bars = usize::try_from(seconds.div_ceil(width)).unwrap_or(1);
    let mut counts = vec![(0_u64, 0_u64); bars];
    for decided in &replay.decided {
        let at = usize::try_from(decided.at_ms / 1000 / width).unwrap_or(0);
        if let Some((admitted, refused)) = counts.get_mut(at) {
            *(if decided.admitted { admitted } else { refused }) += 1;
        }
    }
    let all = replay.decided.len();
    let passed = replay.passed();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">Requests over time: admitted and refused</title>\n\
         <desc id=\"d\">{all} requests in {seconds} s, {passed} admitted, {} refused.</desc>\n<style>\n{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"var(--page)\"/>\n",
        all - passed
    );
    let per = if width == 1 {
        "requests per second".to_owned()
    } else {
        format!("requests per {width} s")
    };
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{LEFT}\" y=\"26\">All clients: {all} requests, {passed} admitted</text>\n\
         <text x=\"{LEFT}\" y=\"50\">{per}</text>\n\
         <rect class=\"ok\" x=\"708\" y=\"39\" width=\"12\" height=\"12\"/><text x=\"725\" y=\"50\">admitted</text>\n\
         <rect class=\"no\" x=\"802\" y=\"39\" width=\"12\" height=\"12\"/><text x=\"819\" y=\"50\">refused</text>",
    );
    let most = counts.iter().map(|(a, r)| a + r).max().unwrap_or(0).max(1);
    let top = axis_y(&mut out, UPPER, most);
    let x = |second: u64| place(second, seconds, (LEFT, RIGHT));
    for (at, (admitted, refused)) in counts.iter().enumerate() {
        let second = u64::try_from(at).unwrap_or(0) * width;
        let (from, to) = (x(second), x((second + width).min(seconds)));
        let (_, floor) = UPPER;
        let tall = |count: u64| place(count, top, (0, UPPER.1 - UPPER.0));
        let (low, high) = (tall(*admitted), tall(admitted + refused));
        for (class, bottom, up) in [("ok", 0.0, low), ("no", low, high)] {
            if up > bottom {
                let _ = writeln!(
                    out,
                    "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    real(floor) - up,
                    (to - from - 0.3).max(0.5),
                    up - bottom
                );
            }
        }
    }
    axis_x(&mut out, UPPER.1, seconds, None);
    lower(&mut out, replay, held, seconds);
    out.push_str("</svg>\n");
    out
}

/// How many of the busiest client's admissions lie in the span that ends at each second.
fn lower(out: &mut String, replay: &Replay, held: &Held, seconds: u64) {
    let client = replay.busiest();
    let name = replay.clients.get(client).map_or("", String::as_str);
    let times = replay
        .admitted()
        .into_iter()
        .nth(client)
        .unwrap_or_default();
    let span_ms = held.span.map_or(u64::MAX, |span| {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
    });
    // The fullest moment of each second, which is at an admission or where the second begins.
    let full = |at: u64| -> u64 {
        let within = |time: &&u64| **time <= at && at - **time < span_ms;
        u64::try_from(times.iter().filter(within).count()).unwrap_or(0)
    };
    let fullest = |second: u64| -> u64 {
        let own = times.iter().filter(|time| **time / 1000 == second);
        own.map(|time| full(*time))
            .chain([full(second * 1000)])
            .max()
            .unwrap_or(0)
    };
    let step = seconds.div_ceil(BARS).max(1);
    let values: Vec<(u64, u64)> = (0..seconds.div_ceil(step))
        .map(|at| at * step)
        .map(|second| {
            let most = (second..second + step).map(fullest).max().unwrap_or(0);
            (second, most)
        })
        .collect();
    let most = values.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let most = most.max(held.limit.unwrap_or(0)).max(1);
    let when = held.span.map_or_else(
        || "so far".to_owned(),
        |span| format!("in the last {}", words(span)),
    );
    let heading = format!("Client {name}: admitted {when}");
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"{LEFT}\" y=\"282\">{heading}</text>"
    );
    let top = axis_y(out, LOWER, most);
    let y = |value: u64| real(LOWER.1) - place(value, top, (0, LOWER.1 - LOWER.0));
    let x = |second: u64| place(second, seconds, (LEFT, RIGHT));
    let mut path = format!("M{LEFT} {}", LOWER.1);
    for (second, value) in &values {
        let end = x((second + step).min(seconds));
        let _ = write!(
            path,
            "L{:.1} {:.1}L{end:.1} {:.1}",
            x(*second),
            y(*value),
            y(*value)
        );
    }
    let _ = writeln!(
        out,
        "<path class=\"full\" d=\"{path}L{RIGHT} {}Z\"/>",
        LOWER.1
    );
    if let Some(limit) = held.limit {
        let at = y(limit);
        let _ = writeln!(
            out,
            "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
             <text class=\"over end\" x=\"{RIGHT}\" y=\"{:.1}\">limit {limit}</text>",
            at - 6.0,
        );
    }
    axis_x(
        out,
        LOWER.1,
        seconds,
        Some("seconds since the first request"),
    );
}

/// Lines and numbers; returns the value at the upper edge.
fn axis_y(out: &mut String, (upper, lower): (u64, u64), most: u64) -> u64 {
    let step = step_for(most, 4);
    // Room above the highest value.
    let top = (most / step + 1) * step;
    let mut value = 0;
    while value <= top {
        let y = real(lower) - place(value, top, (0, lower - upper));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"end\" x=\"{}\" y=\"{:.1}\">{value}</text>",
            LEFT - 8,
            y + 4.5
        );
        value += step;
    }
    top
}

fn axis_x(out: &mut String, floor: u64, seconds: u64, label: Option<&str>) {
    let step = step_for(seconds, 10);
    let mut second = 0;
    while second <= seconds {
        let _ = writeln!(
            out,
            "<text class=\"middle\" x=\"{:.1}\" y=\"{}\">{second}</text>",
            place(second, seconds, (LEFT, RIGHT)),
            floor + 18
        );
        second += step;
    }
    if let Some(label) = label {
        let _ = writeln!(
            out,
            "<text class=\"middle\" x=\"{}\" y=\"{}\">{label}</text>",
            u64::midpoint(LEFT, RIGHT),
            floor + 40
        );
    }
}

/// 1, 2 or 5 times a power of ten, so that at most `parts` of them make `most`.
fn step_for(most: u64, parts: u64) -> u64 {
    let mut step = 1_u64;
    let mut factors = [2, 5, 10].into_iter().cycle();
    let mut unit = 1_u64;
    while most / step > parts {
        let factor = factors.next().unwrap_or(10);
        step = unit.saturating_mul(factor);
        if factor == 10 {
            unit = step;
        }
    }
    step
}

/// Where `value` of `most` lies between two edges.
fn place(value: u64, most: u64, (from, to): (u64, u64)) -> f64 {
    real(from) + real(to - from) * real(value) / real(most.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "coordinates of a picture")]
const fn real(number: u64) -> f64 {
    number as f64
}

fn words(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        _ => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_few_round_steps() {
        let steps = [(1, 1), (4, 1), (5, 2), (60, 20), (180, 50), (1000, 500)];
        for (most, step) in steps {
            assert_eq!(step_for(most, 4), step, "{most}");
        }
        assert_eq!(step_for(180, 10), 20);
    }

    #[test]
    fn spans_are_written_in_their_unit() {
        let spans = [(60, "1 min"), (10, "10 s"), (7200, "2 h")];
        for (seconds, text) in spans {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
    }
}
