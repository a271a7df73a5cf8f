//! `nodal cohort`: rows of patients, and what cannot be compared.

use serde_json::Value;

use crate::folder::Folder;

fn json(folder: &Folder, arguments: &[&str]) -> Value {
    serde_json::from_str(&folder.ok(&[&["cohort", "--json"], arguments].concat())).unwrap()
}

const ROWS: &str = "patient,group,age,sex,marker,grade
p1,ill,50,m,1,1\np2,ill,60,f,1,2\np3,ill,70,m,0,3\np4,well,40,f,0,1\np5,well,45,,0,2\np6,well,55,f,1,1
";

#[test]
fn rows_of_patients() {
    let folder = Folder::with(&[("c.csv", ROWS)]);
    let all = json(&folder, &["c.csv"]);
    assert_eq!(all["groups"], serde_json::json!(["ill", "well"]));
    let names: Vec<&str> =
        all["features"].as_array().unwrap().iter().map(|f| f["feature"].as_str().unwrap()).collect();
    assert_eq!(names, ["age", "sex", "marker", "grade"], "a patient's name is no feature");
    let [age, sex, marker, grade] = [0, 1, 2, 3].map(|k| &all["features"][k]);
    assert_eq!(age["groups"][0], serde_json::json!({"n": 3, "mean": 60.0, "sd": 10.0}));
    assert_eq!(age["t_pooled"]["freedom"], 4.0);
    assert_eq!(sex["counts"], serde_json::json!({"f": [1, 2], "m": [2, 0]}), "an empty field is left out");
    assert!((sex["fisher"]["p"].as_f64().unwrap() - 0.4).abs() < 1e-12);
    assert!(marker["chi_square_yates"]["p"].is_number(), "numbers of two values are categories");
    assert!(grade["t_welch"]["p"].is_number());
    let forced = json(&folder, &["c.csv", "--categories", "grade", "--ignore", "age,marker"]);
    assert_eq!(forced["features"][1]["counts"]["1"], serde_json::json!([1, 2]));
    let by_marker = json(&folder, &["c.csv", "--group", "marker", "--ignore", "age,grade"]);
    assert_eq!(by_marker["features"][0]["feature"], "group");
}

#[test]
fn bad_input_gives_one_sentence() {
    let folder = Folder::with(&[
        ("c.csv", ROWS),
        ("one.csv", "group,age\na,1\na,2\na,3\n"),
        ("three.csv", "group,age\na,1\na,2\nb,3\nb,4\nc,5\nc,6\n"),
        ("few.csv", "group,age\na,1\na,2\nb,3\n"),
        ("bare.csv", "group\na\nb\n"),
        ("blank.csv", "group,age\n,1\n"),
        ("half.csv", "feature,group,count,mean,sd\nage,a,5,1,1\nsex,b,5,1,1\n"),
        ("minus.csv", "feature,level,group,count\nsex,m,a,-5\n"),
        ("neither.csv", "feature,level,group,count\nsex,,a,5\n"),
        ("flat.csv", "group,sex\na,m\nb,m\n"),
    ]);
    for (file, says) in [
        ("one.csv", "every row is of the group a"),
        ("three.csv", "a t test of `age` compares two groups, not a, b, c"),
        ("few.csv", "column `age`: a t test needs at least two values"),
        ("bare.csv", "has no column of a feature"),
        ("blank.csv", "line 2: `group` is empty"),
        ("half.csv", "`age` needs one mean for each group"),
        ("minus.csv", "line 2: `count` is no count: `-5`"),
        ("neither.csv", "line 2: has neither a level nor mean and sd"),
    ] {
        folder.refused(&["cohort", file], says);
    }
    folder.refused(&["cohort", "c.csv", "--group", "arm"], "has no column `arm`");
    folder.refused(&["cohort", "c.csv", "--ignore", "height"], "has no column `height`");
    let table = folder.ok(&["cohort", "flat.csv"]);
    assert!(table.contains("sex: chi-square needs at least two rows"), "{table}");
}
