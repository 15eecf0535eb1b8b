//! `palisade serve`.
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;
/// Serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {}
impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode> {
        anyhow::bail!("serve is not built yet")
    }
}
