//! The layers of Inception-v3, block by block, under torchvision's module names.
//!
//! Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015 (arXiv 1512.00567),
//! in the form of torchvision's `models/inception.py`. The auxiliary head is there only where it is asked for: inference never
//! runs it. Left out: dropout, which does nothing there.

use super::AUXILIARY_HEAD;
use super::layer::{Layer, LayerId, MapShape, Op, Window};

const fn window(r: usize, s: usize, stride: usize, pad_h: usize, pad_w: usize) -> Window {
    Window { kernel: (r, s), stride: (stride, stride), padding: (pad_h, pad_w) }
}

// Windows by kernel; `SAME` ones keep the map's size, the others shrink it.
const W1X1: Window = window(1, 1, 1, 0, 0);
const W3X3: Window = window(3, 3, 1, 0, 0);
const W3X3_SAME: Window = window(3, 3, 1, 1, 1);
const W3X3_STRIDE2: Window = window(3, 3, 2, 0, 0);
const W5X5: Window = window(5, 5, 1, 0, 0);
const W5X5_STRIDE3: Window = window(5, 5, 3, 0, 0);
const W5X5_SAME: Window = window(5, 5, 1, 2, 2);
const W1X7_SAME: Window = window(1, 7, 1, 0, 3);
const W7X1_SAME: Window = window(7, 1, 1, 3, 0);
const W1X3_SAME: Window = window(1, 3, 1, 0, 1);
const W3X1_SAME: Window = window(3, 1, 1, 1, 0);

/// All layers for an input of `size` and `classes` outputs, those of the auxiliary head behind what it reads if it is wanted.
pub(super) fn layers(size: (usize, usize), classes: usize, auxiliary: bool) -> Vec<Layer> {
    let input = MapShape { c: 3, h: size.0, w: size.1 };
    let mut net = Builder { layers: Vec::with_capacity(128), block: "" };
    let x = net.push("input", Op::Input, &[], input);

    let x = net.conv("Conv2d_1a_3x3", x, 32, W3X3_STRIDE2);
    let x = net.conv("Conv2d_2a_3x3", x, 32, W3X3);
    let x = net.conv("Conv2d_2b_3x3", x, 64, W3X3_SAME);
    let x = net.pool("maxpool1", x, Op::MaxPool(W3X3_STRIDE2));
    let x = net.conv("Conv2d_3b_1x1", x, 80, W1X1);
    let x = net.conv("Conv2d_4a_3x3", x, 192, W3X3);
    let x = net.pool("maxpool2", x, Op::MaxPool(W3X3_STRIDE2));

    let x = net.inception_a("Mixed_5b", x, 32);
    let x = net.inception_a("Mixed_5c", x, 64);
    let x = net.inception_a("Mixed_5d", x, 64);
    let x = net.inception_b("Mixed_6a", x);
    let x = net.inception_c("Mixed_6b", x, 128);
    let x = net.inception_c("Mixed_6c", x, 160);
    let x = net.inception_c("Mixed_6d", x, 160);
    let x = net.inception_c("Mixed_6e", x, 192);
    if auxiliary {
        net.auxiliary_head(x, classes);
    }
    let x = net.inception_d("Mixed_7a", x);
    let x = net.inception_e("Mixed_7b", x);
    let x = net.inception_e("Mixed_7c", x);

    net.classifier(x, classes);
    net.layers
}

/// Appends layers; inside a block their names begin with the block's.
struct Builder {
    layers: Vec<Layer>,
    block: &'static str,
}

impl Builder {
    fn push(&mut self, name: &str, op: Op, inputs: &[LayerId], output: MapShape) -> LayerId {
        let name = if self.block.is_empty() { name.to_string() } else { format!("{}.{name}", self.block) };
        self.layers.push(Layer { name, op, inputs: inputs.to_vec(), output });
        self.layers.len() - 1
    }

    fn conv(&mut self, name: &str, x: LayerId, k: usize, window: Window) -> LayerId {
        let map = self.layers[x].output;
        let (h, w) = window.output(map.h, map.w);
        self.push(name, Op::BasicConv2d(window), &[x], MapShape { c: k, h, w })
    }

    fn pool(&mut self, name: &str, x: LayerId, op: Op) -> LayerId {
        let map = self.layers[x].output;
        let (h, w) = match op {
            Op::MaxPool(window) | Op::AvgPool(window) => window.output(map.h, map.w),
            _ => (map.h, map.w),
        };
        self.push(name, op, &[x], MapShape { c: map.c, h, w })
    }

    /// The mean of each channel's map, and the outputs for it.
    fn classifier(&mut self, x: LayerId, classes: usize) {
        let features = self.layers[x].output.c;
        let x = self.push("avgpool", Op::GlobalAvgPool, &[x], MapShape { c: features, h: 1, w: 1 });
        self.push("fc", Op::Linear, &[x], MapShape { c: classes, h: 1, w: 1 });
    }

    /// torchvision's `InceptionAux`.
    fn auxiliary_head(&mut self, x: LayerId, classes: usize) {
        self.block = AUXILIARY_HEAD;
        let x = self.pool("pool", x, Op::AvgPool(W5X5_STRIDE3));
        let x = self.conv("conv0", x, 128, W1X1);
        let x = self.conv("conv1", x, 768, W5X5);
        self.classifier(x, classes);
        self.block = "";
    }

    /// Closes a block: its output is all `branches` one behind the other.
    fn concat(&mut self, branches: &[LayerId]) -> LayerId {
        let MapShape { h, w, .. } = self.layers[branches[0]].output;
        let c = branches.iter().map(|&b| self.layers[b].output.c).sum();
        let name = std::mem::take(&mut self.block);
        self.push(name, Op::Concat, branches, MapShape { c, h, w })
    }

    /// 35×35: 1×1, 5×5, double 3×3 and pool branches.
    fn inception_a(&mut self, block: &'static str, x: LayerId, pool_features: usize) -> LayerId {
        self.block = block;
        let one = self.conv("branch1x1", x, 64, W1X1);

        let five = self.conv("branch5x5_1", x, 48, W1X1);
        let five = self.conv("branch5x5_2", five, 64, W5X5_SAME);

        let double = self.conv("branch3x3dbl_1", x, 64, W1X1);
        let double = self.conv("branch3x3dbl_2", double, 96, W3X3_SAME);
        let double = self.conv("branch3x3dbl_3", double, 96, W3X3_SAME);

        let pool = self.pool("pool", x, Op::AvgPool(W3X3_SAME));
        let pool = self.conv("branch_pool", pool, pool_features, W1X1);
        self.concat(&[one, five, double, pool])
    }

    /// 35×35 to 17×17.
    fn inception_b(&mut self, block: &'static str, x: LayerId) -> LayerId {
        self.block = block;
        let three = self.conv("branch3x3", x, 384, W3X3_STRIDE2);

        let double = self.conv("branch3x3dbl_1", x, 64, W1X1);
        let double = self.conv("branch3x3dbl_2", double, 96, W3X3_SAME);
        let double = self.conv("branch3x3dbl_3", double, 96, W3X3_STRIDE2);

        let pool = self.pool("pool", x, Op::MaxPool(W3X3_STRIDE2));
        self.concat(&[three, double, pool])
    }

    /// 17×17: 7×7 filters factored into 1×7 and 7×1.
    fn inception_c(&mut self, block: &'static str, x: LayerId, c7: usize) -> LayerId {
        self.block = block;
        let one = self.conv("branch1x1", x, 192, W1X1);

        let seven = self.conv("branch7x7_1", x, c7, W1X1);
        let seven = self.conv("branch7x7_2", seven, c7, W1X7_SAME);
        let seven = self.conv("branch7x7_3", seven, 192, W7X1_SAME);

        let double = self.conv("branch7x7dbl_1", x, c7, W1X1);
        let double = self.conv("branch7x7dbl_2", double, c7, W7X1_SAME);
        let double = self.conv("branch7x7dbl_3", double, c7, W1X7_SAME);
        let double = self.conv("branch7x7dbl_4", double, c7, W7X1_SAME);
        let double = self.conv("branch7x7dbl_5", double, 192, W1X7_SAME);

        let pool = self.pool("pool", x, Op::AvgPool(W3X3_SAME));
        let pool = self.conv("branch_pool", pool, 192, W1X1);
        self.concat(&[one, seven, double, pool])
    }

    /// 17×17 to 8×8.
    fn inception_d(&mut self, block: &'static str, x: LayerId) -> LayerId {
        self.block = block;
        let three = self.conv("branch3x3_1", x, 192, W1X1);
        let three = self.conv("branch3x3_2", three, 320, W3X3_STRIDE2);

        let seven = self.conv("branch7x7x3_1", x, 192, W1X1);
        let seven = self.conv("branch7x7x3_2", seven, 192, W1X7_SAME);
        let seven = self.conv("branch7x7x3_3", seven, 192, W7X1_SAME);
        let seven = self.conv("branch7x7x3_4", seven, 192, W3X3_STRIDE2);

        let pool = self.pool("pool", x, Op::MaxPool(W3X3_STRIDE2));
        self.concat(&[three, seven, pool])
    }

    /// 8×8: 3×3 filters opened into 1×3 and 3×1 side by side.
    fn inception_e(&mut self, block: &'static str, x: LayerId) -> LayerId {
        self.block = block;
        let one = self.conv("branch1x1", x, 320, W1X1);

        let three = self.conv("branch3x3_1", x, 384, W1X1);
        let three_a = self.conv("branch3x3_2a", three, 384, W1X3_SAME);
        let three_b = self.conv("branch3x3_2b", three, 384, W3X1_SAME);

        let double = self.conv("branch3x3dbl_1", x, 448, W1X1);
        let double = self.conv("branch3x3dbl_2", double, 384, W3X3_SAME);
        let double_a = self.conv("branch3x3dbl_3a", double, 384, W1X3_SAME);
        let double_b = self.conv("branch3x3dbl_3b", double, 384, W3X1_SAME);

        let pool = self.pool("pool", x, Op::AvgPool(W3X3_SAME));
        let pool = self.conv("branch_pool", pool, 192, W1X1);
        self.concat(&[one, three_a, three_b, double_a, double_b, pool])
    }
}
