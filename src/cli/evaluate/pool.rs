//! From images to nodes, from nodes to patients.

use std::collections::HashMap;

use super::cases::Case;

/// How the views of a node become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pool {
    /// The mean of the probabilities
    Mean,
    /// The largest probability of being positive; of each of several classes, scaled to the sum 1
    Max,
    /// The share of the views that are called positive; half of them are enough
    Vote,
}

impl Pool {
    /// The probabilities of a node from those of its views; `threshold` calls a view positive where there are two classes.
    fn join(self, views: &[&Case], positive: usize, threshold: f64) -> Vec<f64> {
        let classes = views[0].probabilities.len();
        let mut joined: Vec<f64> = (0..classes)
            .map(|k| {
                let of_class = views.iter().map(|view| match self {
                    Pool::Vote => f64::from(u8::from(call(&view.probabilities, positive, threshold) == k)),
                    _ => view.probabilities[k],
                });
                match self {
                    Pool::Max => of_class.fold(0.0, f64::max),
                    _ => of_class.sum::<f64>() / views.len() as f64,
                }
            })
            .collect();
        if self == Pool::Max {
            match classes {
                2 => joined[1 - positive] = 1.0 - joined[positive],
                _ => {
                    let sum: f64 = joined.iter().sum();
                    joined.iter_mut().for_each(|p| *p /= sum);
                }
            }
        }
        joined
    }
}

/// The class that probabilities call: with two classes the positive one from `threshold` on, else the largest.
pub fn call(probabilities: &[f64], positive: usize, threshold: f64) -> usize {
    match probabilities.len() {
        2 if probabilities[positive] >= threshold => positive,
        2 => 1 - positive,
        _ => (1..probabilities.len())
            .fold(0, |best, k| if probabilities[k] > probabilities[best] { k } else { best }),
    }
}

/// Cases with equal keys, in the order of their first.
fn groups(cases: &[Case], key: impl Fn(&Case) -> Option<String>) -> Vec<Vec<&Case>> {
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in cases {
        let at = match key(case) {
            Some(key) => *index.entry(key).or_insert(groups.len()),
            None => groups.len(),
        };
        match groups.get_mut(at) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups
}

/// A node's name among all patients.
pub fn node_key(case: &Case) -> Option<String> {
    Some(format!("{}\0{}", case.patient.as_deref().unwrap_or_default(), case.node.as_ref()?))
}

/// The nodes of `cases`; a case without a node is one by itself.
pub fn nodes(cases: &[Case], pool: Pool, positive: usize, threshold: f64) -> anyhow::Result<Vec<Case>> {
    let join = |views: Vec<&Case>| {
        let first = views[0];
        if views.iter().any(|view| view.label != first.label) {
            anyhow::bail!(
                "the images of node {} have different labels: a node is of one class",
                first.node.as_deref().unwrap_or_default()
            );
        }
        Ok(Case { probabilities: pool.join(&views, positive, threshold), ..first.clone() })
    };
    groups(cases, node_key).into_iter().map(join).collect()
}

/// The patients of `nodes`: positive where a node is, with the largest probability among the nodes.
pub fn patients(nodes: &[Case], positive: usize) -> Vec<Case> {
    let join = |nodes: Vec<&Case>| {
        let ill = nodes.iter().any(|node| node.label == Some(positive));
        let p = nodes.iter().map(|node| node.probabilities[positive]).fold(0.0, f64::max);
        let mut probabilities = vec![1.0 - p; 2];
        probabilities[positive] = p;
        Case { label: Some(if ill { positive } else { 1 - positive }), probabilities, ..nodes[0].clone() }
    };
    groups(nodes, |case| case.patient.clone()).into_iter().map(join).collect()
}

/// For the bootstrap: what is drawn, and for each case the number of the first case of its cluster.
pub fn clusters(cases: &[Case], level: &'static str) -> (&'static str, Vec<usize>) {
    let keyed = |key: &dyn Fn(&Case) -> Option<String>| -> Option<Vec<usize>> {
        let mut first = HashMap::new();
        cases.iter().enumerate().map(|(k, case)| Some(*first.entry(key(case)?).or_insert(k))).collect()
    };
    if let Some(by_patient) = keyed(&|case| case.patient.clone()) {
        return ("patient", by_patient);
    }
    match keyed(&node_key) {
        Some(by_node) => ("node", by_node),
        None => (level, (0..cases.len()).collect()),
    }
}
