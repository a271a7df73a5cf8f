//! Which of the predicted images a run knows: a network that learned from an image is judged too well on it.

use std::collections::HashMap;
use std::path::Path;

use super::super::evaluate::cases::Case;
use super::content::Run;

/// How many predicted images are in a run's parts, by their names.
pub struct Seen {
    pub training: usize,
    pub validation: usize,
    /// All that are predicted.
    pub all: usize,
}

impl Seen {
    /// Of predictions beside a run. A name is that of an image of the run when one of the two, as paths, ends as the other; one that
    /// ends as images of both parts do is of neither.
    pub fn of(run: &Run, cases: &[Case]) -> Self {
        let mut whole: HashMap<&Path, &str> = HashMap::new();
        let mut endings: HashMap<&Path, Option<&str>> = HashMap::new();
        for [part, .., image] in &run.split {
            whole.insert(Path::new(image), part);
            for ending in endings_of(Path::new(image)) {
                let known = endings.entry(ending).or_insert(Some(part));
                *known = known.filter(|known| known == part);
            }
        }
        let part_of = |name: &str| {
            let name = Path::new(name);
            let longest = endings_of(name).find_map(|ending| whole.get(ending).copied());
            longest.or_else(|| endings.get(name).copied().flatten())
        };
        let mut seen = Seen { training: 0, validation: 0, all: cases.len() };
        for name in cases.iter().filter_map(|case| case.name.as_deref()) {
            match part_of(name) {
                Some("train") => seen.training += 1,
                Some(_) => seen.validation += 1,
                None => {}
            }
        }
        seen
    }

    /// What to beware of, where an image taught.
    pub fn warning(&self) -> Option<String> {
        let Seen { training, all, .. } = self;
        let are = if *training == 1 { "is" } else { "are" };
        (*training > 0).then(|| {
            format!(
                "{training} of {all} predicted images {are} by name in the training part of the run: a network that learned from them \
                 is judged too well here"
            )
        })
    }
}

/// A path and what is left of it without its first parts, longest first.
fn endings_of(path: &Path) -> impl Iterator<Item = &Path> {
    let mut rest = path.components();
    std::iter::from_fn(move || {
        let ending = rest.as_path();
        rest.next().map(|_| ending)
    })
}
