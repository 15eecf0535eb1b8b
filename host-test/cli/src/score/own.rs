//! The repository's own corpus: a YAML file a class, values by family.
//!
//! **In:** `class`, `about`, `attacks` and `benign`: families of `values`, with `source`, `as` and `places` where they need them.
//! **Out:** a row for each value in each place that can carry it, and mutants of it where they are asked for.
//! **Invariant:** the same file and seed give the same rows.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::corpus::Mutant;
use super::mutate::{self, MUTATIONS, Random};
use super::place::{self, As, Place};
use super::{Label, Row};

/// Which mutants are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutate {
    /// So many of each value; `None`: each mutation in each place.
    pub each: Option<u32>,
    /// What chance goes by.
    pub seed: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    class: String,
    about: String,
    #[serde(default)]
    attacks: Vec<Family>,
    #[serde(default)]
    benign: Vec<Family>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    family: String,
    /// Where the idea comes from.
    #[serde(default)]
    source: String,
    #[serde(default, rename = "as")]
    what: As,
    #[serde(default)]
    places: Option<Vec<Place>>,
    /// Its values act only where a value starts: a formula, an option, a document.
    #[serde(default)]
    alone: bool,
    values: Vec<String>,
}

/// Reads a file; `mutate`: with mutants.
///
/// # Errors
/// It cannot be read, or a family has no value or a value no place.
pub fn rows(path: &Path, mutate: Option<Mutate>) -> Result<Vec<Row>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let file: File = serde_saphyr::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{}", error.without_snippet()))
        .with_context(|| name.clone())?;
    if file.about.trim().is_empty() {
        bail!("{name}: `about` says nothing");
    }
    let mut out = Vec::new();
    for (label, families) in [
        (Label::Attack, &file.attacks),
        (Label::Benign, &file.benign),
    ] {
        for family in families {
            if family.values.is_empty() {
                bail!("{name}: family `{}` has no values", family.family);
            }
            for (value, number) in family.values.iter().zip(1_u32..) {
                let maker = Maker {
                    file: &file,
                    family,
                    label,
                    value,
                    number,
                };
                let before = out.len();
                maker.plain(&mut out);
                if out.len() == before {
                    bail!(
                        "{name}: value {number} of family `{}` can stand nowhere",
                        family.family
                    );
                }
                if let Some(mutate) = mutate {
                    maker.mutants(mutate, &mut out);
                }
            }
        }
    }
    Ok(out)
}

struct Maker<'a> {
    file: &'a File,
    family: &'a Family,
    label: Label,
    value: &'a str,
    number: u32,
}

impl Maker<'_> {
    fn places(&self) -> &[Place] {
        match &self.family.places {
            Some(places) => places,
            // A URL is one where it is a parameter; in a path and in headers of browsers it is what clients put there.
            None if self.family.what == As::Value
                && matches!(self.file.class.as_str(), "ssrf" | "rfi") =>
            {
                &[
                    Place::Query,
                    Place::Form,
                    Place::Json,
                    Place::Cookie,
                    Place::Multipart,
                    Place::Xml,
                ]
            }
            None => self.family.what.places(),
        }
    }

    fn plain(&self, out: &mut Vec<Row>) {
        for place in self.places() {
            if let Some(request) = place::request(self.value, *place, self.family.what, false) {
                out.push(self.row(*place, request, None));
            }
        }
    }

    fn mutants(&self, mutate: Mutate, out: &mut Vec<Row>) {
        let mut all = Vec::new();
        for mutation in MUTATIONS {
            let fits = match self.label {
                Label::Attack => mutation.fits(&self.file.class),
                _ => mutation.honest,
            };
            // Prose before such a value takes away what it does.
            let spoils = self.family.alone && mutation.name == "padding";
            if !fits || spoils || self.family.what != As::Value {
                continue;
            }
            for place in self.places() {
                all.push((mutation, *place));
            }
        }
        let id = self.id(Place::Query);
        let mut random = Random::new(mutate.seed, &id);
        if let Some(each) = mutate.each {
            random.shuffle(&mut all);
            // Some make nothing of a value: more are tried than are wanted.
            let mut left = each;
            for (mutation, place) in all {
                if left == 0 {
                    break;
                }
                left -= u32::from(self.mutant(mutation, place, mutate.seed, out));
            }
        } else {
            for (mutation, place) in all {
                self.mutant(mutation, place, mutate.seed, out);
            }
        }
    }

    fn mutant(
        &self,
        mutation: &'static mutate::Mutation,
        place: Place,
        seed: u64,
        out: &mut Vec<Row>,
    ) -> bool {
        let mut random = Random::new(seed, &format!("{}~{}", self.id(place), mutation.name));
        let escaped = mutation.name == "json escapes";
        if escaped && place != Place::Json {
            return false;
        }
        let Some(value) = (mutation.make)(self.value, &mut random) else {
            return false;
        };
        let Some(request) = place::request(&value, place, As::Value, escaped) else {
            return false;
        };
        if place::request(self.value, place, As::Value, false).is_none() {
            return false;
        }
        out.push(self.row(place, request, Some(mutation.name)));
        true
    }

    fn id(&self, place: Place) -> String {
        let side = match self.label {
            Label::Attack => "attack",
            _ => "benign",
        };
        format!(
            "{}/{side}/{}/{}@{}",
            self.file.class,
            self.family.family.replace(' ', "-"),
            self.number,
            place.name()
        )
    }

    fn row(&self, place: Place, request: super::Request, mutation: Option<&'static str>) -> Row {
        let base = self.id(place);
        let note = if self.family.source.is_empty() {
            self.family.family.clone()
        } else {
            format!("{}; {}", self.family.family, self.family.source)
        };
        Row {
            id: mutation.map_or_else(
                || base.clone(),
                |name| format!("{base}~{}", name.replace(' ', "-")),
            ),
            source: OWN.to_owned(),
            class: match self.label {
                Label::Attack => self.file.class.clone(),
                _ => "benign".to_owned(),
            },
            label: self.label,
            place: place.name().to_owned(),
            note,
            request,
            mutant: mutation.map(|mutation| Mutant {
                of: base,
                by: mutation,
            }),
        }
    }
}

/// Name of this collection in tables.
pub const OWN: &str = "own";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_alone_is_not_padded() {
        let folder = std::env::temp_dir().join(format!("palisade-own-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("shell.yaml");
        let padded = |alone: &str| {
            let text = format!(
                "class: shell\nabout: a test\nattacks:\n  - family: formulas\n    {alone}values: [\"=cmd|'/C calc'!A0\"]\n"
            );
            std::fs::write(&path, text).expect("a file");
            let rows = rows(&path, Some(Mutate::default())).expect("rows");
            let by = |name: &str| {
                let of = |row: &&Row| row.mutant.as_ref().is_some_and(|mutant| mutant.by == name);
                rows.iter().filter(of).count()
            };
            (by("padding"), by("base64"))
        };
        let (with, others) = padded("");
        assert!(with > 0 && others > 0);
        assert_eq!(padded("alone: true\n    "), (0, others));
        assert_eq!(padded("alone: false\n    "), (with, others));
        std::fs::remove_dir_all(&folder).expect("it is removed");
    }
}
