//! Tuning tables: what `nodal tune` finds is used, and what cannot be used is refused.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)] // a test may panic

use nodal::device::{Engine, tune};
use nodal::network::{AvgPoolPadding, Network};
use nodal::program::{Options, Program, StepOp, Tile, TunedCut, Tuning};
use nodal::{Device, Weights};

const TILE: Tile = Tile { pixels: 64, channels: 64, groups: 4 };

fn network() -> Network {
    Network::inception_v3((75, 75), 1, AvgPoolPadding::Include).unwrap()
}

/// Names of the launches of convolutions of `network` on the simulator's card.
fn launches() -> Vec<String> {
    let device = Device::open("sim", None).unwrap();
    let program = Program::lower(&network(), &Options::new(1, device.target())).unwrap();
    let convs = program.steps.iter().filter(|step| matches!(step.op, StepOp::Conv2dGroup(_)));
    convs.map(|step| step.name.clone()).collect()
}

/// A table that cuts all launches alike.
fn table(steps: usize) -> Tuning {
    let cut = TunedCut { tile: TILE, steps, us: 1.0 };
    let launches = launches().into_iter().map(|name| (name, cut)).collect();
    Tuning { card: "sim:gtx-1080-ti".into(), batch: 1, size: (75, 75), launches }
}

fn lower(tuning: Tuning, batch: usize) -> nodal::Result<Program> {
    let device = Device::open("sim", None)?.tuned(tuning)?;
    Program::lower(&network(), &Options::new(batch, device.target()))
}

#[test]
fn a_table_is_used_whole_and_changes_no_more_than_the_last_bits() {
    let weights = Weights::random(1, &network().parameters()).unwrap();
    let logit = |program: Program| {
        let device = Device::open("sim", None).unwrap();
        let mut engine = Engine::new(program, &weights, &device).unwrap();
        engine.input().iter_mut().enumerate().for_each(|(i, x)| *x = (i % 89) as f32 / 44.0 - 1.0);
        engine.run(1).unwrap();
        let mut logit = [f32::NAN];
        engine.logits(1, &mut logit).unwrap();
        logit[0]
    };
    let estimated = Program::lower(&network(), &Options::new(1, Device::open("sim", None).unwrap().target()));
    let expected = logit(estimated.unwrap());
    // As many steps as there may be and beyond; few.
    for steps in [usize::MAX, 1 << 62, 5] {
        let program = lower(table(steps), 1).unwrap();
        for step in &program.steps {
            if let StepOp::Conv2dGroup(group) = &step.op {
                assert_eq!(group.tile, TILE, "{}", step.name);
                assert!(steps == 5 || group.convs.iter().all(|(_, tiling)| tiling.slices == 1));
            }
        }
        assert!((logit(program) - expected).abs() <= 1e-5 * expected.abs().max(1.0));
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    let refused = |tuning: Tuning, batch: usize, says: &str| {
        let error = lower(tuning, batch).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("nodal tune"), "{error}");
    };
    refused(table(5), 2, "is for batch 1 at 75×75, not for batch 2");
    refused(Tuning { size: (75, 76), ..table(5) }, 1, "at 75×76, not for");
    refused(Tuning { card: "another".into(), ..table(5) }, 1, "is for another, not for sim:gtx-1080-ti");
    let mut unknown = table(5);
    let cut = unknown.launches.values().next().copied().unwrap();
    unknown.launches.insert("Conv2d_9z_3x3".into(), cut);
    refused(unknown, 1, "Conv2d_9z_3x3, and this program has none");
    let mut odd = table(5);
    odd.launches.values_mut().for_each(|cut| cut.tile.groups = 3);
    refused(odd, 1, "there is no such kernel");
    let cpu = Device::open("cpu", None).unwrap();
    assert!(cpu.clone().tuned(table(5)).is_err());
    let weights = Weights::random(1, &network().parameters()).unwrap();
    assert!(tune(&network(), &weights, &cpu, 1, &mut |_, _| {}).is_err());
}

#[test]
fn files_come_back_as_they_were_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    table(7).save(&path).unwrap();
    assert_eq!(Tuning::open(&path).unwrap(), table(7));
    let text = std::fs::read_to_string(&path).unwrap();
    for (damaged, says) in [
        (text[..text.len() / 2].to_string(), "no tuning table"),
        (text.replace("\"steps\": 7", "\"steps\": 0"), "has 0 steps"),
        (text.replace("\"steps\": 7", "\"steps\": -7"), "no tuning table"),
        (text.replace("\"batch\"", "\"bach\""), "unknown field"),
        (String::new(), "no tuning table"),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let error = Tuning::open(&path).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("tuning.json"), "{error}");
    }
    assert!(Tuning::open(&folder.path().join("absent.json")).is_err());
}

#[test]
fn tuning_finds_a_cut_for_every_launch_that_is_no_slower() {
    let weights = Weights::random(1, &network().parameters()).unwrap();
    let device = Device::open("sim", None).unwrap();
    let mut told = Vec::new();
    let tuning = tune(&network(), &weights, &device, 1, &mut |tried, all| told.push((tried, all))).unwrap();
    assert_eq!(tuning.launches.keys().cloned().collect::<Vec<_>>(), {
        let mut names = launches();
        names.sort();
        names
    });
    assert!(told.len() > 2 && told.last().is_some_and(|(tried, all)| tried == all));
    let Device::Sim { card, threads, .. } = device else { unreachable!() };
    let us = |program: &Program| {
        let model = nodal::device::model(program, &weights, &card, threads, &mut |_| {}).unwrap();
        let convs = program
            .steps
            .iter()
            .zip(model.steps)
            .filter(|(step, _)| matches!(step.op, StepOp::Conv2dGroup(_)));
        convs.map(|(_, step)| step.estimate.us).sum::<f64>()
    };
    let estimated = Program::lower(&network(), &Options::new(1, Device::open("sim", None).unwrap().target()));
    let (tuned, estimated) = (us(&lower(tuning, 1).unwrap()), us(&estimated.unwrap()));
    assert!(tuned <= estimated, "{tuned} µs, {estimated} µs by the estimate");
}
