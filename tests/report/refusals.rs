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
    refused(&["--predictions", "p.csv", "--threshold", "7"], "between 0 and 1");
    refused(&["--sweep", "folder"], "no run is finished");
    refused(&["--cohort", "p.csv"], "has no column `group`");
    folder.refused(&["report", "--predictions", "p.csv", "-o", "there/page.html"], "does not exist");
    folder.refused(&["report", "--predictions", "p.csv", "-o", "p.csv"], "would be overwritten");
    folder.refused(&["evaluate", "p.csv", "--report", "p.csv"], "would be overwritten");
    assert_eq!(std::fs::read_to_string(folder.path().join("p.csv")).unwrap(), PREDICTIONS);
}
