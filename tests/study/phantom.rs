//! `nodal phantom`: the same files from a seed, which the other commands of a study take.

use std::collections::BTreeMap;
use std::path::Path;

use nodal::Image;
use nodal::data::train::Dataset;
use serde_json::Value;

use crate::folder::Folder;

/// The bytes of every file below `path`, by its name from there on.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_name().unwrap().to_str().unwrap().to_string();
        if entry.is_dir() {
            all.extend(files(&entry).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.insert(name, std::fs::read(&entry).unwrap());
        }
    }
    all
}

fn text(all: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(all[name].clone()).unwrap()
}

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&folder.ok(arguments)).unwrap()
}

#[test]
fn a_seed_gives_the_same_bytes_and_a_patient_is_the_same_among_more() {
    let folder = Folder::with(&[]);
    for (out, patients, seed) in [("a", "8", "7"), ("b", "8", "7"), ("c", "8", "8"), ("d", "9", "7")] {
        folder.ok(&["phantom", out, "--patients", patients, "--seed", seed]);
    }
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| files(&folder.path().join(name)));
    assert!(a == b && a != c);
    assert!(a.iter().all(|(name, bytes)| !name.ends_with(".jpg") || d[name] == *bytes));
    assert!(text(&d, "nodes.csv").starts_with(&text(&a, "nodes.csv")));
    assert_eq!(files(folder.path()).len(), a.len() + b.len() + c.len() + d.len(), "nothing else is left");
    // Of all crops and tables, by FNV-1a: the same on every machine, with and without SIMD in the JPEG encoder.
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let hash = a.iter().filter(|(name, _)| name.ends_with(".jpg") || name.ends_with(".csv"));
    let hash = hash.flat_map(|(_, bytes)| bytes).fold(0xCBF2_9CE4_8422_2325, fnv);
    assert_eq!(hash, 0x0315_CB34_C0E8_FDF2, "{hash:#x}");
}

#[test]
fn counts_sizes_and_labels_agree() {
    let folder = Folder::with(&[]);
    let said = folder.ok(&["phantom", "p", "--seed", "1"]);
    assert!(said.contains("40 phantom patients") && said.contains("no clinical evidence"), "{said}");
    let root = folder.path().join("p");
    let all = files(&root);
    let data = Dataset::open(&root.join("nodes.csv")).unwrap();
    assert_eq!(data.classes(), ["negative", "positive"]);
    let images = all.keys().filter(|name| name.ends_with(".jpg")).count();
    assert_eq!(data.samples().len(), images);
    let mut nodes: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for sample in data.samples() {
        let [node, patient, view] =
            [&sample.node, &sample.patient, &sample.view].map(|field| field.as_deref().unwrap());
        nodes.entry((patient, node)).or_default().push(view);
        let image = Image::open(&sample.image).unwrap();
        assert_eq!(image.channels(), 1);
        let (height, width) = (image.height(), image.width());
        assert!((21..=111).contains(&height) && (20..=102).contains(&width), "{height}x{width}");
    }
    assert!(nodes.values().all(|views| *views == ["axial", "coronal", "sagittal"]));
    let mut of_patient: BTreeMap<&str, usize> = BTreeMap::new();
    nodes.keys().for_each(|(patient, _)| *of_patient.entry(patient).or_default() += 1);
    assert_eq!(of_patient.len(), 40);
    assert!(of_patient.values().all(|count| (1..=3).contains(count)));
    let about: Value = serde_json::from_str(&text(&all, "phantom.json")).unwrap();
    assert_eq!((&about["nodes"], &about["images"]), (&nodes.len().into(), &images.into()));
    // The number of positive nodes is within 3.3 standard deviations of what their probabilities sum to.
    let table = text(&all, "nodes.csv");
    let rows = table.lines().skip(1).filter(|row| row.contains("axial"));
    let (mut positive, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for row in rows {
        let p: f64 = row.rsplit(',').next().unwrap().parse().unwrap();
        positive += f64::from(u8::from(row.contains(",positive,")));
        expected += p;
        variance += p * (1.0 - p);
    }
    assert!((positive - expected).abs() <= 3.3 * variance.sqrt(), "{positive}, not {expected}");
}

#[test]
fn every_command_of_a_study_takes_them() {
    let folder = Folder::with(&[]);
    folder.ok(&["phantom", "p", "--seed", "2", "--size", "60x50"]);
    let about: Value = serde_json::from_str(&text(&files(&folder.path().join("p")), "phantom.json")).unwrap();
    let readers =
        json(&folder, &["readers", "--json", "p/readers.csv", "--predictions", "p/phantom-rule.csv"]);
    let named: Vec<(&str, &str)> = readers["readings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["reader"].as_str().unwrap(), r["reading"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(named.len(), 7, "two readers by three rules, and the rule: {named:?}");
    assert!(named.contains(&("phantom reader A", "without SA")));
    let accuracy = |k: usize| readers["readings"][k]["metrics"]["accuracy"]["value"].as_f64().unwrap();
    let bayes = about["bayes_accuracy"]["these_nodes"].as_f64().unwrap();
    // Three standard errors of a proportion over some 70 nodes.
    assert!((accuracy(6) - bayes).abs() <= 0.1, "{} and {bayes}", accuracy(6));
    assert!((0..6).all(|k| accuracy(k) < accuracy(6)));
    let cohort = json(&folder, &["cohort", "--json", "p/cohort.csv"]);
    let features: Vec<&str> =
        cohort["features"].as_array().unwrap().iter().map(|f| f["feature"].as_str().unwrap()).collect();
    assert_eq!(features, ["phantom_age", "phantom_gender", "phantom_t_stage"]);
    assert!(folder.ok(&["evaluate", "p/phantom-rule.csv"]).contains("patient"));
}

#[test]
fn every_file_says_phantom() {
    let folder = Folder::with(&[]);
    folder.ok(&["phantom", "p", "--patients", "8", "--seed", "7"]);
    for (name, bytes) in files(&folder.path().join("p")) {
        let head = bytes.split(|byte| *byte == b'\n').next().unwrap();
        let says = |text: &[u8]| text.to_ascii_lowercase().windows(7).any(|word| word == b"phantom");
        assert!(says(name.as_bytes()) || says(head), "{name}");
        assert!(!name.ends_with(".jpg") || says(&bytes[..200]), "{name} has no comment");
    }
    let readme = std::fs::read_to_string(folder.path().join("p/README.md")).unwrap();
    let first = readme.lines().next().unwrap();
    assert!(first.starts_with("Phantoms, made by a rule: no clinical evidence"), "{first}");
    assert!(!readme.contains(['{', '}']), "{readme}");
}

#[test]
fn bad_input_gives_one_sentence() {
    let folder = Folder::with(&[("full/file", ""), ("file", "")]);
    let refused = |arguments: &[&str], says: &str| folder.refused(&[&["phantom"], arguments].concat(), says);
    refused(&["full", "--seed", "1"], "full: is there already");
    refused(&["file", "--seed", "1"], "file: is there already");
    refused(&["far/away", "--seed", "1"], "the folder far does not exist");
    refused(&["..", "--seed", "1"], "is there already");
    refused(&["p", "--seed", "1", "--patients", "3"], "4 to 9999 patients, not 3");
    refused(&["p", "--seed", "1", "--size", "20x20"], "21x20 to 1024x1024 pixels, height first, not 20x20");
    refused(&["p", "--seed", "1", "--size", "big"], "a size is");
    refused(&["p"], "--seed");
    refused(&["p", "--seed", "1", "--patients", "4"], "a study needs 2 with and 2 without");
    assert_eq!(files(folder.path()).len(), 2, "nothing is left of a refusal");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    folder.ok(&["phantom", "empty", "--seed", "1", "--patients", "10"]);
}
