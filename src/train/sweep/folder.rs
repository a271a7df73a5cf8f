//! A sweep's folder: `sweep.json`, the runs, the summary.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Summary;
use super::run::{self, Left, Outcome};
use crate::error::{Error, Result};
use crate::files::write_whole;

/// What all runs of a sweep share, beside them.
const ABOUT: &str = "sweep.json";

/// A sweep's folder.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    path: PathBuf,
}

/// How far the run of a name has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no such folder.
    Absent,
    /// It can be taken up.
    Begun,
    /// Its last epoch is done and its last weights are there.
    Finished,
}

impl SweepFolder {
    /// The sweep that lies in `path`, if one does; `about` is what all its runs share, now and whenever it is taken up again.
    ///
    /// # Errors
    /// [`Error::Argument`] when something else lies there, or a sweep that shares something else.
    pub fn find(path: &Path, about: &Value) -> Result<Option<Self>> {
        let folder = SweepFolder { path: path.to_path_buf() };
        let file = folder.path.join(ABOUT);
        if file.is_file() {
            return folder.same(&file, about).map(|()| Some(folder));
        }
        let visible = |entry: std::io::Result<fs::DirEntry>| {
            entry.map_or(true, |entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        };
        match fs::read_dir(path).map_or(path.exists(), |mut entries| entries.any(visible)) {
            false => Ok(None),
            true => Err(Error::Argument(format!(
                "{}: is there already and is no sweep: name another folder with --out",
                path.display()
            ))),
        }
    }

    /// That sweep, or a new one.
    ///
    /// # Errors
    /// Those of [`SweepFolder::find`], and [`Error::Io`] when it cannot be written.
    pub fn make(path: &Path, about: &Value) -> Result<Self> {
        if let Some(folder) = SweepFolder::find(path, about)? {
            return Ok(folder);
        }
        fs::create_dir_all(path).map_err(|e| Error::io(path, "create", e))?;
        let folder = SweepFolder { path: path.to_path_buf() };
        folder.write(ABOUT, &format!("{about:#}\n"))?;
        Ok(folder)
    }

    /// The folder `path`, whatever lies in it.
    ///
    /// # Errors
    /// [`Error::Argument`] when there is none.
    pub fn open(path: &Path) -> Result<Self> {
        match path.is_dir() {
            true => Ok(SweepFolder { path: path.to_path_buf() }),
            false => Err(Error::Argument(format!("{}: is no folder of runs", path.display()))),
        }
    }

    fn same(&self, file: &Path, about: &Value) -> Result<()> {
        let text = fs::read_to_string(file).map_err(|e| Error::io(file, "read", e))?;
        let own: Value = serde_json::from_str(&text).map_err(|e| Error::format(file, e.to_string()))?;
        let keys = about.as_object().into_iter().flat_map(|map| map.keys());
        match keys.into_iter().find(|key| own[key.as_str()] != about[key.as_str()]) {
            None => Ok(()),
            Some(key) => Err(Error::Argument(format!(
                "{}: the sweep there began with {key} {}, not {}: give the same, or name another folder with --out",
                self.path.display(),
                own[key.as_str()],
                about[key.as_str()]
            ))),
        }
    }

    /// Where the run called `name` lies.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// How far it has come.
    ///
    /// # Errors
    /// What is wrong with the folder of that name, if it is no run.
    pub fn state(&self, name: &str) -> Result<State> {
        let path = self.run(name);
        let empty = || fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
        match !path.exists() || empty() {
            true => Ok(State::Absent),
            false => run::state(&path),
        }
    }

    /// All runs that lie there: those that are finished, and those that are not, by name.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be read.
    pub fn outcomes(&self) -> Result<(Vec<Outcome>, Vec<Left>)> {
        let failed = |e| Error::io(&self.path, "read", e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // A run that is being made has a hidden name.
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if !hidden && self.path.join(&name).join("config.json").is_file() {
                names.push(name);
            }
        }
        names.sort();
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for name in names {
            let text = name.to_string_lossy().into_owned();
            match run::outcome(&self.path.join(&name), &text) {
                Ok(Ok(outcome)) => done.push(outcome),
                Ok(Err(unfinished)) => left.push(unfinished),
                Err(error) => left.push(Left { name: text, reason: error.to_string() }),
            }
        }
        Ok((done, left))
    }

    /// What the runs say together.
    ///
    /// # Errors
    /// [`Error::Argument`] when no run is finished or two do not belong together.
    pub fn summary(&self) -> Result<Summary> {
        let (done, left) = self.outcomes()?;
        if done.is_empty() {
            let named = left.first().map_or(String::new(), |one| format!(", {} is {}", one.name, one.reason));
            return Err(Error::Argument(format!("{}: no run is finished{named}", self.path.display())));
        }
        Summary::of(&done, left)
    }

    /// Gathers the runs and writes `summary.csv`, `summary.json` and `summary.svg`.
    ///
    /// # Errors
    /// As [`SweepFolder::summary`], and [`Error::Io`] when a file cannot be written.
    pub fn summarize(&self) -> Result<Summary> {
        let summary = self.summary()?;
        self.write("summary.csv", &summary.csv())?;
        self.write("summary.json", &format!("{:#}\n", summary.json()))?;
        self.write("summary.svg", &summary.picture()?)?;
        Ok(summary)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_whole(&self.path.join(name), |writer| std::io::Write::write_all(writer, text.as_bytes()))
    }
}
