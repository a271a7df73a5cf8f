//! The runs of a sweep: their names and command lines.

use std::path::Path;

use anyhow::Context;
use nodal::train::sweep::State;
use serde_json::{Value, json};

use super::options::{self, Lists, Passed};
use super::word;

/// A run that is wanted.
pub struct Planned {
    /// Its folder's name.
    pub name: String,
    begin: Vec<String>,
    resume: Vec<String>,
}

impl Planned {
    /// What `nodal` is to be called with for the run to finish; `None` where it is finished.
    pub fn arguments(&self, state: State) -> Option<Vec<String>> {
        match state {
            State::Absent => Some(self.begin.clone()),
            State::Begun => Some(self.resume.clone()),
            State::Finished => None,
        }
    }

    /// Whether it can begin.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self) -> anyhow::Result<()> {
        options::train(&self.begin).and_then(|options| options.check()).with_context(|| self.name.clone())
    }
}

/// One option's values: as words for a command line, as part of a name. One empty value where there are none.
fn values(option: &str, values: Vec<String>) -> anyhow::Result<Vec<Vec<(String, String)>>> {
    if let Some((i, twice)) = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value)) {
        anyhow::bail!("--{option} has {twice} twice, again as number {}: once is enough", i + 1);
    }
    match values.is_empty() {
        true => Ok(vec![Vec::new()]),
        false => Ok(values.into_iter().map(|value| vec![(option.to_string(), value)]).collect()),
    }
}

/// A learning rate as short as it is exact: 0.001, 1e-5, 1.
fn rate(lr: &f64) -> String {
    let text = format!("{lr:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

/// Every combination, the seeds and folds of a configuration one after the other.
///
/// # Errors
/// For a value that stands twice, and where nothing is listed.
pub fn runs(
    data: &Path,
    weights: &Path,
    out: &Path,
    lists: &Lists,
    passed: &Passed,
) -> anyhow::Result<Vec<Planned>> {
    if lists.given().is_none() {
        anyhow::bail!("nodal sweep needs something to vary: give --freeze, --lr, --batch, --seed or --folds");
    }
    let folds = lists.folds.unwrap_or(0);
    let axes = [
        values("freeze", lists.freeze.iter().map(usize::to_string).collect())?,
        values("lr", lists.lr.iter().map(rate).collect())?,
        values("batch", lists.batch.iter().map(usize::to_string).collect())?,
        values("seed", lists.seed.iter().map(u64::to_string).collect())?,
        values("fold", (1..=folds).map(|fold| fold.to_string()).collect())?,
    ];
    let mut combinations: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for axis in axes {
        let longer = |begin: &Vec<(String, String)>| {
            let begin = begin.clone();
            axis.iter().map(move |value| [&begin[..], value].concat()).collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    let (data, weights) = (word(data)?, word(weights)?);
    let planned = |own: Vec<(String, String)>| {
        let name =
            own.iter().map(|(option, value)| format!("{option}-{value}")).collect::<Vec<_>>().join("_");
        let run = word(&out.join(&name))?;
        let mut begin: Vec<String> = ["train", &data, "--weights", &weights].map(String::from).into();
        for (option, value) in own {
            let value = if option == "fold" { format!("{value}/{folds}") } else { value };
            // A rate below 0 is refused by what reads it.
            match value.starts_with('-') {
                true => begin.push(format!("--{option}={value}")),
                false => begin.extend([format!("--{option}"), value]),
            }
        }
        begin.extend(passed.learning.iter().chain(&passed.device).cloned());
        begin.extend(["--out".into(), run.clone()]);
        let mut resume: Vec<String> = ["train", "--resume", &run].map(String::from).into();
        resume.extend(passed.device.iter().cloned());
        Ok(Planned { name, begin, resume })
    };
    combinations.into_iter().map(planned).collect()
}

/// What all runs share; with it the folder is only taken up by a sweep whose runs have the same names for the same things.
///
/// # Errors
/// When data or weights cannot be found.
pub fn about(data: &Path, weights: &Path, lists: &Lists, passed: &Passed) -> anyhow::Result<Value> {
    let whole = |path: &Path| {
        let real = path.canonicalize().with_context(|| format!("{}: cannot read", path.display()))?;
        word(&real)
    };
    let named = [
        ("freeze", !lists.freeze.is_empty()),
        ("lr", !lists.lr.is_empty()),
        ("batch", !lists.batch.is_empty()),
        ("seed", !lists.seed.is_empty()),
    ];
    let lists_given: Vec<&str> = named.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    Ok(json!({
        "data": whole(data)?, "weights": whole(weights)?, "options": passed.learning.join(" "), "lists": lists_given,
        "folds": lists.folds,
    }))
}

/// Words as a shell reads them back.
pub fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quote = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let words = ["train", "my data", "it's", "", "a=1,b", "$HOME"].map(String::from);
        assert_eq!(quoted(&words), r"train 'my data' 'it'\''s' '' a=1,b '$HOME'");
    }

    #[test]
    fn every_combination_is_a_run() {
        let lists =
            Lists { freeze: vec![3, 5], lr: vec![1e-3, 1e-5], batch: vec![], seed: vec![7], folds: Some(2) };
        let passed = Passed { learning: vec!["--epochs".into(), "4".into()], device: vec![] };
        let runs = runs("data".as_ref(), "w".as_ref(), "out".as_ref(), &lists, &passed).unwrap();
        assert_eq!(runs.len(), 8);
        assert_eq!(runs[3].name, "freeze-3_lr-1e-5_seed-7_fold-2");
        let line = quoted(&runs[3].arguments(State::Absent).unwrap());
        assert_eq!(
            line,
            "train data --weights w --freeze 3 --lr 1e-5 --seed 7 --fold 2/2 --epochs 4 --out out/freeze-3_lr-1e-5_seed-7_fold-2"
        );
        assert!(options::train(&runs[3].begin).is_ok());
        let line = quoted(&runs[3].arguments(State::Begun).unwrap());
        assert_eq!(line, "train --resume out/freeze-3_lr-1e-5_seed-7_fold-2");
        assert_eq!(runs[3].arguments(State::Finished), None);
    }
}
