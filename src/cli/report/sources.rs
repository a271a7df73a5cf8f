//! Where the page's figures are from: files with their digests, the command line, and whether any of it is a phantom.

use std::path::{Path, PathBuf};

use nodal::train::digest;

use super::super::sweep::quoted;

/// A file that was read.
pub struct Source {
    pub what: String,
    pub path: PathBuf,
    pub digest: String,
}

/// All of them.
pub struct Sources {
    pub files: Vec<Source>,
    /// The call that made the page.
    pub command: String,
    /// What `phantom.json` beside an input says of itself.
    pub phantom: Option<String>,
}

impl Sources {
    pub fn new(command: String) -> Self {
        Sources { files: Vec::new(), command, phantom: None }
    }

    /// Notes a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add(&mut self, what: &str, path: &Path) -> anyhow::Result<()> {
        // A folder or a pipe is refused by whoever reads it.
        if path.is_file() {
            self.files.push(Source { what: what.into(), path: path.to_path_buf(), digest: digest(path)? });
        }
        self.look(path);
        Ok(())
    }

    /// Looks for a phantom in the folder `path`, or beside it.
    pub fn look(&mut self, path: &Path) {
        let beside = path.parent().unwrap_or(Path::new(""));
        for folder in [path, beside] {
            self.phantom = self.phantom.take().or_else(|| phantom(folder));
        }
    }

    /// Looks for one where the data of a sweep lie.
    pub fn look_at_sweep(&mut self, folder: &Path) {
        let data = described(&folder.join("sweep.json"), "data");
        data.iter().for_each(|data| self.look(Path::new(data)));
        self.look(folder);
    }

    /// Looks for one in the folders above an image.
    pub fn look_above(&mut self, image: &Path) {
        for folder in image.ancestors().skip(1).take(3) {
            self.phantom = self.phantom.take().or_else(|| phantom(folder));
        }
    }
}

/// What `phantom.json` in `folder` says that it is.
fn phantom(folder: &Path) -> Option<String> {
    described(&folder.join("phantom.json"), "phantom")
}

/// A text in a JSON file, if it is there.
fn described(file: &Path, key: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    value[key].as_str().map(str::to_string)
}

/// The call of this process; the page's name is left out, so that the same page under two names is the same bytes.
pub fn command(out: &Path) -> String {
    let out = out.as_os_str().to_string_lossy().into_owned();
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let named = words.map(|word| match word {
        word if word == out => "report.html".to_string(),
        word => word
            .strip_suffix(&out)
            .filter(|left| left.ends_with('=') || *left == "-o")
            .map_or(word.clone(), |left| format!("{left}report.html")),
    });
    let words: Vec<String> = ["nodal".to_string()].into_iter().chain(named).collect();
    quoted(&words)
}
