//! What a run refuses, before it writes anything.

use super::place::{Place, short};

#[test]
fn what_cannot_be_trained_is_refused_in_one_sentence_and_leaves_nothing() {
    let place = Place::new(3, 2);
    place.refused(&["train"], "required");
    place.refused(&["train", "nowhere", "--weights", "w.safetensors", "--out", "run"], "nowhere");
    place.refused(&short(&["--out", "no/such/run"]), "does not exist: create it");
    place.refused(&["train", "data", "--weights", "none.safetensors", "--out", "run"], "none.safetensors");
    for (more, says) in [
        (["--lr", "0"], "lr 0: give a positive number"),
        (["--momentum", "1"], "momentum 1: give a number from 0 to below 1"),
        (["--dropout", "1.5"], "dropout"),
        (["--class-weights", "1,2,3"], "3 class weights for 2 classes"),
        (["--schedule", "linear"], "a schedule is"),
        (["--augment", "shear=3"], "augment has hflip"),
        (["--clip-norm", "0"], "clip norm 0"),
        (["--val-fraction", "2"], "val-fraction lies between 0 and 1"),
        (["--split-by", "node"], "is split already into train and val"),
    ] {
        let data = if more[0] == "--val-fraction" { "data/train" } else { "data" };
        let mut call = vec![
            "train",
            data,
            "--weights",
            "w.safetensors",
            "--out",
            "run",
            "--batch",
            "3",
            "--freeze",
            "80",
        ];
        call.extend(more);
        place.refused(&call, says);
    }
    place.refused(
        &["train", "data", "--weights", "w.safetensors", "--out", "run", "--freeze", "95"],
        "95 frozen convolutions: there are 94",
    );
    // Six images in batches of five leave one, whose last maps are single pixels.
    place.refused(&short(&["--out", "run"]), "leave one for the last");
    place.refused(
        &["train", "data", "--weights", "w.safetensors", "--out", "run", "--batch", "1"],
        "one value a channel",
    );
    place.refused(
        &["train", "data", "--weights", "w.safetensors", "--out", "run", "--batch", "1500", "--size", "299"],
        "is the largest that fits",
    );
    // Refused before there is a folder that could not be taken up.
    place.refused(
        &["train", "data", "--weights", "w.safetensors", "--out", "run", "--drop-last", "--batch", "50"],
        "do not fill a batch of 50",
    );
    place.refused(&["train", "--resume", "data"], "is no run: config.json is missing");
    place.refused(&["train", "--resume", "data", "--lr", "1"], "leave --lr out");
    assert!(!place.at("run").exists());

    std::fs::write(place.at("data/train/grass/broken.jpg"), "no image").unwrap();
    place.refused(&["train", "data", "--weights", "w.safetensors", "--out", "run"], "broken.jpg");
    assert!(!place.at("run").exists());
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_its_checkpoint_stays_good() {
    let place = Place::new(6, 4);
    place.refused(
        &short(&["--out", "run", "--lr", "1e30", "--checkpoint-every", "1"]),
        "at a learning rate of",
    );
    let good = nodal::Weights::open(&place.at("run").join("checkpoint")).unwrap();
    for name in good.names() {
        assert!(good.f32(name).unwrap().iter().all(|x| x.is_finite()), "{name}");
    }
    // Without a checkpoint between, what the epoch's end finds is told as plainly.
    let call =
        ["train", "data", "--weights", "w.safetensors", "--out", "whole", "--batch", "12", "--freeze", "80"];
    place.refused(&[&call[..], &["--lr", "1e37"]].concat(), "after it is");
    place.refused(&short(&["--out", "no-run", "--lr", "1e39"]), "lr inf: give a positive number");
    assert!(!place.at("no-run").exists());
}

#[test]
fn changed_data_are_not_taken_up() {
    let place = Place::new(6, 4);
    place.ok(&short(&["--out", "run"]));
    place.refused(&short(&["--out", "run"]), "is there already");
    std::fs::remove_file(place.at("data/val/grass/grass-000.jpg")).unwrap();
    for command in [&["train", "--resume", "run"][..], &["evaluate", "run"]] {
        place.refused(command, "these are not the data that the run began with");
    }
}
