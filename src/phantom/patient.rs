//! A patient: nodes, and what a cohort's table says of them.
//!
//! Age, gender and T stage are drawn by the group alone, from the figures of Li et al., Quant Imaging Med Surg 2021;11(6):2477, table 1.

use super::node::Node;
use crate::data::train::random::Stream;

/// Shares of patients with one node and with at most two: 227 nodes in 129 patients.
const NODES: [f64; 2] = [0.45, 0.79];

/// What the published table says of a group.
struct Group {
    name: &'static str,
    age: (f64, f64),
    male: f64,
    /// Shares of T2, and of T2 and T3; the rest is T4a.
    stages: [f64; 2],
}

/// Without and with a positive node.
const GROUPS: [Group; 2] = [
    Group { name: "LN-", age: (56.4, 11.3), male: 56.0 / 83.0, stages: [20.0 / 83.0, 81.0 / 83.0] },
    Group { name: "LN+", age: (60.4, 9.24), male: 27.0 / 46.0, stages: [1.0 / 46.0, 45.0 / 46.0] },
];

/// One patient.
pub(super) struct Patient {
    pub nodes: Vec<Node>,
    pub age: u32,
    pub gender: &'static str,
    pub t_stage: &'static str,
    streams: Stream,
}

impl Patient {
    /// Patient number `i` of a seed.
    pub fn draw(seed: u64, i: u64) -> Self {
        let streams = Stream::new(seed, "phantom").below(i);
        let own = streams.below(0);
        let count = 1 + NODES.iter().filter(|&&share| own.uniform(0) >= share).count() as u64;
        let nodes: Vec<Node> = (0..count).map(|node| Node::draw(streams.below(1 + node).below(0))).collect();
        let group = &GROUPS[usize::from(nodes.iter().any(|node| node.positive))];
        // A normal number takes three places of a stream: 6 to 8.
        let age = group.age.0 + group.age.1 * f64::from(own.normal(2));
        let stage = group.stages.iter().filter(|&&share| own.uniform(3) >= share).count();
        Patient {
            nodes,
            age: (age + 0.5).floor().clamp(18.0, 99.0) as u32,
            gender: if own.uniform(2) < group.male { "male" } else { "female" },
            t_stage: ["T2", "T3", "T4a"][stage],
            streams,
        }
    }

    /// Whether a node is positive.
    pub fn is_positive(&self) -> bool {
        self.nodes.iter().any(|node| node.positive)
    }

    /// `LN+` with a positive node, else `LN-`.
    pub fn group(&self) -> &'static str {
        GROUPS[usize::from(self.is_positive())].name
    }

    /// How node number `node` lies in the body.
    pub fn body(&self, node: usize) -> Stream {
        self.streams.below(1 + node as u64).below(1)
    }

    /// What is the own of a view.
    pub fn view(&self, node: usize, view: usize) -> Stream {
        self.streams.below(1 + node as u64).below(2 + view as u64)
    }

    /// What is the own of a reader before a view.
    pub fn reading(&self, node: usize, view: usize, reader: usize) -> Stream {
        self.view(node, view).below(4 + reader as u64)
    }
}
