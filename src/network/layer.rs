//! One layer of a network: its operation, what it reads, the shape it writes, the parameters it owns.

use super::Network;

/// Index of a layer in [`Network::layers`].
pub type LayerId = usize;

/// Shape of one image's feature map: channels, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapShape {
    /// Channels.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

impl MapShape {
    /// Values in one image's map.
    pub fn elements(&self) -> usize {
        self.c * self.h * self.w
    }
}

/// A sliding window: filter size, stride and zero padding, height before width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Height R and width S.
    pub kernel: (usize, usize),
    /// Step down and to the right.
    pub stride: (usize, usize),
    /// Rows above and below, columns left and right.
    pub padding: (usize, usize),
}

impl Window {
    /// Output height and width over an `h`×`w` map: P = ⌊(H + 2·pad − R) / stride⌋ + 1, likewise Q.
    pub fn output(&self, h: usize, w: usize) -> (usize, usize) {
        let p = (h + 2 * self.padding.0 - self.kernel.0) / self.stride.0 + 1;
        let q = (w + 2 * self.padding.1 - self.kernel.1) / self.stride.1 + 1;
        (p, q)
    }

    /// Whether this is a plain matrix product over channels: 1×1, stride 1, no padding.
    pub fn is_pointwise(&self) -> bool {
        *self == Window { kernel: (1, 1), stride: (1, 1), padding: (0, 0) }
    }
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The images.
    Input,
    /// torchvision's `BasicConv2d`: convolution without bias, batch norm, ReLU.
    BasicConv2d(Window),
    /// Maximum over a window.
    MaxPool(Window),
    /// Mean over a window.
    AvgPool(Window),
    /// All inputs one behind the other along the channels.
    Concat,
    /// Mean of each channel's map.
    GlobalAvgPool,
    /// Fully connected layer with bias.
    Linear,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// torchvision's module name, as in `Mixed_5b.branch1x1`; pools inside a block, which have none there, are
    /// called `BLOCK.pool`, the auxiliary head's also `AuxLogits.avgpool`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The layers it reads.
    pub inputs: Vec<LayerId>,
    /// The map it writes, for one image.
    pub output: MapShape,
}

/// One tensor of the network's `state_dict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// torchvision's name, as in `Mixed_5b.branch1x1.conv.weight`.
    pub name: String,
    /// Its shape; filters are K, C, R, S.
    pub shape: Vec<usize>,
}

impl Layer {
    /// Whether it belongs to the auxiliary head.
    pub fn is_auxiliary(&self) -> bool {
        self.name.split('.').next() == Some(super::AUXILIARY_HEAD)
    }

    /// The tensors this layer owns, in torchvision's order.
    pub fn parameters(&self, network: &Network) -> Vec<Parameter> {
        let own =
            |suffix: &str, shape: Vec<usize>| Parameter { name: format!("{}.{suffix}", self.name), shape };
        let k = self.output.c;
        match self.op {
            Op::BasicConv2d(window) => {
                let c = network.layers[self.inputs[0]].output.c;
                let mut all = vec![own("conv.weight", vec![k, c, window.kernel.0, window.kernel.1])];
                let statistics = ["weight", "bias", "running_mean", "running_var"];
                all.extend(statistics.iter().map(|s| own(&format!("bn.{s}"), vec![k])));
                all
            }
            Op::Linear => {
                let c = network.layers[self.inputs[0]].output.c;
                vec![own("weight", vec![k, c]), own("bias", vec![k])]
            }
            _ => Vec::new(),
        }
    }

    /// Multiply-adds of one image.
    pub fn macs(&self, network: &Network) -> u64 {
        let input = || network.layers[self.inputs[0]].output.c as u64;
        match self.op {
            Op::BasicConv2d(window) => {
                self.output.elements() as u64 * input() * (window.kernel.0 * window.kernel.1) as u64
            }
            Op::Linear => self.output.c as u64 * input(),
            _ => 0,
        }
    }
}
