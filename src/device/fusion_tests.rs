//! Training with fusion and without: the same loss and gradients, of parameters and of maps, but for the order of sums.
//!
//! On a network of a few layers that has every kind of block: in the whole one the last bit of a value decides now and then what
//! passes a ReLU or wins a maximum, and batch norm over few pixels amplifies it, so that it is held against references instead,
//! which were chosen for the distance of their values from such places.

use std::collections::BTreeMap;

use super::{Device, Engine};
use crate::network::{AvgPoolPadding, Layer, MapShape, Network, Op, Window};
use crate::program::{Controls, Fusion, Keep, Options, Program, Training};
use crate::weights::Weights;

const CLASSES: usize = 3;
const BATCH: usize = 4;
/// Images that are run.
const IMAGES: usize = 3;
/// Relative L2 error of each gradient: float32 rounds to 6e-8, and gradients pass a few layers, in each of which two batch norm
/// sums may cancel a digit.
const BOUND: f64 = 1e-5;

/// Layers in the making.
struct Layers(Vec<Layer>);

impl Layers {
    /// Appends a layer of `c` output channels over `inputs`; its number.
    fn add(&mut self, name: &str, op: Op, inputs: &[usize], c: usize) -> usize {
        let MapShape { h, w, .. } = self.0[inputs[0]].output;
        let (h, w) = match op {
            Op::BasicConv2d(window) | Op::MaxPool(window) | Op::AvgPool(window) => window.output(h, w),
            Op::Concat => (h, w),
            _ => (1, 1),
        };
        self.0.push(Layer { name: name.into(), op, inputs: inputs.to_vec(), output: MapShape { c, h, w } });
        self.0.len() - 1
    }

    fn conv(&mut self, name: &str, input: usize, c: usize, window: Window) -> usize {
        self.add(name, Op::BasicConv2d(window), &[input], c)
    }

    /// The layers one behind the other along the channels.
    fn concat(&mut self, name: &str, inputs: &[usize]) -> usize {
        let c = inputs.iter().map(|&input| self.0[input].output.c).sum();
        self.add(name, Op::Concat, inputs, c)
    }
}

/// A stem, a block with an average pool, one with a maximum pool and stride 2, one whose branch splits; with `auxiliary` a head of the
/// first block too.
fn network(auxiliary: bool) -> Network {
    let window = super::tests::window;
    let (one, whole) = (window((1, 1), (1, 1), (0, 0)), window((3, 3), (1, 1), (1, 1)));
    let half = window((3, 3), (2, 2), (0, 0));
    let size = (39, 45);
    let input = MapShape { c: 3, h: size.0, w: size.1 };
    let mut all = Layers(vec![Layer { name: "input".into(), op: Op::Input, inputs: vec![], output: input }]);
    let stem = all.conv("stem_a", 0, 32, half);
    let stem = all.conv("stem_b", stem, 48, one);
    let pool = all.add("pool", Op::MaxPool(half), &[stem], 48);

    let a = all.conv("a.branch1x1", pool, 32, one);
    let b = all.conv("a.branch3x3_1", pool, 16, one);
    let b = all.conv("a.branch3x3_2", b, 48, whole);
    let c = all.add("a.pool", Op::AvgPool(whole), &[pool], 48);
    let c = all.conv("a.branch_pool", c, 16, one);
    let block = all.concat("a", &[a, b, c]);

    if auxiliary {
        let pool = all.add("AuxLogits.pool", Op::AvgPool(window((2, 3), (2, 1), (0, 0))), &[block], 96);
        let a = all.conv("AuxLogits.conv0", pool, 32, one);
        let a = all.conv("AuxLogits.conv1", a, 48, window((3, 5), (1, 1), (0, 0)));
        let features = all.add("AuxLogits.avgpool", Op::GlobalAvgPool, &[a], 48);
        all.add("AuxLogits.fc", Op::Linear, &[features], CLASSES);
    }

    let a = all.conv("b.branch7x7_1", block, 32, one);
    let a = all.conv("b.branch7x7_2", a, 32, window((1, 7), (1, 1), (0, 3)));
    let a = all.conv("b.branch7x7_3", a, 64, half);
    let b = all.add("b.branch_pool", Op::MaxPool(half), &[block], 96);
    let block = all.concat("b", &[a, b]);

    let a = all.conv("c.branch3x3_1", block, 32, one);
    let b = all.conv("c.branch3x3_2a", a, 16, window((1, 3), (1, 1), (0, 1)));
    let c = all.conv("c.branch3x3_2b", a, 48, window((3, 1), (1, 1), (1, 0)));
    let d = all.add("c.pool", Op::AvgPool(whole), &[block], 160);
    let d = all.conv("c.branch_pool", d, 32, one);
    let block = all.concat("c", &[b, c, d]);
    let features = all.add("avgpool", Op::GlobalAvgPool, &[block], 96);
    all.add("fc", Op::Linear, &[features], CLASSES);
    Network { size, classes: CLASSES, avg_pool_padding: AvgPoolPadding::Exclude, layers: all.0 }
}

/// What one step gave.
struct Given {
    loss: f32,
    /// Gradients of parameters, by torchvision's names.
    parameters: BTreeMap<String, Vec<f32>>,
    /// Gradients of maps, as the program calls them.
    maps: BTreeMap<String, Vec<f32>>,
}

fn step(device: &Device, freeze: usize, auxiliary: Option<f32>, fusion: Fusion) -> Given {
    let network = network(auxiliary.is_some());
    let weights = Weights::random(11, &network.parameters()).unwrap();
    let options = Options {
        fusion,
        keep: Keep::Layers,
        training: Some(Training { freeze, dropout: 0.25, auxiliary, ..Training::default() }),
        ..Options::new(BATCH, device.target())
    };
    let program = Program::lower(&network, &options).unwrap();
    let mut engine = Engine::new(program, &weights, device).unwrap();
    for (i, x) in engine.input().iter_mut().enumerate() {
        *x = super::tests::value(i);
    }
    let target = |i: usize| if i / CLASSES % CLASSES == i % CLASSES { 1.0 / IMAGES as f32 } else { 0.0 };
    let targets: Vec<f32> = (0..IMAGES * CLASSES).map(target).collect();
    let controls = Controls { lr: 0.0, ..Controls::default() };
    let loss = engine.train_step(IMAGES, &targets, &controls).unwrap().total_loss();
    let learned = engine.program().learned.clone().unwrap().parameters;
    let parameter = |name: String| (name.clone(), engine.gradient(&name).unwrap().data().to_vec());
    let names = engine.program().outputs.iter().map(|(name, _)| name.clone());
    let map = |name: String| (name.clone(), engine.output(&name, IMAGES).unwrap().data().to_vec());
    Given {
        loss,
        parameters: learned.into_iter().map(|own| parameter(own.name)).collect(),
        maps: names.filter(|name| name.starts_with("grad.")).map(map).collect(),
    }
}

/// Demands that every tensor of `ours` be that of `theirs`, within [`BOUND`].
fn same(
    device: &Device,
    freeze: usize,
    ours: &BTreeMap<String, Vec<f32>>,
    theirs: &BTreeMap<String, Vec<f32>>,
) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    for (name, ours) in ours {
        let theirs = &theirs[name];
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let own = norm(&mut theirs.iter().map(|x| f64::from(*x)));
        let error = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b))) / own;
        assert!(error <= BOUND, "{device}, freeze {freeze}: {name} is off by {error:.2e}");
    }
}

#[test]
fn fusion_changes_no_gradient() {
    let cases = [(0, None), (1, None), (4, None), (0, Some(0.4)), (5, Some(0.75))];
    for (device, (freeze, auxiliary)) in
        super::tests::devices().into_iter().flat_map(|d| cases.map(|case| (d.clone(), case)))
    {
        let [fused, alone] =
            [Fusion::Full, Fusion::None].map(|fusion| step(&device, freeze, auxiliary, fusion));
        let loss = f64::from(alone.loss) / f64::from(fused.loss) - 1.0;
        assert!(loss.abs() <= BOUND, "{device}, freeze {freeze}: loss {} and {}", fused.loss, alone.loss);
        assert_eq!(alone.parameters.len(), fused.parameters.len());
        same(&device, freeze, &alone.parameters, &fused.parameters);
        // Every map that the fused program has.
        assert!(fused.maps.len() > 10 && alone.maps.len() > 2 * fused.maps.len());
        same(&device, freeze, &fused.maps, &alone.maps);
    }
}
