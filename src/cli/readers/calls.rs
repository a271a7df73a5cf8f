//! Readings: what a reader, or the network, called each case.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
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

    /// What is wrong with a reading of one class.
    fn missing_class(&self) -> Option<String> {
        let class = match (self.confusion.positives(), self.confusion.negatives()) {
            (0, _) => "positive",
            (_, 0) => "negative",
            _ => return None,
        };
        Some(format!("{}: no case is {class}, and metrics need both", self.name()))
    }

    /// Of these cases alone.
    pub fn of_cases(&self, cases: &BTreeMap<String, Read>) -> Self {
        let mut own = Reading::new(&self.reader, &self.way);
        for (name, read) in self.cases.iter().filter(|(name, _)| cases.contains_key(*name)) {
            own.confusion.add(read.label, read.call, 1);
            own.cases.insert(name.clone(), *read);
        }
        own
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

/// The network as one more reader of the cases that the others read.
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

    /// What it called those cases; unless `all` must be predicted, those that are.
    pub fn reading(&self, readers: &[Reading], all: bool) -> anyhow::Result<Reading> {
        let at = &self.from;
        let index = Index::of(&self.predicted)
            .ok_or_else(|| anyhow::anyhow!("{at}: a prediction needs its `case` or `image`"))?;
        let mut network = Reading::new("network", "");
        let mut named = false;
        for (name, read) in readers.iter().flat_map(|reading| &reading.cases) {
            named = true;
            let Some(case) = index.find(name) else {
                match all {
                    true => anyhow::bail!("{at}: has no prediction of case `{name}`, which was read"),
                    false => continue,
                }
            };
            if case.label.is_some_and(|label| (label == self.positive) != read.label) {
                anyhow::bail!("{at}: case `{name}` has another label than the readers' file gives it");
            }
            let score = case.probabilities[self.positive];
            let call = score >= self.threshold;
            if network.cases.insert(name.clone(), Read { label: read.label, call, score }).is_none() {
                network.confusion.add(read.label, call, 1);
            }
        }
        match (named, network.cases.is_empty()) {
            (false, _) => anyhow::bail!(
                "{at}: the readers' counts name no case, so predictions cannot be set beside them"
            ),
            (true, true) => anyhow::bail!(
                "{at}: has no prediction of any case that was read, as `{}`: name cases in both as the images are named",
                readers.iter().find_map(|reading| reading.cases.keys().next()).map_or("", String::as_str)
            ),
            (true, false) => Ok(network),
        }
    }
}

/// Predictions by the names of their cases.
struct Index<'a> {
    whole: HashMap<&'a str, &'a Case>,
    /// By the last part of the path.
    file: HashMap<&'a OsStr, Vec<(&'a Path, &'a Case)>>,
}

impl<'a> Index<'a> {
    /// `None` where a case has no name.
    fn of(cases: &'a [Case]) -> Option<Self> {
        let mut index = Index { whole: HashMap::new(), file: HashMap::new() };
        for case in cases {
            let name = case.name.as_deref()?;
            index.whole.insert(name, case);
            let path = Path::new(name);
            index.file.entry(path.file_name().unwrap_or_default()).or_default().push((path, case));
        }
        Some(index)
    }

    /// The prediction of a case: the one that is called so, else the only one whose path ends so.
    fn find(&self, name: &str) -> Option<&'a Case> {
        if let Some(case) = self.whole.get(name) {
            return Some(case);
        }
        let mut ends =
            self.file.get(Path::new(name).file_name()?)?.iter().filter(|(path, _)| path.ends_with(name));
        match (ends.next(), ends.next()) {
            (Some((_, case)), None) => Some(case),
            _ => None,
        }
    }
}
