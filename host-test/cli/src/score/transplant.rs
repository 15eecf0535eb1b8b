//! Values moved between requests: a verdict is about the value, so it must go where the value goes.
//!
//! **In:** rows and their verdicts. **Out:** for payloads put into honest requests and honest values put into attacks, how many verdicts
//! followed, and those that did not.
//! **Invariant:** which value of an attack is the payload is found by taking it out: without it the request passes. Of an attack that is missed
//! it is the value that no other row of its source has. Rows where no single value decides are counted, not guessed at.

use std::collections::HashMap;

use anyhow::Result;
use serde::Serialize;

use super::mutate::Random;
use super::run::Progress;
use super::slots::{Slot, replace, slots};
use super::{Judge, Label, Row, Verdict, judge_all};

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Transplants {
    /// Payloads of caught attacks in honest requests: made, and refused.
    pub payloads: Followed,
    /// Values of missed attacks in honest requests: made, and passed.
    pub missed: Followed,
    /// Honest values in place of payloads: made, and passed.
    pub honest: Followed,
    /// Attacks in which no single value decides (path, name, several values, a whole body).
    pub without: u64,
    /// Those that did not follow.
    pub strays: Vec<Stray>,
}

/// How many, and how many of them went with their value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Followed {
    /// Requests made.
    pub made: u64,
    /// Verdicts that are those of the value.
    pub followed: u64,
}

/// A verdict that did not follow its value.
#[derive(Debug, Clone, Serialize)]
pub struct Stray {
    /// Row the value is from.
    pub value_of: String,
    /// Row the request is from.
    pub request_of: String,
    /// Where it was put.
    pub place: String,
    /// The value.
    pub value: String,
    /// It was refused, and should not have been; else the other way.
    pub refused: bool,
    /// What was found.
    pub verdict: Verdict,
}

/// A transplanted row and what is expected of it.
struct Made {
    row: Row,
    kind: Kind,
    value_of: String,
    request_of: String,
    place: String,
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payload,
    Missed,
    Honest,
}

/// Values of one request that are tried one by one.
const MOST_SLOTS: usize = 24;
/// Longest value that is moved.
const LONGEST: usize = 4096;

impl Transplants {
    /// Percent that followed.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let parts = [self.payloads, self.missed, self.honest];
        let made = parts.iter().map(|part| part.made).sum();
        super::table::percent(parts.iter().map(|part| part.followed).sum(), made)
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |name: &str, part: Followed| {
            let share = super::table::percent(part.followed, part.made)
                .map_or_else(|| "-".to_owned(), |share| format!("{share:.2} %"));
            format!(
                "{name}{:>8} made{:>9} followed ({share})\n",
                part.made, part.followed
            )
        };
        [
            line("payloads put into honest requests  ", self.payloads),
            line("missed values put into honest ones ", self.missed),
            line("honest values put into attacks     ", self.honest),
            format!(
                "{} attacks in which no single value decides\n",
                self.without
            ),
        ]
        .concat()
    }
}

/// Moves values of `each` attacks at most (`None`: of all), chosen by the seed.
///
/// # Errors
/// A judge cannot be made.
pub fn run<J: Judge>(
    rows: &[Row],
    verdicts: &[Verdict],
    each: Option<usize>,
    seed: u64,
    threads: usize,
    judge: impl Fn() -> Result<J> + Sync,
    progress: Progress<'_>,
) -> Result<Transplants> {
    let mut random = Random::new(seed, "transplants");
    let pairs: Vec<(&Row, &Verdict)> = rows
        .iter()
        .zip(verdicts)
        .filter(|(row, _)| row.mutant.is_none())
        .collect();
    let honest: Vec<(&Row, Vec<Slot>)> = pairs
        .iter()
        .filter(|(row, verdict)| row.label == Label::Benign && !verdict.blocked)
        .map(|(row, _)| (*row, slots(&row.request)))
        .filter(|(_, slots)| !slots.is_empty())
        .collect();
    let mut attacks: Vec<(&Row, &Verdict)> = pairs
        .into_iter()
        .filter(|(row, _)| row.label == Label::Attack)
        .collect();
    let counts = frequencies(rows);
    random.shuffle(&mut attacks);
    attacks.truncate(each.unwrap_or(usize::MAX));
    if honest.is_empty() || attacks.is_empty() {
        anyhow::bail!("transplants need attacks, and benign rows with values");
    }
    let payloads = payloads(&attacks, &counts, threads, &judge, progress)?;
    let mut told = Transplants {
        without: u64::try_from(payloads.iter().filter(|slot| slot.is_none()).count())?,
        ..Transplants::default()
    };
    let mut made = Vec::new();
    for ((row, verdict), slot) in attacks.iter().zip(payloads) {
        let Some(slot) = slot.filter(|slot| slot.value.len() <= LONGEST) else {
            continue;
        };
        let kind = if verdict.blocked {
            Kind::Payload
        } else {
            Kind::Missed
        };
        made.extend(into_honest(row, &slot, kind, &honest, &mut random));
        if verdict.blocked {
            made.extend(into_attack(row, &slot, &honest, &mut random));
        }
    }
    let new: Vec<Row> = made.iter().map(|made| made.row.clone()).collect();
    let judged = judge_all(&new, threads, &judge, progress)?;
    for (made, verdict) in made.into_iter().zip(judged) {
        let (part, expected) = match made.kind {
            Kind::Payload => (&mut told.payloads, true),
            Kind::Missed => (&mut told.missed, false),
            Kind::Honest => (&mut told.honest, false),
        };
        part.made += 1;
        if verdict.blocked == expected {
            part.followed += 1;
            continue;
        }
        told.strays.push(Stray {
            value_of: made.value_of,
            request_of: made.request_of,
            place: made.place,
            value: super::list::shown(&made.value, 200),
            refused: verdict.blocked,
            verdict,
        });
    }
    Ok(told)
}

/// How many rows of a source have a value.
fn frequencies(rows: &[Row]) -> HashMap<(&str, Vec<u8>), u32> {
    let mut counts = HashMap::new();
    for row in rows.iter().filter(|row| row.label == Label::Attack) {
        for slot in slots(&row.request) {
            *counts.entry((row.source.as_str(), slot.value)).or_insert(0) += 1;
        }
    }
    counts
}

/// The value of each attack that makes its verdict.
fn payloads<J: Judge>(
    attacks: &[(&Row, &Verdict)],
    counts: &HashMap<(&str, Vec<u8>), u32>,
    threads: usize,
    judge: &(impl Fn() -> Result<J> + Sync),
    progress: Progress<'_>,
) -> Result<Vec<Option<Slot>>> {
    let mut out: Vec<Option<Slot>> = Vec::new();
    let mut probes: Vec<(usize, Slot)> = Vec::new();
    let mut probing: Vec<Row> = Vec::new();
    for (at, (row, verdict)) in attacks.iter().enumerate() {
        let mut all = slots(&row.request);
        if !verdict.blocked {
            out.push(rarest(row, all, counts));
            continue;
        }
        out.push(None);
        // Where it was found first; the names of findings are cut, of files and elements they are others.
        let places: Vec<&str> = verdict
            .reasons
            .iter()
            .filter(|reason| reason.reason == "injection")
            .map(|reason| reason.place.as_str())
            .collect();
        all.sort_by_key(|slot| !places.contains(&slot.place().as_str()));
        for slot in all.into_iter().take(MOST_SLOTS) {
            if let Some(request) = replace(&row.request, &slot, b"ok") {
                probing.push(Row {
                    request,
                    ..Row::clone(row)
                });
                probes.push((at, slot));
            }
        }
    }
    let judged = judge_all(&probing, threads, judge, progress)?;
    for ((at, slot), verdict) in probes.into_iter().zip(judged) {
        if let Some(found @ None) = out.get_mut(at)
            && !verdict.blocked
        {
            *found = Some(slot);
        }
    }
    Ok(out)
}

/// Of a missed attack: the value that only it has.
fn rarest(row: &Row, all: Vec<Slot>, counts: &HashMap<(&str, Vec<u8>), u32>) -> Option<Slot> {
    let count = |slot: &Slot| {
        let key = (row.source.as_str(), slot.value.clone());
        counts.get(&key).copied().unwrap_or_default()
    };
    let mut own = all.into_iter().filter(|slot| count(slot) <= 2);
    let first = own.next()?;
    own.next().is_none().then_some(first)
}

/// A value in the place of another, in a request that it can stand in.
fn into_honest(
    row: &Row,
    payload: &Slot,
    kind: Kind,
    honest: &[(&Row, Vec<Slot>)],
    random: &mut Random,
) -> Option<Made> {
    for _ in 0..8 {
        let (host, slots) = honest.get(random.below(honest.len()))?;
        let slot = slots.get(random.below(slots.len()))?;
        if let Some(request) = replace(&host.request, slot, &payload.value) {
            return Some(made(host, row, request, kind, slot, &payload.value));
        }
    }
    None
}

fn into_attack(
    row: &Row,
    payload: &Slot,
    honest: &[(&Row, Vec<Slot>)],
    random: &mut Random,
) -> Option<Made> {
    for _ in 0..8 {
        let (from, slots) = honest.get(random.below(honest.len()))?;
        let value = &slots.get(random.below(slots.len()))?.value;
        if value.len() > LONGEST {
            continue;
        }
        if let Some(request) = replace(&row.request, payload, value) {
            return Some(made(row, from, request, Kind::Honest, payload, value));
        }
    }
    None
}

fn made(
    host: &Row,
    from: &Row,
    request: super::Request,
    kind: Kind,
    slot: &Slot,
    value: &[u8],
) -> Made {
    Made {
        row: Row {
            id: format!("{}+{}", host.id, from.id),
            request,
            ..host.clone()
        },
        kind,
        value_of: from.id.clone(),
        request_of: host.id.clone(),
        place: slot.place(),
        value: value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::place::{self, As, Place};

    /// Refuses what has `evil` in it: where it looks is what it is about.
    struct Looks(fn(&super::super::Request) -> String);

    impl Judge for Looks {
        fn judge(&mut self, request: &super::super::Request) -> Verdict {
            Verdict {
                blocked: (self.0)(request).contains("evil"),
                ..Verdict::default()
            }
        }
    }

    fn row(id: &str, label: Label, value: &str, place: Place) -> Row {
        Row {
            id: id.to_owned(),
            source: "small".to_owned(),
            class: "sqli".to_owned(),
            label,
            place: String::new(),
            note: String::new(),
            request: place::request(value, place, As::Value, false).expect("a request"),
            mutant: None,
        }
    }

    fn whole(request: &super::super::Request) -> String {
        format!(
            "{}{:?}{}",
            request.path,
            request.headers,
            String::from_utf8_lossy(&request.body)
        )
    }

    fn moved(looks: fn(&super::super::Request) -> String, rows: &[Row]) -> Transplants {
        let verdicts = judge_all(rows, 1, || Ok(Looks(looks)), &|_| ()).expect("verdicts");
        run(rows, &verdicts, None, 1, 1, || Ok(Looks(looks)), &|_| ()).expect("transplants")
    }

    #[test]
    fn a_verdict_about_the_value_goes_with_it() {
        let rows = [
            row("a", Label::Attack, "evil", Place::Query),
            row("b", Label::Attack, "evil too", Place::Query),
            row("c", Label::Attack, "unknown", Place::Query),
            row("d", Label::Benign, "good", Place::Multipart),
        ];
        let told = moved(whole, &rows);
        let all = |made| Followed {
            made,
            followed: made,
        };
        assert_eq!(told.payloads, all(2));
        assert_eq!(told.missed, all(1));
        assert_eq!(told.honest, all(2));
        assert_eq!(told.percent(), Some(100.0));
    }

    #[test]
    fn a_verdict_about_the_wrapping_is_found_out() {
        // It looks at the query alone: elsewhere the same value passes.
        let rows = [
            row("a", Label::Attack, "evil", Place::Query),
            row("d", Label::Benign, "good", Place::Json),
        ];
        let told = moved(|request| request.path.clone(), &rows);
        assert_eq!(told.payloads.made, 1);
        assert_eq!(told.payloads.followed, 0);
        assert_eq!(told.strays.len(), 1);
        assert!(!told.strays[0].refused);
        assert_eq!(told.strays[0].value, "evil");
    }

    #[test]
    fn where_no_single_value_decides_is_not_guessed_at() {
        let mut twice = row("a", Label::Attack, "evil", Place::Query);
        twice.request.path.push_str("&r=evil");
        let rows = [twice, row("d", Label::Benign, "good", Place::Query)];
        let told = moved(whole, &rows);
        assert_eq!((told.without, told.payloads.made), (1, 0));
    }
}
