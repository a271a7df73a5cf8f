//! When filters that learn are brought into the device's order.

use super::LearnedSet;
use super::filters::{LayerFilters, LearnedFilters};
use super::op::{Packing, TrainOp};
use crate::network::Network;
use crate::program::lower::Lowering;
use crate::program::step::StepOp;
use crate::program::{Conv2d, Role};

/// The filters of the convolutions called `layers`, which learn, over one input.
pub(super) fn filters(
    lowering: &mut Lowering<'_>,
    learned: &LearnedSet,
    layers: &[&str],
    network: &Network,
) -> LearnedFilters {
    let range = |layer: &str| learned.range(&[format!("{layer}.conv.weight")]);
    let channels = |layer: &str| {
        network.layers.iter().find(|other| other.name == layer).map_or(0, |layer| layer.output.c)
    };
    let values = layers.iter().map(|layer| range(layer).values).sum();
    LearnedFilters {
        layers: layers
            .iter()
            .map(|l| LayerFilters { first: range(l).first, channels: channels(l) })
            .collect(),
        packed: lowering.flat(&format!("{}.filters", layers.join("+")), values, Role::Workspace),
        transposed: None,
    }
}

/// Puts the packing of forward filters before everything else, that of the data gradients' beside the loss.
pub(super) fn insert(lowering: &mut Lowering<'_>, learned: &LearnedSet) {
    lowering.delay();
    let loss = |op: &StepOp| matches!(op, StepOp::Train(TrainOp::Loss { .. }));
    let level = lowering.steps().iter().find(|step| loss(&step.op)).map_or(0, |step| step.level);
    for (level, transposed) in [(0, false), (level, true)] {
        let convs = lowering.steps().iter().filter_map(|step| match &step.op {
            StepOp::Conv2d(conv) if learns(conv) && conv.is_transposed() == transposed => {
                Some(Packing { conv: conv.clone(), cut: None })
            }
            _ => None,
        });
        let convs: Vec<Packing> = convs.collect();
        if !convs.is_empty() {
            let parameters = lowering.whole(learned.values);
            lowering.push("filters", level, StepOp::Train(TrainOp::PackFilters { parameters, convs }));
        }
    }
}

fn learns(conv: &Conv2d) -> bool {
    matches!(conv.filters, crate::program::Filters::Learned(_))
}
