//! An experiment as the corpus has it, and the form in which an outcome is compared.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A field.
pub(crate) type Field = (String, String);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    pub(crate) name: String,
    /// The probe's script.
    pub(crate) script: String,
    #[serde(default)]
    pub(crate) request: Message,
    #[serde(default)]
    pub(crate) response: Message,
    /// The filter's configuration: `stop` has `allow_on_headers_stop_iteration`, `plain` has not.
    #[serde(default = "plain")]
    pub(crate) filter: String,
    /// Something comes after the stream's end.
    #[serde(default)]
    pub(crate) linger: bool,
    /// Why our host does something else.
    pub(crate) differs: Option<String>,
}

fn plain() -> String {
    "plain".to_owned()
}

/// A request or a response.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Message {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<Field>,
    pub(crate) chunks: Vec<String>,
    pub(crate) trailers: Vec<Field>,
    /// A length is given, instead of chunks with their sizes.
    pub(crate) length: bool,
}

impl Message {
    pub(crate) fn size(&self) -> usize {
        self.chunks.iter().map(String::len).sum()
    }

    /// The fields, with the framing's.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let mut fields = self.headers.clone();
        if self.length {
            fields.push(("content-length".to_owned(), self.size().to_string()));
        } else if !self.chunks.is_empty() || !self.trailers.is_empty() {
            fields.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
        }
        fields
    }
}

/// Reads the corpus.
pub(crate) fn parse(text: &str) -> Vec<Experiment> {
    let experiments: Vec<Experiment> =
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("experiments.yaml: {error}"));
    let mut names = BTreeSet::new();
    for experiment in &experiments {
        assert!(
            names.insert(&experiment.name),
            "`{}` twice",
            experiment.name
        );
    }
    experiments
}

/// Fields as they came.
pub(crate) type Received = Vec<(Vec<u8>, Vec<u8>)>;

/// What one side of the proxy saw, as one line.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Status, or method and path.
    pub(crate) start: String,
    pub(crate) headers: Received,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Received,
    /// How it ended, if not well.
    pub(crate) end: &'static str,
}

/// Fields that a proxy or the framing adds, and the script.
const UNSEEN: [&str; 7] = [
    "connection",
    "date",
    "host",
    "server",
    "transfer-encoding",
    "x-forwarded-proto",
    "x-probe",
];

impl Sight {
    pub(crate) fn line(&self, who: &str) -> String {
        let show = |fields: &[(Vec<u8>, Vec<u8>)]| {
            fields
                .iter()
                .filter(|(name, _)| {
                    !UNSEEN.iter().any(|unseen| unseen.as_bytes() == name)
                        && !name.starts_with(b":")
                })
                // The codec's: a message without body has it or not.
                .filter(|(name, value)| name != b"content-length" || value != b"0")
                .map(|(name, value)| format!(" {}={}", name.escape_ascii(), value.escape_ascii()))
                .collect::<String>()
        };
        let mut line = format!("{who} {}{}", self.start, show(&self.headers));
        if !self.body.is_empty() {
            line.push_str(&format!(" body `{}`", self.body.escape_ascii()));
        }
        if !self.trailers.is_empty() {
            line.push_str(&format!(" trailers{}", show(&self.trailers)));
        }
        if !self.end.is_empty() {
            line.push_str(&format!(" ({})", self.end));
        }
        line
    }
}

/// The outcome as it is compared.
pub(crate) fn outcome(client: &Sight, upstream: Option<&Sight>, guest: &[String]) -> String {
    let upstream = upstream.map_or_else(
        || "upstream nothing".to_owned(),
        |seen| seen.line("upstream"),
    );
    let mut text = format!("{}\n{upstream}\n", client.line("client"));
    for line in guest {
        text.push_str(line);
        text.push('\n');
    }
    text
}
