//! What is refused, in one sentence each, with nothing written.

use crate::folder::Folder;

const PREDICTIONS: &str = "image,label,negative,positive\na.jpg,negative,0.9,0.1\nb.jpg,positive,0.2,0.8\n";
const READERS: &str = "reader,case,label,call\nR,a.jpg,0,0\nR,b.jpg,1,1\n";

#[test]
fn what_makes_no_page_is_named() {
    let folder = Folder::with(&[
        ("p.csv", PREDICTIONS),
        ("r.csv", READERS),
        ("others.csv", "reader,case,label,call\nR,x.jpg,0,0\nR,y.jpg,1,1\n"),
        ("swapped.csv", "reader,case,label,call\nR,a.jpg,1,0\nR,b.jpg,0,1\n"),
        ("three.csv", "image,label,a,b,c\n1,a,0.8,0.1,0.1\n2,b,0.3,0.6,0.1\n3,c,0.1,0.1,0.8\n"),
        ("one.csv", "image,label,negative,positive\na.jpg,negative,0.9,0.1\n"),
        ("folder/notes.txt", ""),
    ]);
    let refused = |arguments: &[&str], says: &str| {
        folder.refused(&[&["report"], arguments, &["-o", "page.html"]].concat(), says);
        assert!(!folder.path().join("page.html").exists(), "{arguments:?} wrote a page");
    };
    refused(&[], "give one at least");
    refused(&["folder"], "is no run: config.json is missing");
    refused(&["nowhere"], "is no run");
    refused(&["--predictions", "nowhere.csv"], "nowhere.csv");
    refused(&["--predictions", "one.csv"], "every label is `negative`");
    refused(
        &["--predictions", "p.csv", "--readers", "others.csv"],
        "the readers name no case that is among them",
    );
    refused(&["--predictions", "p.csv", "--readers", "swapped.csv"], "has another label");
    refused(
        &["--predictions", "three.csv", "--readers", "r.csv"],
        "readers tell two classes apart, not a, b, c",
    );
    refused(&["--predictions", "p.csv", "--positive", "ill"], "is none of the classes");
    refused(&["--predictions", "p.csv", "--device", "cpu"], "--device counts only where a network runs");
    for option in [
        ["--cutoff", "youden"],
        ["--threshold", "0.3"],
        ["--pool", "max"],
        ["--positive", "positive"],
        ["--bootstrap", "9"],
        ["--seed", "9"],
        ["--errors", "3"],
        ["--data", "folder"],
    ] {
        let says = format!("{} counts only where a network is judged", option[0]);
        refused(&[&["--readers", "r.csv"], &option[..]].concat(), &says);
    }
    refused(&["--sweep", "folder", "--confidence", "0.9"], "--confidence counts only where");
    refused(&["--predictions", "p.csv", "--threshold", "7"], "between 0 and 1");
    refused(&["--sweep", "folder"], "no run is finished");
    refused(&["--cohort", "p.csv"], "has no column `group`");
    folder.refused(&["report", "--predictions", "p.csv", "-o", "there/page.html"], "does not exist");
}

#[test]
fn a_page_replaces_nothing_but_a_page() {
    let files = [
        ("p.csv", PREDICTIONS),
        ("run/config.json", "{}\n"),
        ("study/nodes.csv", "image,label\n"),
        ("sweep/sweep.json", "{}\n"),
        ("empty", ""),
        ("begun.html", "<!DOCTYPE"),
    ];
    let folder = Folder::with(&files);
    for (name, _) in files {
        let says = format!("{name}: is there already and is no HTML page: name another file with");
        folder.refused(&["report", "--predictions", "p.csv", "-o", name], &format!("{says} -o"));
        folder.refused(&["evaluate", "p.csv", "--report", name], &format!("{says} --report"));
    }
    // Refused before anything is read.
    folder.refused(&["report", "--predictions", "nowhere.csv", "-o", "p.csv"], "is no HTML page");
    for (name, says) in [("study", "is a folder"), (".", "is a folder"), ("/proc/page.html", "cannot write")]
    {
        if name.starts_with('/') && !cfg!(target_os = "linux") {
            continue;
        }
        folder.refused(&["report", "--predictions", "nowhere.csv", "-o", name], says);
    }
    for (name, text) in files {
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text, "{name}");
    }
    for _ in 0..2 {
        folder.ok(&["report", "--predictions", "p.csv", "-o", "page.html"]);
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 7, "p.csv, run, study, sweep, empty, begun.html and the page");
}
