//! The filter's configuration by extension configuration discovery from a file: Envoy keeps its listener, connections and VM, and only
//! the plugin's configuration changes.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::envoy::Setup;
use crate::root;

/// Where the configuration stands, and what it says.
#[derive(Debug)]
pub struct Discovery {
    /// The file.
    pub path: PathBuf,
    /// What it said first.
    pub text: String,
}

impl Discovery {
    /// Moves the filter's configuration of `setup` to a file of its own.
    ///
    /// # Errors
    /// The setup is not laid out as the shipped ones are; as the file system says.
    pub fn of(setup: &mut Setup, name: &str) -> io::Result<Self> {
        let folder = root()
            .join("target/reload")
            .join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("filter.yaml");
        let from = "                  typed_config:\n                    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n";
        let to = "                - name: envoy.filters.http.router";
        let odd = || io::Error::other("the filter is not where the shipped configurations have it");
        let (before, rest) = setup.config.split_once(from).ok_or_else(odd)?;
        let (block, after) = rest.split_once(to).ok_or_else(odd)?;
        let discovery = format!(
            "                  config_discovery:\n                    config_source: {{ path_config_source: {{ path: {} }}, resource_api_version: V3 }}\n                    \
             type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]\n",
            path.display()
        );
        let mut text = "resources:\n  - \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n    name: palisade\n".to_owned();
        for line in from.lines().chain(block.lines()) {
            // From 18 columns of the filter list to 4 of the resource.
            let _ = writeln!(text, "{}", line.get(14..).unwrap_or(line));
        }
        setup.config = format!("{before}{discovery}{to}{after}");
        let discovery = Self { path, text };
        discovery.write(&discovery.text)?;
        Ok(discovery)
    }

    /// Replaces the file by a rename, which is what Envoy watches for.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, text: &str) -> io::Result<()> {
        write(&self.path, text)
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, text)?;
    std::fs::rename(part, path)
}
