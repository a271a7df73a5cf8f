//! Cases: probabilities with their truth, from a CSV of predictions or from a network.

use std::collections::HashSet;
use std::path::Path;

use nodal::Error;
use nodal::data::Sample;

use super::super::network::{NetworkOptions, collect_saying, validation_of};
use super::super::sheet::{Row, Sheet};

/// Columns of a CSV of predictions that are no probabilities.
const COLUMNS: [&str; 9] = ["image", "case", "class", "error", "label", "node", "patient", "view", "reader"];
/// How far probabilities may be from the sum 1.
const SUM: f64 = 1e-3;

/// One image, node or patient.
#[derive(Clone, Debug)]
pub struct Case {
    /// The image's or case's name, where it has one.
    pub name: Option<String>,
    pub node: Option<String>,
    pub patient: Option<String>,
    /// Its class; `None` only where no column `label` was asked for.
    pub label: Option<usize>,
    /// A probability for each class.
    pub probabilities: Vec<f64>,
}

/// Cases and the classes they are of.
pub struct Cases {
    pub classes: Vec<String>,
    pub cases: Vec<Case>,
}

/// The cases of a CSV: `label`, and `probability` (of the positive class) or a column for each class. `need_labels` refuses a
/// file without labels.
pub fn of_predictions(path: &Path, positive: Option<&str>, need_labels: bool) -> anyhow::Result<Cases> {
    let sheet = Sheet::open(path)?;
    if need_labels {
        sheet.need("label")?;
    }
    let (classes, columns) = classes_of(&sheet, positive)?;
    let [label, node, patient] = ["label", "node", "patient"].map(|name| sheet.column(name));
    let name = sheet.column("case").or_else(|| sheet.column("image"));
    let mut seen = HashSet::new();
    let mut cases = Vec::with_capacity(sheet.rows().len());
    for row in sheet.rows() {
        let text = |column| row.get(column).map(str::to_string);
        if let Some(again) = row.get(name).filter(|name| !seen.insert(*name)) {
            anyhow::bail!(sheet.wrong(row, format!("`{again}` stands here a second time")));
        }
        let label = match label {
            Some(column) => {
                Some(class_of(&classes, sheet.field(row, column)?).map_err(|e| sheet.wrong(row, e))?)
            }
            None => None,
        };
        let probabilities = probabilities(&sheet, row, &columns, &classes)?;
        for (column, named) in [(node, "node"), (patient, "patient")] {
            if row.get(column).is_none() && sheet.rows().iter().any(|other| other.get(column).is_some()) {
                anyhow::bail!(sheet.wrong(
                    row,
                    format!("`{named}` is empty here and not in other rows: fill it in or leave it out")
                ));
            }
        }
        cases.push(Case { name: text(name), node: text(node), patient: text(patient), label, probabilities });
    }
    Ok(Cases { classes, cases })
}

/// The classes and the columns of their probabilities; a single column is the probability of the second class.
fn classes_of(sheet: &Sheet, positive: Option<&str>) -> anyhow::Result<(Vec<String>, Vec<usize>)> {
    if let Some(column) = sheet.column("probability") {
        let mut labels: Vec<&str> = match sheet.column("label") {
            Some(label) => sheet.rows().iter().filter_map(|row| row.get(Some(label))).collect(),
            None => Vec::new(),
        };
        labels.sort_unstable();
        labels.dedup();
        let usual = |names: [&'static str; 2]| {
            labels.iter().all(|label| names.iter().any(|name| name == label)).then_some(names)
        };
        if let Some(positive) = positive {
            let other: Vec<&str> = labels.into_iter().filter(|label| *label != positive).collect();
            if other.len() > 1 {
                let others = other.join(", ");
                anyhow::bail!(sheet.problem(format!(
                    "a column `probability` is for two classes, not {others} and {positive}"
                )));
            }
            let other = other.first().map_or("other", |name| *name);
            return Ok((vec![other.to_string(), positive.to_string()], vec![column]));
        }
        let names = usual(["negative", "positive"]).or_else(|| usual(["0", "1"])).ok_or_else(|| {
            let labels = labels.join(", ");
            sheet.problem(format!(
                "has the labels {labels}: name the one that `probability` is of with --positive"
            ))
        })?;
        return Ok((names.map(str::to_string).into(), vec![column]));
    }
    let known = |name: &String| COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(name));
    let columns: Vec<usize> = (0..sheet.columns().len()).filter(|&k| !known(&sheet.columns()[k])).collect();
    if columns.len() < 2 {
        anyhow::bail!(
            sheet.problem("has neither a column `probability` nor one for each of at least two classes")
        );
    }
    Ok((columns.iter().map(|&k| sheet.columns()[k].clone()).collect(), columns))
}

fn probabilities(
    sheet: &Sheet,
    row: &Row,
    columns: &[usize],
    classes: &[String],
) -> anyhow::Result<Vec<f64>> {
    if let Some(error) = row.get(sheet.column("error")) {
        anyhow::bail!(
            sheet.wrong(row, format!("was not classified ({error}): mend the image or leave the line out"))
        );
    }
    let mut values = Vec::with_capacity(classes.len());
    for &column in columns {
        let p = sheet.number(row, column)?;
        if !(0.0..=1.0).contains(&p) {
            anyhow::bail!(sheet.wrong(row, format!("a probability lies between 0 and 1, not {p}")));
        }
        values.push(p);
    }
    if let [p] = values[..] {
        return Ok(vec![1.0 - p, p]);
    }
    let sum: f64 = values.iter().sum();
    if (sum - 1.0).abs() > SUM {
        let names = classes.join(", ");
        anyhow::bail!(sheet.wrong(
            row,
            format!(
                "the probabilities {names} sum to {sum}, not 1; every column but {} is taken for a class",
                COLUMNS.join(", ")
            ),
        ));
    }
    Ok(values)
}

/// The number of the class `label`.
fn class_of(classes: &[String], label: &str) -> Result<usize, String> {
    classes
        .iter()
        .position(|class| class == label)
        .ok_or_else(|| format!("the label `{label}` is none of the classes {}", classes.join(", ")))
}

/// The images of a folder with a sub-folder for each class, or of a CSV with `image` and `label`, through a network.
pub fn of_network(data: &Path, weights: &Path, network: &NetworkOptions) -> anyhow::Result<Cases> {
    through(data, labelled(data)?, weights, network)
}

/// The validation part of the run in `folder` through its best weights.
pub fn of_run(folder: &Path, network: &NetworkOptions) -> anyhow::Result<Cases> {
    through(folder, validation_of(folder)?, folder, network)
}

/// Labelled `samples`, which come from `data`, through a network.
fn through(
    data: &Path,
    samples: Vec<Sample>,
    weights: &Path,
    network: &NetworkOptions,
) -> anyhow::Result<Cases> {
    let mut model = network.open(weights)?;
    let classes = model.classes().to_vec();
    for sample in &samples {
        let label = sample.label.as_deref().unwrap_or_default();
        class_of(&classes, label).map_err(|problem| {
            Error::format(data, format!("{}: {problem} that the weights tell apart", sample.image.display()))
        })?;
    }
    let rows = network.classify(&mut model, samples)?;
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed > 0 {
        anyhow::bail!("{failed} of {} images could not be read: see above", rows.len());
    }
    let case = |row: super::super::network::Row| {
        let prediction = row.outcome.ok()?;
        Some(Case {
            name: Some(row.sample.image.display().to_string()),
            label: class_of(&classes, row.sample.label.as_deref()?).ok(),
            node: row.sample.node,
            patient: row.sample.patient,
            probabilities: prediction.probabilities.iter().map(|p| as_written(*p)).collect(),
        })
    };
    let cases = rows.into_iter().filter_map(case).collect();
    Ok(Cases { classes, cases })
}

/// A float32 as a CSV of it would be read.
fn as_written(p: f32) -> f64 {
    p.to_string().parse().unwrap_or_else(|_| f64::from(p))
}

/// The samples of `data`, each with its label and none twice.
fn labelled(data: &Path) -> anyhow::Result<Vec<Sample>> {
    if ["train", "val"].iter().all(|part| data.join(part).is_dir()) {
        let val = data.join("val");
        anyhow::bail!(Error::format(
            data,
            format!("is split into train and val: name one, as {}", val.display())
        ));
    }
    if !data.exists() {
        anyhow::bail!("{}: there is no such file or folder", data.display());
    }
    let mut samples = collect_saying(data)?;
    let mut seen = HashSet::new();
    for sample in &mut samples {
        if data.is_dir() {
            let below = sample.image.strip_prefix(data).ok().map(|below| below.components());
            let mut below = below.into_iter().flatten();
            sample.label = below
                .next()
                .filter(|_| below.next().is_some())
                .map(|name| name.as_os_str().to_string_lossy().into_owned());
        }
        let image = sample.image.display();
        if sample.label.is_none() {
            let problem = match data.is_dir() {
                true => {
                    format!("{image} lies in no sub-folder: give a folder with one sub-folder for each class")
                }
                false => format!("{image} has no label: give a CSV with the columns image and label"),
            };
            anyhow::bail!(Error::format(data, problem));
        }
        if !seen.insert(sample.image.clone()) {
            anyhow::bail!(Error::format(data, format!("{image} stands there twice")));
        }
    }
    Ok(samples)
}
