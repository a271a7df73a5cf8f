//! A run whose launches are cut by a table keeps the table.

use std::cell::Cell;

use super::place::{Place, assert_same};
use super::repeats::{StopAt, begin};
use nodal::Device;
use nodal::program::{Tile, TunedCut, Tuning};
use nodal::train::{End, Hyper, Job};

#[test]
fn a_run_goes_on_with_the_table_it_began_with() {
    let place = Place::new(2, 1);
    let cut = TunedCut { tile: Tile { pixels: 64, channels: 64, groups: 4 }, steps: 5, us: 1.0 };
    let launches = [("Conv2d_2b_3x3".to_string(), cut)].into();
    let table = Tuning { card: "sim:gtx-1080-ti".into(), batch: 2, size: (75, 75), launches };
    table.save(&place.at("t.json")).unwrap();
    let call = ["train", "data", "--weights", "w.safetensors", "--device", "sim", "--batch", "2"];
    let call = |more: &[&'static str]| [&call[..], &["--freeze", "93", "--epochs", "1"], more].concat();
    place.ok(&call(&["--out", "whole", "--tuning", "t.json"]));
    place.ok(&call(&["--out", "other"]));
    let weights = |run: &str| std::fs::read(place.at(run).join("weights-last.safetensors")).unwrap();
    assert!(weights("whole") != weights("other"), "the table changes the last bits");

    let device = Device::open("sim", None).unwrap().tuned(table).unwrap();
    let hyper = Hyper { epochs: 1, batch: 2, freeze: 93, ..Hyper::default() };
    let job = Job::begin(begin(&place, hyper), &place.at("half"), &device, 2).unwrap();
    assert!(matches!(job.run(&device, &mut StopAt(Cell::new(1))).unwrap(), End::Stopped { .. }));
    drop(job);
    place.refused(&["train", "--resume", "half", "--tuning", "t.json"], "the run's own table");
    place.ok(&["train", "--resume", "half"]);
    assert_same(&place, "whole", "half");
}
