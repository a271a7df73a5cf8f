//! Readings: what a reader, or the network, called each case.

use std::collections::BTreeMap;
use std::path::Path;

use nodal::metrics::reading::{Criteria, Rule};
use nodal::metrics::{Confusion, Scored};

use super::super::evaluate::cases::of_predictions;
use super::super::sheet::{Row, Sheet};

/// Cases that counts may stand for.
const MOST: u64 = 10_000_000;
/// The columns of the criteria.
const CRITERIA: [&str; 3] = ["irregular_border", "heterogeneous_signal", "round_shape"];

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
    let case = if count.is_some() { None } else { Some(sheet.need("case")?) };
    let judge = Judge::of(&sheet)?;
    let mut readings: Vec<Reading> = Vec::new();
    let mut truth = BTreeMap::new();
    for row in sheet.rows() {
        let (reader, truly) = (sheet.field(row, reader)?, sheet.yes(row, label)?);
        for (rule, call) in judge.calls(&sheet, row)? {
            let way: Vec<&str> = row.get(way).into_iter().chain(rule).collect();
            let way = way.join(", ");
            let found = readings.iter().position(|known| known.reader == reader && known.way == way);
            let at = found.unwrap_or_else(|| {
                readings.push(Reading::new(reader, &way));
                readings.len() - 1
            });
            let many = count.map_or(Ok(1), |count| sheet.count(row, count))?;
            let reading = &mut readings[at];
            reading.confusion.add(truly, call, many);
            if reading.confusion.total() > MOST {
                anyhow::bail!(sheet.wrong(row, format!("more than {MOST} cases are too many")));
            }
            if let Some(case) = case {
                let case = sheet.field(row, case)?;
                let read = Read { label: truly, call, score: f64::from(u8::from(call)) };
                if reading.cases.insert(case.to_string(), read).is_some() {
                    let twice = format!("{} reads case `{case}` a second time", reading.name());
                    anyhow::bail!(sheet.wrong(row, twice));
                }
                if *truth.entry(case).or_insert(truly) != truly {
                    anyhow::bail!(sheet.wrong(row, format!("case `{case}` had another label before")));
                }
            }
        }
    }
    for reading in &readings {
        let class = match (reading.confusion.positives(), reading.confusion.negatives()) {
            (0, _) => "positive",
            (_, 0) => "negative",
            _ => continue,
        };
        anyhow::bail!(
            sheet.problem(format!("{}: no case is {class}, and metrics need both", reading.name()))
        );
    }
    Ok(readings)
}

/// Where a call comes from: a column, or three criteria and a diameter.
enum Judge {
    Call(usize),
    Criteria([usize; 3], Option<usize>),
}

impl Judge {
    fn of(sheet: &Sheet) -> anyhow::Result<Self> {
        if let Some(call) = sheet.column("call") {
            return Ok(Judge::Call(call));
        }
        let mut columns = [0; 3];
        for (column, name) in columns.iter_mut().zip(CRITERIA) {
            *column = sheet.column(name).ok_or_else(|| {
                sheet.problem(format!("has neither a column `call` nor all of {}", CRITERIA.join(", ")))
            })?;
        }
        Ok(Judge::Criteria(columns, sheet.column("short_axis_mm")))
    }

    /// The calls of a row, by rule where there are rules.
    fn calls(&self, sheet: &Sheet, row: &Row) -> anyhow::Result<Vec<(Option<&'static str>, bool)>> {
        let (columns, diameter) = match self {
            Judge::Call(call) => return Ok(vec![(None, sheet.yes(row, *call)?)]),
            Judge::Criteria(columns, diameter) => (columns, *diameter),
        };
        let [irregular_border, heterogeneous_signal, round_shape] =
            [sheet.yes(row, columns[0])?, sheet.yes(row, columns[1])?, sheet.yes(row, columns[2])?];
        let criteria = Criteria { irregular_border, heterogeneous_signal, round_shape };
        let mm = diameter.map(|column| sheet.number(row, column)).transpose()?;
        if let Some(mm) = mm.filter(|mm| *mm <= 0.0) {
            anyhow::bail!(sheet.wrong(row, format!("a short axis of {mm} mm is none")));
        }
        let call = |rule: Rule| Some((Some(rule.name()), rule.call(criteria, mm)?));
        Ok(Rule::ALL.into_iter().filter_map(call).collect())
    }
}

/// The network as one more reader of the cases that the others read.
pub fn network(
    path: &Path,
    positive: Option<&str>,
    threshold: f64,
    readers: &[Reading],
) -> anyhow::Result<Reading> {
    let at = path.display();
    let predicted = of_predictions(path, positive, false)?;
    let classes = predicted.classes.join(", ");
    if predicted.classes.len() != 2 {
        anyhow::bail!("{at}: readers tell two classes apart, not {classes}");
    }
    let positive = match positive {
        Some(name) => predicted.classes.iter().position(|class| class == name),
        None => Some(1),
    };
    let positive = positive.ok_or_else(|| anyhow::anyhow!("--positive: is none of the classes {classes}"))?;
    let mut by_name = BTreeMap::new();
    for case in predicted.cases {
        let name =
            case.name.ok_or_else(|| anyhow::anyhow!("{at}: a prediction needs its `case` or `image`"))?;
        by_name.insert(name, (case.label, case.probabilities[positive]));
    }
    let mut network = Reading::new("network", "");
    for (name, read) in readers.iter().flat_map(|reading| &reading.cases) {
        let Some((label, score)) = by_name.get(name) else {
            anyhow::bail!("{at}: has no prediction of case `{name}`, which was read");
        };
        if label.is_some_and(|label| (label == positive) != read.label) {
            anyhow::bail!("{at}: case `{name}` has another label than the readers' file gives it");
        }
        let call = *score >= threshold;
        if network.cases.insert(name.clone(), Read { label: read.label, call, score: *score }).is_none() {
            network.confusion.add(read.label, call, 1);
        }
    }
    if network.cases.is_empty() {
        anyhow::bail!("{at}: the readers' counts name no case, so predictions cannot be set beside them");
    }
    Ok(network)
}
