//! Splits: nothing on both sides, every class in its share, the same for the same seed.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)] // a test may panic

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use nodal::data::train::{Dataset, Split, SplitBy};

/// A table of rows `image,node,patient,label` in a folder of its own. Images need not exist.
struct Table {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Table {
    fn new(rows: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.csv");
        fs::write(&path, format!("image,node,patient,label\n{}\n", rows.join("\n"))).unwrap();
        Table { _folder: folder, path }
    }

    fn open(&self) -> Dataset {
        Dataset::open(&self.path).unwrap()
    }
}

/// A cohort: 37 patients of 1 to 4 nodes with 1 to 3 views; node names come again with each patient.
fn cohort() -> Vec<String> {
    let mut rows = Vec::new();
    for patient in 0..37 {
        for node in 0..1 + patient % 4 {
            let label = if (patient * 7 + node * 5) % 3 == 0 { "positive" } else { "negative" };
            for view in 0..1 + (patient + node) % 3 {
                rows.push(format!("{patient}-{node}-{view}.png,n{node},p{patient},{label}"));
            }
        }
    }
    rows
}

/// For each group: whether it is positive, and the sides its images are on (0 training, 1 validation).
fn groups(data: &Dataset, split: &Split, by: SplitBy) -> BTreeMap<String, (bool, BTreeSet<usize>)> {
    let mut groups: BTreeMap<String, (bool, BTreeSet<usize>)> = BTreeMap::new();
    for (side, part) in [&split.train, &split.val].into_iter().enumerate() {
        for &i in part {
            let sample = &data.samples()[i];
            let (patient, node) =
                (sample.patient.clone().unwrap_or_default(), sample.node.clone().unwrap_or_default());
            let key = match by {
                SplitBy::Image => data.name(sample),
                SplitBy::Node => format!("{patient} {node}"),
                SplitBy::Patient => patient,
            };
            let group = groups.entry(key).or_default();
            group.0 |= sample.label == 1;
            group.1.insert(side);
        }
    }
    groups
}

/// Every sample once; both sides ascending.
fn check_whole(data: &Dataset, split: &Split) {
    assert!(split.train.is_sorted() && split.val.is_sorted());
    let mut all = [&split.train[..], &split.val[..]].concat();
    all.sort();
    assert_eq!(all, (0..data.samples().len()).collect::<Vec<_>>());
}

const BY: [SplitBy; 3] = [SplitBy::Image, SplitBy::Node, SplitBy::Patient];

#[test]
fn no_group_is_on_both_sides_and_each_class_has_its_share() {
    let table = Table::new(&cohort());
    let data = table.open();
    for by in BY {
        for (fraction, seed) in [(0.2, 0), (0.2, 1), (0.5, 2), (0.33, 3), (0.9, 4)] {
            let split = Split::random(&data, by, fraction, seed).unwrap();
            check_whole(&data, &split);
            let groups = groups(&data, &split, by);
            assert!(groups.values().all(|(_, sides)| sides.len() == 1), "{by}: a group on both sides");
            for positive in [false, true] {
                let of_class: Vec<_> = groups.values().filter(|group| group.0 == positive).collect();
                let val = of_class.iter().filter(|group| group.1.contains(&1)).count() as f64;
                let expected = fraction * of_class.len() as f64;
                assert!((val - expected).abs() <= 0.5, "{by}, {fraction}: {val} of {}", of_class.len());
            }
        }
    }
}

#[test]
fn the_seed_alone_decides() {
    let mut rows = cohort();
    let (table, first) = (Table::new(&rows), rows[0].clone());
    let data = table.open();
    rows.rotate_left(17);
    rows.reverse();
    assert_ne!(rows[0], first);
    let turned = Table::new(&rows);
    let mut seen = BTreeSet::new();
    for by in BY {
        for seed in 0..5 {
            let split = Split::random(&data, by, 0.2, seed).unwrap();
            assert_eq!(split, Split::random(&turned.open(), by, 0.2, seed).unwrap());
            seen.insert(split.val);
        }
    }
    assert_eq!(seen.len(), 15, "each seed draws another part");
}

#[test]
fn every_group_validates_as_often_as_others() {
    let rows: Vec<String> = (0..20).map(|i| format!("{i}.png,,,{}", ["n", "p"][i % 2])).collect();
    let data = Table::new(&rows).open();
    let mut counts = [0; 20];
    for seed in 0..2000 {
        Split::random(&data, SplitBy::Image, 0.3, seed).unwrap().val.iter().for_each(|&i| counts[i] += 1);
    }
    // 600 expected, five standard deviations of √(2000 · 0.3 · 0.7).
    assert!(counts.iter().all(|count| (498..=702).contains(count)), "{counts:?}");
}

#[test]
fn folds_part_the_data_among_them_evenly() {
    let data = Table::new(&cohort()).open();
    for (by, folds) in [(SplitBy::Image, 5), (SplitBy::Node, 4), (SplitBy::Patient, 3), (SplitBy::Patient, 9)]
    {
        let splits: Vec<Split> =
            (0..folds).map(|fold| Split::fold(&data, by, fold, folds, 9).unwrap()).collect();
        let mut all: Vec<usize> = splits.iter().flat_map(|split| split.val.clone()).collect();
        all.sort();
        assert_eq!(all, (0..data.samples().len()).collect::<Vec<_>>(), "{by}: each image validates once");
        let mut counts = Vec::new();
        for split in &splits {
            check_whole(&data, split);
            let groups = groups(&data, split, by);
            assert!(groups.values().all(|(_, sides)| sides.len() == 1));
            let val = |positive| groups.values().filter(|g| g.0 == positive && g.1.contains(&1)).count();
            counts.push([val(false), val(true), val(false) + val(true)]);
        }
        for what in 0..3 {
            let of: Vec<usize> = counts.iter().map(|count| count[what]).collect();
            assert!(of.iter().max().unwrap() - of.iter().min().unwrap() <= 1, "{by}: {counts:?}");
        }
        assert_ne!(splits[0], Split::fold(&data, by, 0, folds, 10).unwrap());
    }
}

#[test]
fn the_default_is_the_safest_that_the_data_allow() {
    let of = |rows: &[&str]| {
        let rows: Vec<String> = rows.iter().map(|row| row.to_string()).collect();
        SplitBy::default_of(&Table::new(&rows).open())
    };
    assert_eq!(of(&["a,1,p,x", "b,,p,y"]), SplitBy::Patient);
    assert_eq!(of(&["a,1,p,x", "b,2,,y"]), SplitBy::Node);
    assert_eq!(of(&["a,1,p,x", "b,,,y"]), SplitBy::Image);
    for (by, text) in BY.iter().zip(["image", "node", "patient"]) {
        assert_eq!((by.to_string(), text.parse::<SplitBy>().unwrap()), (text.to_string(), *by));
    }
    let message = "case".parse::<SplitBy>().unwrap_err().to_string();
    assert_eq!(message, "split-by is `image`, `node` or `patient`, not `case`");
}

#[test]
fn a_leak_is_named_and_counted() {
    // p1's nodes on both sides, p2's views too; p3 and p4 on one side each.
    let rows = ["a,1,p1,x", "b,2,p1,y", "c,1,p2,x", "d,1,p2,x", "e,1,p3,y", "f,1,p4,x"].map(str::to_string);
    let data = Table::new(&rows).open();
    let split = Split { train: vec![0, 2, 4], val: vec![1, 3, 5] };
    let leak = split.leak(&data).unwrap();
    assert!(leak.starts_with("2 of 4 patients and 1 of 5 nodes have images on both sides"), "{leak}");
    assert!(leak.ends_with("split by patient"), "{leak}");
    let split = Split { train: vec![0, 1, 4], val: vec![2, 3, 5] };
    assert_eq!(split.leak(&data), None);

    let data = Table::new(&cohort()).open();
    let by = |by| Split::random(&data, by, 0.2, 1).unwrap().leak(&data);
    assert!(by(SplitBy::Image).unwrap().contains("patients and"), "{:?}", by(SplitBy::Image));
    let node = by(SplitBy::Node).unwrap();
    assert!(node.contains("patients have") && !node.contains("nodes"), "{node}");
    assert_eq!(by(SplitBy::Patient), None);
}

#[test]
fn what_cannot_be_split_is_refused() {
    let refused = |rows: &[&str], by, fraction| {
        let rows: Vec<String> = rows.iter().map(|row| row.to_string()).collect();
        Split::random(&Table::new(&rows).open(), by, fraction, 0).unwrap_err().to_string()
    };
    let four = ["a,1,p1,x", "b,2,p1,x", "c,3,p2,y", "d,4,p3,y"];
    for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN] {
        assert!(refused(&four, SplitBy::Image, fraction).starts_with("val-fraction lies between 0 and 1"));
    }
    assert!(
        refused(&["a,,,x", "b,,,y", "c,,,y"], SplitBy::Image, 0.2)
            .contains("the class `x` has a single image, which cannot be on both sides")
    );
    let message = refused(&four, SplitBy::Patient, 0.2);
    assert!(message.contains("the class `x` has a single patient (2 images)"), "{message}");
    let message = refused(&["a,1,,x", "b,1,p,x", "c,2,p,y"], SplitBy::Patient, 0.2);
    assert!(message.contains("has no patient, and the data are split by patient"), "{message}");
    // Every patient is positive: the negative class follows by chance, and here to one side only.
    let message = refused(&["a,1,p1,x", "b,2,p1,y", "c,3,p2,y"], SplitBy::Patient, 0.5);
    assert!(message.contains("no image of the class `x` is left for"), "{message}");

    let data = Table::new(&four.map(str::to_string)).open();
    for (fold, folds, says) in [
        (0, 1, "there is no fold 0 of 1"),
        (3, 3, "there is no fold 3 of 3"),
        (0, 3, "the class `x` has 2 images, too few for 3 folds"),
    ] {
        let message = Split::fold(&data, SplitBy::Image, fold, folds, 0).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_split_survives_its_file_and_another_place() {
    let mut rows = cohort();
    rows.push("\"odd, name\"\"s.png\",n 1,\"p,1\",positive".into());
    let (table, elsewhere) = (Table::new(&rows), Table::new(&rows));
    let data = table.open();
    let split = Split::random(&data, SplitBy::Patient, 0.2, 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("split.csv");
    split.write(&data, &path).unwrap();
    assert_eq!(Split::read(&data, &path).unwrap(), split);
    assert_eq!(Split::read(&elsewhere.open(), &path).unwrap(), split);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "image,label,part,node,patient,view");
    assert_eq!(lines.len(), 1 + rows.len());
    assert!(
        lines.contains(&"\"odd, name\"\"s.png\",positive,train,n 1,\"p,1\",")
            || lines.contains(&"\"odd, name\"\"s.png\",positive,val,n 1,\"p,1\",")
    );

    for wrong in [
        Split { train: vec![0], val: vec![1] },
        Split { val: split.train.clone(), ..split.clone() },
        Split { train: vec![rows.len()], val: split.val.clone() },
    ] {
        assert!(wrong.write(&data, &path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "what stood there stays");
    }
}

#[test]
fn a_split_of_other_data_is_refused() {
    let rows = ["a.png,,,x", "b.png,,,x", "c.png,,,y", "d.png,,,y"].map(str::to_string);
    let table = Table::new(&rows);
    let data = table.open();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("split.csv");
    let head = "image,label,part\n";
    let good = "a.png,x,train\nb.png,x,val\nc.png,y,train\nd.png,y,val\n";
    fs::write(&path, format!("{head}{good}")).unwrap();
    assert_eq!(Split::read(&data, &path).unwrap(), Split { train: vec![0, 2], val: vec![1, 3] });
    for (text, says) in [
        ("image,part\na.png,train\n".to_string(), "has no column `label`"),
        (format!("{head}{}", good.replace("d.png", "e.png")), "line 5: e.png is not in these data"),
        (
            format!("{head}{}", good.replace("b.png,x", "b.png,y")),
            "line 3: b.png is `y` here and `x` in the data",
        ),
        (
            format!("{head}{}", good.replace("b.png,x,val", "b.png,x,test")),
            "line 3: the part is `train` or `val`, not `test`",
        ),
        (format!("{head}{good}a.png,x,val\n"), "line 6: a.png stands here a second time"),
        (format!("{head}{}", &good[..good.len() - 12]), "does not list "),
        (format!("{head}{}", good.replace("val", "train")), "puts all images on one side"),
        (format!("{head}a.png,x\n"), "line 2: expected 3 fields, got 2"),
        (String::new(), "has no column `image`"),
    ] {
        fs::write(&path, text).unwrap();
        let message = Split::read(&data, &path).unwrap_err().to_string();
        assert!(message.contains(says) && message.contains("split.csv: "), "{message}");
    }
    assert!(Split::read(&data, folder.path()).unwrap_err().to_string().contains("is no regular file"));
    assert!(
        Split::read(&data, &folder.path().join("none.csv")).unwrap_err().to_string().contains("cannot read")
    );
}
