//! What orders the blocks of a launch: fences and atomics.
//!
//! A block's life is cut into epochs by its releases: atomics that come when all its writes are behind a fence. A release leaves
//! all that the block knows at the atomic's address; any atomic at that address learns what was left there. A thread's
//! knowledge becomes its block's at the next barrier. Source: Lamport, "Time, clocks, and the ordering of events in a
//! distributed system", CACM 21(7), 1978, as vectors: Mattern, "Virtual time and global states of distributed systems", 1989.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many releases of each block are known.
type Clock = HashMap<u32, u32>;

fn merge(into: &mut Clock, from: &Clock) {
    for (&block, &releases) in from {
        let known = into.entry(block).or_default();
        *known = releases.max(*known);
    }
}

/// What releases left at each address.
#[derive(Default)]
pub(crate) struct Order {
    places: Mutex<HashMap<u64, Clock>>,
    turn: Mutex<()>,
}

/// What a block knows of others.
#[derive(Default)]
pub(crate) struct Knowledge {
    block: Clock,
    /// Of single warps, until the next barrier.
    warps: Vec<(usize, Clock)>,
    /// Releases of its own.
    pub releases: u32,
}

impl Knowledge {
    pub fn clear(&mut self) {
        self.block.clear();
        self.warps.clear();
        self.releases = 0;
    }

    /// A barrier: what one warp knows all know.
    pub fn share(&mut self) {
        for (_, clock) in self.warps.drain(..) {
            merge(&mut self.block, &clock);
        }
    }

    /// Whether what `block` did in its epoch `epoch` lies before what `warp` does now.
    pub fn covers(&self, warp: usize, block: u32, epoch: u32) -> bool {
        let known = |clock: &Clock| clock.get(&block).is_some_and(|&releases| releases > epoch);
        known(&self.block) || self.warps.iter().any(|(w, clock)| *w == warp && known(clock))
    }
}

impl Order {
    /// While this is held no other atomic happens: what one learns and what it finds in memory must be of one moment.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An atomic of `warp` of `block` at `address`, a release if `releases`.
    pub fn atomic(&self, address: u64, knowledge: &mut Knowledge, warp: usize, block: u32, releases: bool) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(address).or_default();
        let at = match knowledge.warps.iter().position(|(w, _)| *w == warp) {
            Some(at) => at,
            None => {
                knowledge.warps.push((warp, Clock::new()));
                knowledge.warps.len() - 1
            }
        };
        let own = &mut knowledge.warps[at].1;
        merge(own, place);
        if releases {
            knowledge.releases += 1;
            own.insert(block, knowledge.releases);
            merge(place, own);
            merge(place, &knowledge.block);
        }
    }
}
