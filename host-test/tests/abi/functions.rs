//! The functions of a host as the ABI has them: types, and the statuses each one's text names.
//!
//! In: `functions.txt`, beside this. Out: one `Function` each.

/// A function of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// As the specification writes it: WASI's with their module.
    pub(crate) name: String,
    /// Whether each parameter is 64 bits wide.
    pub(crate) wide: Vec<bool>,
    pub(crate) returns: bool,
    /// Statuses (or errnos) the text names.
    pub(crate) statuses: Vec<String>,
}

impl Function {
    /// Module and name of the import.
    pub(crate) fn import(&self) -> (&str, &str) {
        self.name.split_once('.').unwrap_or(("env", &self.name))
    }
}

/// The list.
pub(crate) fn load() -> Vec<Function> {
    let lines = include_str!("functions.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (types, statuses) = line.split_once(" :")?;
            let (types, returns) = types
                .strip_suffix(" -> i32")
                .map_or((types, false), |types| (types, true));
            let mut words = types.split(' ');
            Some(Function {
                name: words.next()?.to_owned(),
                wide: words.map(|word| word == "i64").collect(),
                returns,
                statuses: statuses.split_whitespace().map(str::to_owned).collect(),
            })
        })
        .collect()
}
