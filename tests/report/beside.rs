//! Predictions beside a run, of which the page says what it knows: the run here is written by hand.

use crate::folder::Folder;
use crate::html::Page;

const CONFIG: &str = r#"{
  "engine": "nodal 0.1.0", "device": "cpu:portable",
  "data": "/moved/nodes.csv", "data_digest": "xxh3-128:00",
  "weights": "/study/w.safetensors", "weights_digest": "xxh3-128:01",
  "classes": ["negative", "positive"], "outputs": 1, "new_head": true,
  "size": [75, 75], "fit": "pad", "normalize": "NORMALIZE, "standardize": false, "avg_pool_padding": "include",
  "split": "by patient, 0.5 for validation",
  "hyper": {
    "epochs": 2, "batch": 4, "drop_last": false, "freeze": 0, "dropout": 0.0, "lr": 0.001, "schedule": "constant",
    "warmup": 0, "momentum": 0.9, "weight_decay": 0.0, "nesterov": false, "clip_norm": null, "label_smoothing": 0.0,
    "class_weights": [1.0, 1.0], "augment": "none", "seed": 5, "checkpoint_every": 0, "reestimate": false,
    "recompute": false, "aux_weight": AUX
  }
}
"#;

/// Three patients teach, two validate; p2's image is of no known node.
const SPLIT: &str = "\
image,label,part,node,patient,view
images/a.jpg,negative,train,n1,p1,
images/b.jpg,positive,train,,p2,
images/c.jpg,positive,train,n1,p3,
images/d.jpg,negative,val,n1,p4,
images/e.jpg,positive,val,n1,p5,
";

const EPOCH: &str = r#"{"kind":"epoch","epoch":1,"training":{"loss":0.7,"accuracy":0.5,"auc":0.5},"validation":{"loss":0.6,"accuracy":0.5,"auc":0.75},"best":true}"#;

/// A study's folder with a run in it.
fn study(normalize: &str, aux: &str, metrics: &str) -> Folder {
    let config = CONFIG.replace("NORMALIZE", normalize).replace("AUX", aux);
    Folder::with(&[
        ("runs/one/config.json", &config),
        ("runs/one/split.csv", SPLIT),
        ("runs/one/checkpoint", ""),
        ("runs/one/metrics.jsonl", metrics),
        ("runs/one/weights-best.safetensors", ""),
        (
            "known.csv",
            "image,label,negative,positive\n/study/images/a.jpg,negative,0.9,0.1\nb.jpg,positive,0.2,0.8\n\
             images/e.jpg,positive,0.6,0.4\nimages/other.jpg,negative,0.6,0.4\n",
        ),
        (
            "new.csv",
            "image,label,negative,positive\nimages/x.jpg,negative,0.9,0.1\nimages/d.jpg,negative,0.8,0.2\ny.jpg,positive,0.2,0.8\n",
        ),
    ])
}

fn page(folder: &Folder, predictions: &str) -> Page {
    folder.ok(&["report", "runs/one", "--predictions", predictions, "-o", "page.html"]);
    Page::read(std::fs::read_to_string(folder.path().join("page.html")).unwrap())
}

#[test]
fn predictions_are_not_told_as_the_runs_own() {
    let folder = study("tf\"", "null", &format!("{EPOCH}\n"));
    let known = page(&folder, "known.csv");
    let warning = "2 of 4 predicted images are by name in the training part of the run";
    assert!(known.text.contains(warning), "the page says what is seen");
    assert!(
        known
            .text
            .contains("2 of the 4 predicted images are in the training part and 1 in the validation part")
    );
    let arguments = ["report", "runs/one", "--predictions", "known.csv", "-o", "page.html"];
    assert!(folder.told(&arguments).contains(&format!("nodal: {warning}")), "and so does standard error");

    let new = page(&folder, "new.csv");
    assert!(!new.text.contains("Seen in training") && new.text.contains("0 of the 3 predicted images"));
    assert!(folder.told(&["report", "runs/one", "--predictions", "new.csv", "-o", "page.html"]).is_empty());
    for page in [known, new] {
        for untrue in
            ["weights are judged here", "is judged on the validation part", "the run's validation part"]
        {
            assert!(!page.text.contains(untrue), "{untrue}");
        }
        assert!(page.text.contains("the dashed line is epoch 1, the best one."));
        // n1 of p1 and of p3; who of p2 is imaged is not known.
        assert_eq!(page.row("training")[3..], ["2", "3"], "nodes and patients");
        assert_eq!(page.row("validation")[3..], ["2", "2"]);
    }
}

#[test]
fn a_run_is_told_with_its_auxiliary_head_and_its_own_folder() {
    let folder = study("tf\"", "0.3", &format!("{EPOCH}\n"));
    let page = page(&folder, "new.csv");
    assert!(
        page.text.contains(
            "All 94 convolutions learn. An auxiliary head learned along, whose loss counts 0.3 times"
        )
    );
    let command = page.text.split("<pre>nodal train ").nth(1).unwrap().split("</pre>").next().unwrap();
    assert!(command.contains("--out runs/one ") && command.contains("--aux-weight 0.3"), "{command}");
    let plain = study("tf\"", "null", &format!("{EPOCH}\n"));
    assert!(!self::page(&plain, "new.csv").text.contains("auxiliary head"));
}

#[test]
fn a_mean_image_is_told_as_what_it_was() {
    let command = |normalize: &str| {
        let page = page(&study(normalize, "null", &format!("{EPOCH}\n")), "new.csv");
        let command = page.text.split("<pre>nodal train ").nth(1).unwrap().split("</pre>").next().unwrap();
        (command.to_string(), page.text.contains("does not say where its mean image is from"))
    };
    let (training, unsure) = command("mean\", \"mean\": \"training\"");
    assert!(training.contains("--normalize mean ") && !unsure, "{training}");
    let (weights, unsure) = command("mean\", \"mean\": \"weights\"");
    assert!(!weights.contains("--normalize") && !unsure, "{weights}");
    let (file, unsure) =
        command("mean\", \"mean\": {\"file\": {\"path\": \"/m.safetensors\", \"digest\": \"xxh3-128:02\"}}");
    assert!(file.contains("--normalize mean:/m.safetensors ") && !unsure, "{file}");
    let (old, unsure) = command("mean\"");
    assert!(old.contains("--normalize mean ") && unsure, "{old}");
}

#[test]
fn a_line_that_a_crash_cut_off_is_no_epoch() {
    let torn = &EPOCH[..60];
    let whole = page(&study("tf\"", "null", &format!("{EPOCH}\n")), "new.csv");
    let cut = page(&study("tf\"", "null", &format!("{EPOCH}\n{torn}")), "new.csv");
    assert!(cut.text == whole.text, "the cut line says nothing");
    let broken = study("tf\"", "null", &format!("{torn}\n{EPOCH}\n"));
    broken.refused(
        &["report", "runs/one", "--predictions", "new.csv", "-o", "page.html"],
        "metrics.jsonl: a line is broken",
    );
}
