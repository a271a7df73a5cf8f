//! Programs of one training step: maps and values that are written before a run, values that belong to no image.

use super::{GUARD, Maker};
use crate::program::{BufferId, LearnedSet, MapShape, Role, View};

impl Maker {
    /// A map of `shape` that is written before a run, with channels before and behind it. There can be five given buffers:
    /// they stand where a program has what it keeps and is given.
    pub fn given(&mut self, name: &str, shape: MapShape) -> View {
        let view = self.guarded(name, shape);
        self.give(view.buffer);
        view
    }

    /// `values` values that belong to no image and are written before a run, with [`GUARD`] others before and behind them.
    pub fn given_flat(&mut self, name: &str, values: usize) -> View {
        let view = self.flat_output(name, values);
        self.give(view.buffer);
        view
    }

    /// A map that is written before a run and lies as it is, N·`channels` values.
    pub fn given_plain(&mut self, name: &str, channels: usize) -> View {
        let view = self.plain_output(name, MapShape { c: channels, h: 1, w: 1 });
        self.give(view.buffer);
        view
    }

    /// `values` values that belong to no image, with [`GUARD`] others before and behind them.
    pub fn flat_output(&mut self, name: &str, values: usize) -> View {
        let whole = self.flat(name, values + 2 * GUARD, Role::Workspace);
        let view = View { channel: GUARD, channels: values, ..whole };
        self.outputs.push((name.into(), view));
        view
    }

    fn give(&mut self, buffer: BufferId) {
        // The input is written before a run anyway.
        let none = || LearnedSet {
            parameters: Vec::new(),
            statistics: Vec::new(),
            values: 0,
            gradients: 0,
            momentum: 0,
            running: 0,
            targets: 0,
            controls: 0,
            loss: 0,
            norm: 0,
            auxiliary: None,
        };
        let all = self.learned.get_or_insert_with(none);
        let places =
            [&mut all.values, &mut all.momentum, &mut all.running, &mut all.targets, &mut all.controls];
        let free = places.into_iter().find(|place| **place == 0);
        *free.expect("no more than five given buffers") = buffer;
    }
}
