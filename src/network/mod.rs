//! What Inception-v3 *is*: layers by their torchvision names, their shapes and parameters, for any input of at
//! least 75×75 and any number of classes. No device, no memory, no weights.
//!
//! Dimensions, here and everywhere: input `N C H W`, filter `K C R S`, output `N K P Q`, height before width.

mod inception_v3;
mod layer;

pub use layer::{Layer, LayerId, MapShape, Op, Parameter, Window};

use crate::error::{Error, Result};

/// Smallest height and width for which every layer still has an output.
pub const MIN_SIZE: usize = 75;

/// Largest height and width accepted; far above any crop, low enough that no size can overflow.
pub const MAX_SIZE: usize = 4096;

/// Batch norm's ε, torchvision's `BasicConv2d`.
pub const BATCH_NORM_EPS: f64 = 1e-3;

/// Features that enter the last fully connected layer.
pub const FEATURES: usize = 2048;

/// torchvision's name of the auxiliary head, which reads what `Mixed_6e` gives and has its place only in training.
pub const AUXILIARY_HEAD: &str = "AuxLogits";

/// Features that enter the auxiliary head's fully connected layer.
pub const AUXILIARY_FEATURES: usize = 768;

/// Smallest height and width for which the auxiliary head still has an output.
pub const AUXILIARY_MIN_SIZE: usize = 299;

/// Whether an average pool divides by the whole window or by the part of it inside the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AvgPoolPadding {
    /// Divide by R·S everywhere, as torchvision does.
    #[default]
    Include,
    /// Divide by the number of pixels inside the map, as TensorFlow and Keras do.
    Exclude,
}

impl std::str::FromStr for AvgPoolPadding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "include" => Ok(AvgPoolPadding::Include),
            "exclude" => Ok(AvgPoolPadding::Exclude),
            _ => Err(Error::Argument(format!("avg_pool_padding is `include` or `exclude`, not `{text}`"))),
        }
    }
}

impl std::fmt::Display for AvgPoolPadding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AvgPoolPadding::Include => "include",
            AvgPoolPadding::Exclude => "exclude",
        })
    }
}

/// Inception-v3 for one input size and class count: layers in an order in which each stands after its inputs.
#[derive(Clone, Debug)]
pub struct Network {
    /// Height and width of the input, which has three channels.
    pub size: (usize, usize),
    /// Outputs of the last layer; 1 is a single logit for a yes-or-no question.
    pub classes: usize,
    /// How average pools treat their padding: a property of the weights.
    pub avg_pool_padding: AvgPoolPadding,
    /// The layers; `layers[0]` is the input, the last one is `fc`.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Inception-v3 for images of `size` (height, width) and `classes` outputs.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side below [`MIN_SIZE`] or above [`MAX_SIZE`], or no class.
    pub fn inception_v3(size: (usize, usize), classes: usize, padding: AvgPoolPadding) -> Result<Self> {
        let (h, w) = size;
        if h.min(w) < MIN_SIZE || h.max(w) > MAX_SIZE {
            return Err(Error::Argument(format!(
                "an input of {h}×{w} does not fit Inception-v3: each side must lie between {MIN_SIZE} and {MAX_SIZE} pixels"
            )));
        }
        if classes == 0 || classes > 1_000_000 {
            return Err(Error::Argument(format!("{classes} classes: give a number from 1 to 1000000")));
        }
        let layers = inception_v3::layers(size, classes, false);
        Ok(Network { size, classes, avg_pool_padding: padding, layers })
    }

    /// The last layer alone, over pooled features [N, 2048, 1, 1] as its input.
    pub fn last_layer(&self) -> Self {
        let shape = |c| MapShape { c, h: 1, w: 1 };
        let layer = |name: &str, op, inputs, output| Layer { name: name.into(), op, inputs, output };
        let layers = vec![
            layer("input", Op::Input, vec![], shape(FEATURES)),
            layer("fc", Op::Linear, vec![0], shape(self.classes)),
        ];
        Network { size: (1, 1), layers, ..self.clone() }
    }

    /// The same network with the auxiliary head, whose layers stand behind `Mixed_6e`, or without it. The last layer stays `fc`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an input that is too small for the head.
    pub fn with_auxiliary_head(&self, wanted: bool) -> Result<Self> {
        if wanted == self.has_auxiliary_head() {
            return Ok(self.clone());
        }
        let (h, w) = self.size;
        if wanted && h.min(w) < AUXILIARY_MIN_SIZE {
            return Err(Error::Argument(format!(
                "the auxiliary head needs inputs of at least {AUXILIARY_MIN_SIZE}×{AUXILIARY_MIN_SIZE}, and these are {h}×{w}: choose a \
                 larger --size, or leave out --aux-weight"
            )));
        }
        Ok(Network { layers: inception_v3::layers(self.size, self.classes, wanted), ..self.clone() })
    }

    /// Whether the auxiliary head is among the layers.
    pub fn has_auxiliary_head(&self) -> bool {
        self.layers.iter().any(Layer::is_auxiliary)
    }

    /// The convolutions that can be frozen, in network order: all but the auxiliary head's.
    pub fn convolutions(&self) -> impl Iterator<Item = (LayerId, &Layer)> {
        let own =
            |(_, layer): &(LayerId, &Layer)| matches!(layer.op, Op::BasicConv2d(_)) && !layer.is_auxiliary();
        self.layers.iter().enumerate().filter(own)
    }

    /// The convolutions that learn when the first `freeze` of [`Network::convolutions`] are frozen, the auxiliary head's included.
    pub fn learning_convolutions(&self, freeze: usize) -> impl Iterator<Item = &Layer> {
        let frozen: Vec<LayerId> = self.convolutions().take(freeze).map(|(id, _)| id).collect();
        let all = self.layers.iter().enumerate();
        all.filter(move |(id, layer)| matches!(layer.op, Op::BasicConv2d(_)) && !frozen.contains(id))
            .map(|(_, layer)| layer)
    }

    /// The layer called `name`, if there is one.
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// Every tensor a `state_dict` of this network holds (but for `num_batches_tracked`), in network order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layers.iter().flat_map(|layer| layer.parameters(self)).collect()
    }

    /// Multiply-adds of one image through convolutions and the fully connected layer.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs(self)).sum()
    }

    /// Number of learnable values: filters, batch norm's γ and β, the last layer's weight and bias.
    pub fn parameter_count(&self) -> usize {
        let learnable = |p: &&Parameter| !p.name.contains(".running_");
        self.parameters().iter().filter(learnable).map(|p| p.shape.iter().product::<usize>()).sum()
    }
}
