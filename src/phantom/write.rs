//! The folder of phantoms: crops, tables, and what they were made by.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};
use serde_json::json;

use super::node::{RULE, SHORT_AXIS_MM, bayes_accuracy, population_accuracy};
use super::paint::{LARGEST, Painted, SMALLEST, paint};
use super::patient::Patient;
use super::readers::{HOLDS_FROM, READERS};
use super::{NOTICE, VIEWS};
use crate::error::{Error, Result};
use crate::files::make_whole;

/// Most patients there can be.
const MOST: u64 = 9999;

/// Least patients of each group: a t test's.
const LEAST: usize = 2;

/// Most rows and columns of a crop.
const MOST_SIDE: usize = 1024;

/// JPEG's quality.
const QUALITY: u8 = 92;

const README: &str = include_str!("README.txt");

/// What is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The same seed gives the same files.
    pub seed: u64,
    /// How many patients.
    pub patients: u64,
    /// Height and width of the largest crop; the smallest is 21×20.
    pub largest: (usize, usize),
}

impl Default for Options {
    fn default() -> Self {
        Options { seed: 0, patients: 40, largest: LARGEST }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Patients.
    pub patients: usize,
    /// Nodes of all patients.
    pub nodes: usize,
    /// Of these, the positive ones.
    pub positive: usize,
    /// Crops.
    pub images: usize,
    /// What [`bayes_accuracy`] is for these nodes.
    pub bayes_accuracy: f64,
    /// What it is for the rule.
    pub population_accuracy: f64,
}

/// Makes phantoms in the folder `out`, which appears whole or not at all: `images/`, `nodes.csv`, `readers.csv`, `cohort.csv`,
/// `phantom-rule.csv` (the rule's own probabilities), `phantom.json` (the rule, the readers' errors), `README.md`.
///
/// # Errors
/// [`Error::Argument`] when something lies at `out`, for patients or sizes out of range, and for a seed that draws fewer than
/// two patients with or without a positive node; [`Error::Io`] when it cannot be written.
pub fn make(out: &Path, options: &Options) -> Result<Summary> {
    check(options)?;
    let patients: Vec<Patient> = (0..options.patients).map(|i| Patient::draw(options.seed, i)).collect();
    let positive = patients.iter().filter(|patient| patient.is_positive()).count();
    if positive.min(patients.len() - positive) < LEAST {
        return Err(Error::Argument(format!(
            "seed {} gives {positive} of {} patients a positive node, and a study needs {LEAST} with and {LEAST} without: make more \
             patients, or take another seed",
            options.seed, options.patients
        )));
    }
    let nodes = || patients.iter().flat_map(|patient| patient.nodes.iter().copied());
    let summary = Summary {
        patients: patients.len(),
        nodes: nodes().count(),
        positive: nodes().filter(|node| node.positive).count(),
        images: VIEWS.len() * nodes().count(),
        bayes_accuracy: bayes_accuracy(nodes()),
        population_accuracy: population_accuracy(),
    };
    make_whole(out, |folder| fill(folder, options, &patients, &summary))?;
    Ok(summary)
}

fn check(options: &Options) -> Result<()> {
    let (height, width) = options.largest;
    let fits = (SMALLEST.0..=MOST_SIDE).contains(&height) && (SMALLEST.1..=MOST_SIDE).contains(&width);
    if !fits {
        return Err(Error::Argument(format!(
            "the largest crop has {}x{} to {MOST_SIDE}x{MOST_SIDE} pixels, height first, not {height}x{width}",
            SMALLEST.0, SMALLEST.1
        )));
    }
    let least = 2 * LEAST as u64;
    if !(least..=MOST).contains(&options.patients) {
        return Err(Error::Argument(format!(
            "there are {least} to {MOST} patients, not {}",
            options.patients
        )));
    }
    Ok(())
}

/// The tables, as they grow.
struct Tables {
    nodes: String,
    rule: String,
    readers: String,
    cohort: String,
}

fn fill(folder: &Path, options: &Options, patients: &[Patient], summary: &Summary) -> Result<()> {
    let images = folder.join("images");
    fs::create_dir(&images).map_err(|e| Error::io(&images, "create", e))?;
    let mut tables = Tables {
        nodes: "image,node,patient,view,label,short_axis_mm,irregularity,heterogeneity,roundness,phantom_probability\n".into(),
        rule: "image,node,patient,label,probability\n".into(),
        readers: "reader,case,label,irregular_border,heterogeneous_signal,round_shape,short_axis_mm,phantom_node\n".into(),
        cohort: "patient,group,phantom_age,phantom_gender,phantom_t_stage\n".into(),
    };
    for (i, patient) in patients.iter().enumerate() {
        let name = format!("phantom-{:04}", i + 1);
        let Patient { age, gender, t_stage, .. } = patient;
        put(&mut tables.cohort, format_args!("{name},{},{age},{gender},{t_stage}", patient.group()));
        for node in 0..patient.nodes.len() {
            for (view, (series, _)) in VIEWS.iter().enumerate() {
                let image = format!("images/{name}-{}-{series}.jpg", node + 1);
                rows(&mut tables, patient, (node, view), &image, &name);
                let (body, own) = (patient.body(node), patient.view(node, view));
                let painted = paint(&patient.nodes[node], view, body, own, options.largest);
                let path = folder.join(image);
                write(&path, &jpeg(&path, &painted)?)?;
            }
        }
    }
    let about = about(options, summary);
    let readme = README
        .replace("{POPULATION}", &format!("{:.1}", 100.0 * summary.population_accuracy))
        .replace("{THESE}", &format!("{:.1}", 100.0 * summary.bayes_accuracy))
        .replace("{SEED}", &options.seed.to_string())
        .replace("{PATIENTS}", &options.patients.to_string())
        .replace("{SIZE}", &format!("{}x{}", options.largest.0, options.largest.1));
    for (name, text) in [
        ("nodes.csv", &tables.nodes),
        ("phantom-rule.csv", &tables.rule),
        ("readers.csv", &tables.readers),
        ("cohort.csv", &tables.cohort),
        ("phantom.json", &format!("{about:#}\n")),
        ("README.md", &readme),
    ] {
        write(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Adds a line to a table.
fn put(table: &mut String, line: std::fmt::Arguments) {
    // Writing into a string cannot fail.
    let _ = writeln!(table, "{line}");
}

/// Adds the rows of a crop.
fn rows(tables: &mut Tables, patient: &Patient, (at, view): (usize, usize), image: &str, name: &str) {
    let node = &patient.nodes[at];
    let (label, p, id) = (node.label(), node.probability(), format!("{name}-{}", at + 1));
    put(
        &mut tables.nodes,
        format_args!(
            "{image},{id},{name},{},{label},{:.2},{:.3},{:.3},{:.3},{p:.6}",
            VIEWS[view].0, node.short_axis_mm, node.irregularity, node.heterogeneity, node.roundness
        ),
    );
    put(&mut tables.rule, format_args!("{image},{id},{name},{label},{p:.6}"));
    for (k, reader) in READERS.iter().enumerate() {
        let (criteria, mm) = reader.read(node, patient.reading(at, view, k));
        let [border, signal, shape] =
            [criteria.irregular_border, criteria.heterogeneous_signal, criteria.round_shape].map(u8::from);
        put(
            &mut tables.readers,
            format_args!("{},{image},{label},{border},{signal},{shape},{mm:.1},{id}", reader.name),
        );
    }
}

/// What the tables were made by.
fn about(options: &Options, summary: &Summary) -> serde_json::Value {
    let (intercept, [short_axis_mm, irregularity, heterogeneity, roundness]) = RULE;
    let readers = READERS.map(|reader| {
        json!({
            "reader": reader.name,
            "criterion_error": reader.criterion_error,
            "short_axis_sd_mm": reader.short_axis_sd_mm,
        })
    });
    json!({
        "phantom": NOTICE,
        "seed": options.seed,
        "patients": summary.patients,
        "nodes": summary.nodes,
        "positive_nodes": summary.positive,
        "images": summary.images,
        "smallest_crop": SMALLEST,
        "largest_crop": options.largest,
        "short_axis_mm": SHORT_AXIS_MM,
        "rule": {
            "probability": "1 / (1 + exp(-(intercept + sum of slope * number)))",
            "intercept": intercept,
            "slopes": {
                "short_axis_mm": short_axis_mm,
                "irregularity": irregularity,
                "heterogeneity": heterogeneity,
                "roundness": roundness,
            },
        },
        "bayes_accuracy": {"rule": summary.population_accuracy, "these_nodes": summary.bayes_accuracy},
        "criterion_holds_from": {
            "irregularity": HOLDS_FROM[0],
            "heterogeneity": HOLDS_FROM[1],
            "roundness": HOLDS_FROM[2],
        },
        "readers": readers,
    })
}

/// The crop as a JPEG with a comment that says what it is.
fn jpeg(path: &Path, painted: &Painted) -> Result<Vec<u8>> {
    Encoder::new(&painted.pixels, painted.width, painted.height, PixelFormat::Grayscale)
        .quality(QUALITY)
        .subsampling(Subsampling::S444)
        .comment(NOTICE)
        .encode()
        .map_err(|e| Error::image(path, format!("cannot be encoded: {e}")))
}

/// Writes a file of the folder that is being made.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| Error::io(path, "write", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_of_the_rule_and_the_readers_is_so() {
        let (intercept, [a, b, c, d]) = RULE;
        let centre = -(intercept + 0.5 * b + 0.5 * c + 0.75 * d) / a;
        let rule = format!(
            "z = {a}·(short axis − {centre:.1}) + {b}·(irregularity − ½) + {c}·(heterogeneity − ½) + {d}·(roundness − ¾)"
        );
        assert!(README.contains(&rule) && include_str!("mod.rs").contains(&rule), "{rule}");
        for reader in READERS {
            let errs = format!("{:.0} % for {}", 100.0 * reader.criterion_error, reader.name);
            assert!(README.contains(&errs), "{errs}");
        }
        assert_eq!(READERS.map(|reader| reader.short_axis_sd_mm), [1.0, 0.5], "1 mm and ½ mm");
        assert_eq!(HOLDS_FROM, [0.5, 0.5, 0.75], "irregularity ½, heterogeneity ½, roundness ¾");
    }
}
