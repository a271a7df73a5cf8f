//! Readings: what a reader, or the network, called each case.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use nodal::metrics::{Confusion, Scored};

use super::super::evaluate::cases::{Case, of_predictions};
use super::super::sheet::Sheet;
use super::judge::Judge;

/// Cases that counts may stand for.
const MOST: u64 = 10_000_000;

/// One case as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub label: bool,
    pub call: bool,
    /// What an AUC sorts by: 1 or 0 for a reader's call, the network's probability.
    pub score: f64,
}

/// All that one reader called in one way.
#[derive(Clone)]
pub struct Reading {
    pub reader: String,
    /// The reading or rule; empty where there is one only.
    pub way: String,
    /// By case; empty for counts, which name none.
    pub cases: BTreeMap<String, Read>,
    pub confusion: Confusion,
}

impl Reading {
    fn new(reader: &str, way: &str) -> Self {
        let (cases, confusion) = (BTreeMap::new(), Confusion::default());
        Reading { reader: reader.into(), way: way.into(), cases, confusion }
    }

    /// Adds a case, or `many` that have no name; says what is wrong with it.
    fn add(&mut self, case: Option<&str>, read: Read, many: u64) -> Result<(), String> {
        self.confusion.add(read.label, read.call, many);
        if self.confusion.total() > MOST {
            return Err(format!("more than {MOST} cases are too many"));
        }
        match case {
            Some(case) if self.cases.insert(case.to_string(), read).is_some() => {
                Err(format!("{} reads case `{case}` a second time", self.name()))
            }
            _ => Ok(()),
        }
    }

    /// Gives each case the name that `of` has for it, so that one case has one name among readers; a case without is dropped. Counts
    /// have no cases.
    fn rename<'a>(
        &mut self,
        of: impl Fn(&str, &Read) -> anyhow::Result<Option<&'a str>>,
    ) -> anyhow::Result<()> {
        if self.cases.is_empty() {
            return Ok(());
        }
        let mut renamed = BTreeMap::new();
        for (case, read) in &self.cases {
            let Some(name) = of(case, read)? else { continue };
            if renamed.insert(name.to_string(), *read).is_some() {
                anyhow::bail!("{} reads case `{name}` under two names: keep one", self.name());
            }
        }
        self.cases = renamed;
        self.confusion = Confusion::default();
        self.cases.values().for_each(|read| self.confusion.add(read.label, read.call, 1));
        Ok(())
    }

    /// What is wrong with a reading of one class.
    fn missing_class(&self) -> Option<String> {
        let class = match (self.confusion.positives(), self.confusion.negatives()) {
            (0, _) => "positive",
            (_, 0) => "negative",
            _ => return None,
        };
        Some(format!("{}: no case is {class}, and metrics need both", self.name()))
    }

    /// The reader and the way, in one.
    pub fn name(&self) -> String {
        if self.way.is_empty() { self.reader.clone() } else { format!("{}, {}", self.reader, self.way) }
    }

    /// Scores and labels; counts are written out.
    pub fn scored(&self) -> nodal::Result<Scored> {
        if !self.cases.is_empty() {
            let (scores, labels): (Vec<f64>, Vec<bool>) =
                self.cases.values().map(|read| (read.score, read.label)).unzip();
            return Scored::new(&scores, &labels);
        }
        let c = self.confusion;
        let cells = [
            (1.0, true, c.true_positives),
            (0.0, true, c.false_negatives),
            (1.0, false, c.false_positives),
            (0.0, false, c.true_negatives),
        ];
        let written = |(score, label, count)| std::iter::repeat_n((score, label), count as usize);
        let (scores, labels): (Vec<f64>, Vec<bool>) = cells.into_iter().flat_map(written).unzip();
        Scored::new(&scores, &labels)
    }
}

/// The readings of a CSV, in the order of their first rows.
pub fn open(path: &Path) -> anyhow::Result<Vec<Reading>> {
    let sheet = Sheet::open(path)?;
    let [reader, label] = [sheet.need("reader")?, sheet.need("label")?];
    let (way, count) = (sheet.column("reading"), sheet.column("count"));
    if count.is_some() && sheet.column("case").is_some() {
        anyhow::bail!(sheet.problem("has both `case` and `count`: a row is one case, or a number of them"));
    }
    let case = if count.is_some() { None } else { Some(sheet.need("case")?) };
    let judge = Judge::of(&sheet)?;
    let mut readings: Vec<Reading> = Vec::new();
    let mut truth = BTreeMap::new();
    for row in sheet.rows() {
        let (reader, label) = (sheet.field(row, reader)?, sheet.yes(row, label)?);
        let case = case.map(|case| sheet.field(row, case)).transpose()?;
        let many = count.map_or(Ok(1), |count| sheet.count(row, count))?;
        if case.is_some_and(|case| *truth.entry(case).or_insert(label) != label) {
            anyhow::bail!(sheet.wrong(row, "the case had another label before"));
        }
        for (rule, call) in judge.calls(&sheet, row)? {
            let way: Vec<&str> = row.get(way).into_iter().chain(rule).collect();
            let read = Read { label, call, score: f64::from(u8::from(call)) };
            let added = place(&mut readings, reader, &way.join(", ")).add(case, read, many);
            added.map_err(|problem| sheet.wrong(row, problem))?;
        }
    }
    match readings.iter().find_map(Reading::missing_class) {
        Some(problem) => Err(sheet.problem(problem).into()),
        None => Ok(readings),
    }
}

/// The reading of `reader` in one way, added when it is new.
fn place<'a>(readings: &'a mut Vec<Reading>, reader: &str, way: &str) -> &'a mut Reading {
    let found = readings.iter().position(|known| known.reader == reader && known.way == way);
    let at = found.unwrap_or(readings.len());
    if found.is_none() {
        readings.push(Reading::new(reader, way));
    }
    &mut readings[at]
}

/// Predictions by their names and by each ending of these as paths, so that `images/a.jpg` finds `/study/images/a.jpg`; `None`
/// where several end so and none is named so.
fn by_ending<'a>(names: &[&'a str]) -> BTreeMap<&'a Path, Option<usize>> {
    let mut found = BTreeMap::new();
    for (i, &name) in names.iter().enumerate() {
        let mut rest = Path::new(name).components();
        while rest.next().is_some() {
            found.entry(rest.as_path()).and_modify(|of| *of = None).or_insert(Some(i));
        }
    }
    found.extend(names.iter().enumerate().map(|(i, &name)| (Path::new(name), Some(i))));
    found
}

/// The network as one more reader.
pub struct Network<'a> {
    /// Where the predictions are from, for what is wrong with them.
    pub from: String,
    pub predicted: Cow<'a, [Case]>,
    /// The positive class.
    pub positive: usize,
    /// Called positive from this probability on.
    pub threshold: f64,
}

impl Network<'_> {
    /// Predictions of two classes from a CSV.
    pub fn of_predictions(path: &Path, positive: Option<&str>, threshold: f64) -> anyhow::Result<Self> {
        let (from, predicted) = (path.display().to_string(), of_predictions(path, positive, false)?);
        let classes = predicted.classes.join(", ");
        if predicted.classes.len() != 2 {
            anyhow::bail!("{from}: readers tell two classes apart, not {classes}");
        }
        let positive = match positive {
            Some(name) => predicted.classes.iter().position(|class| class == name),
            None => Some(1),
        };
        let positive =
            positive.ok_or_else(|| anyhow::anyhow!("--positive: is none of the classes {classes}"))?;
        Ok(Network { from, predicted: predicted.cases.into(), positive, threshold })
    }

    /// What it calls the cases that the others read; with `shared` they lose the cases that it has not.
    pub fn beside(&self, readers: &mut [Reading], shared: bool) -> anyhow::Result<Reading> {
        let at = &self.from;
        let names = self.predicted.iter().map(|case| case.name.as_deref());
        let names: Option<Vec<&str>> = names.collect();
        let names = names.ok_or_else(|| anyhow::anyhow!("{at}: a prediction needs its `case` or `image`"))?;
        let by_name = by_ending(&names);
        let find = |case: &str| match by_name.get(Path::new(case)) {
            Some(Some(found)) => Ok(Some(*found)),
            Some(None) => {
                anyhow::bail!("{at}: several predictions are of a case `{case}`: name the cases as there")
            }
            None if shared => Ok(None),
            None => anyhow::bail!(
                "{at}: has no prediction of case `{case}`, which was read: --shared leaves such out"
            ),
        };
        let mut network = Reading::new("network", "");
        for reading in readers.iter_mut() {
            reading.rename(|case, read| {
                let Some(found) = find(case)? else { return Ok(None) };
                if self.predicted[found].label.is_some_and(|label| (label == self.positive) != read.label) {
                    anyhow::bail!("{at}: case `{case}` has another label than the readers' file gives it");
                }
                Ok(Some(names[found]))
            })?;
            for (name, read) in &reading.cases {
                let Some(found) = find(name)? else { continue };
                let score = self.predicted[found].probabilities[self.positive];
                let call = score >= self.threshold;
                if network.cases.insert(name.clone(), Read { label: read.label, call, score }).is_none() {
                    network.confusion.add(read.label, call, 1);
                }
            }
        }
        if network.cases.is_empty() {
            anyhow::bail!(
                "{at}: the readers name no case that is among them, so predictions cannot be set beside them"
            );
        }
        if let Some(problem) = readers.iter().find_map(Reading::missing_class) {
            anyhow::bail!("{at}: of the cases shared with the readers: {problem}");
        }
        Ok(network)
    }
}
