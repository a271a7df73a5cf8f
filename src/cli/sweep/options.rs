//! What `nodal sweep` takes: lists of its own, and all options of `nodal train`, which it hands on as they were written.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::super::{DeviceOptions, train};

#[derive(Args)]
pub struct Lists {
    /// First convolutions that do not learn, one number or several with commas between [default: as for `nodal train`]
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub freeze: Vec<usize>,
    /// Learning rates [default: as for `nodal train`]
    #[arg(long, value_delimiter = ',', value_name = "X,...")]
    pub lr: Vec<f64>,
    /// Images a step [default: as for `nodal train`]
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub batch: Vec<usize>,
    /// Seeds: each draws a split of its own, or folds of its own [default: 0]
    #[arg(long, value_delimiter = ',', value_name = "S,...")]
    pub seed: Vec<u64>,
    /// Every run once for each of K folds, all of which validate in turn
    // Called as `nodal train` calls its own, so that --val-fraction knows it.
    #[arg(id = "fold", long = "folds", value_name = "K", value_parser = clap::value_parser!(u64).range(2..))]
    pub folds: Option<u64>,
}

impl Lists {
    /// The first that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--freeze", self.freeze.len()),
            ("--lr", self.lr.len()),
            ("--batch", self.batch.len()),
            ("--seed", self.seed.len()),
            ("--folds", usize::from(self.folds.is_some())),
        ];
        given.into_iter().find(|(_, count)| *count > 0).map(|(name, _)| name)
    }
}

/// Options of `nodal train` as words of its command line, in the order of its help.
pub struct Passed {
    /// How networks learn.
    pub learning: Vec<String>,
    /// Where.
    pub device: Vec<String>,
}

/// Those that [`Lists`] has instead.
const LISTED: [&str; 5] = ["freeze", "lr", "batch", "seed", "fold"];

fn learning() -> Vec<Arg> {
    of(train::options::Learning::augment_args(Command::new("train")), 200)
}

fn device() -> Vec<Arg> {
    of(DeviceOptions::augment_args(Command::new("train")), 100)
}

/// The options of `command` that are handed on, shown by themselves, their places in the help counted from `first`.
fn of(command: Command, first: usize) -> Vec<Arg> {
    let own = command.get_arguments().filter(|arg| !LISTED.contains(&arg.get_id().as_str()));
    let shown =
        |(i, arg): (usize, &Arg)| arg.clone().display_order(first + i).help_heading("Options of every run");
    own.enumerate().map(shown).collect()
}

/// Those of `all` that were given, as they were written.
fn words(matches: &ArgMatches, all: &[Arg]) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    for arg in all {
        let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        if !arg.get_action().takes_values() {
            words.push(format!("--{long}"));
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let Some(value) = value.to_str() else {
                let problem = format!("--{long} {}: its name is no Unicode: rename it\n", value.display());
                return Err(Error::raw(clap::error::ErrorKind::InvalidUtf8, problem));
            };
            // What begins like an option would be taken for one.
            match value.starts_with('-') || arg.is_require_equals_set() {
                true => words.push(format!("--{long}={value}")),
                false => words.extend([format!("--{long}"), value.to_string()]),
            }
        }
    }
    Ok(words)
}

impl Passed {
    /// The first option that was given.
    pub fn given(&self) -> Option<&str> {
        self.learning.iter().chain(&self.device).map(String::as_str).next()
    }
}

impl FromArgMatches for Passed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Passed { learning: words(matches, &learning())?, device: words(matches, &device())? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Passed::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Passed {
    fn augment_args(command: Command) -> Command {
        command.args(learning()).args(device())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Passed::augment_args(command)
    }
}

/// The options of a command line that begins with `train`.
pub fn train(arguments: &[String]) -> anyhow::Result<train::Options> {
    let command = train::Options::augment_args(Command::new("train"));
    let options = command
        .try_get_matches_from(arguments)
        .and_then(|matches| train::Options::from_arg_matches(&matches));
    options.map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        anyhow::anyhow!("{}", line.strip_prefix("error: ").unwrap_or(line))
    })
}
