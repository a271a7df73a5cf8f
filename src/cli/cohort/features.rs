//! Features by group, from one row a patient or from published figures.

use std::path::Path;

use nodal::metrics::{Contingency, Moments};

use super::super::sheet::Sheet;

/// Columns that name a row and are no feature.
const NAMES: [&str; 4] = ["patient", "node", "image", "case"];

/// Groups and what is known of them.
pub struct Cohort {
    pub groups: Vec<String>,
    pub features: Vec<(String, Feature)>,
}

/// One feature.
pub enum Feature {
    /// Numbers, by group.
    Numbers(Vec<Moments>),
    /// Categories: the table has a row for each, a column for each group.
    Categories(Vec<String>, Contingency),
}

/// Reads `path`; `group` names the column of the groups.
pub fn open(path: &Path, group: &str, categories: &[String], ignore: &[String]) -> anyhow::Result<Cohort> {
    let sheet = Sheet::open(path)?;
    let cohort = match (sheet.column("feature"), sheet.column("count")) {
        (Some(_), Some(_)) => of_figures(&sheet)?,
        _ => of_rows(&sheet, group, categories, ignore)?,
    };
    if cohort.groups.len() < 2 {
        anyhow::bail!(
            sheet.problem(format!("every row is of the group {}: two are compared", cohort.groups[0]))
        );
    }
    let numbers = cohort.features.iter().find(|(_, feature)| matches!(feature, Feature::Numbers(_)));
    if let (Some((name, _)), true) = (numbers, cohort.groups.len() > 2) {
        let groups = cohort.groups.join(", ");
        anyhow::bail!(sheet.problem(format!(
            "a t test of `{name}` compares two groups, not {groups}: leave it out with --ignore"
        )));
    }
    Ok(cohort)
}

/// Where `name` stands in `names`, added when it is new.
fn place(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_string());
        names.len() - 1
    })
}

/// Counts of categories by group, which grow as they are named.
#[derive(Default)]
struct Tally {
    levels: Vec<String>,
    cells: Vec<(usize, usize, u64)>,
}

impl Tally {
    fn add(&mut self, level: &str, group: usize, count: u64) {
        let level = place(&mut self.levels, level);
        self.cells.push((level, group, count));
    }

    /// With its levels in the order of their names.
    fn levels_sorted(self) -> Self {
        let mut sorted = self.levels.clone();
        sorted.sort_unstable();
        let cells = self.cells.iter().map(|&(level, group, count)| {
            (sorted.iter().position(|name| *name == self.levels[level]).unwrap_or(level), group, count)
        });
        let cells = cells.collect();
        Tally { levels: sorted, cells }
    }

    fn feature(self, groups: usize) -> nodal::Result<Feature> {
        let mut counts = vec![0; self.levels.len() * groups];
        self.cells.iter().for_each(|(level, group, count)| counts[level * groups + group] += count);
        let table = Contingency::new(self.levels.len(), groups, &counts)?;
        Ok(Feature::Categories(self.levels, table))
    }
}

fn of_rows(sheet: &Sheet, group: &str, categories: &[String], ignore: &[String]) -> anyhow::Result<Cohort> {
    let column = sheet.need(group)?;
    for name in categories.iter().chain(ignore) {
        sheet.need(name)?;
    }
    let mut groups = Vec::new();
    let mut of_row = Vec::with_capacity(sheet.rows().len());
    for row in sheet.rows() {
        of_row.push(place(&mut groups, sheet.field(row, column)?));
    }
    let named = |list: &[String], name: &str| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut features = Vec::new();
    for (k, name) in sheet.columns().iter().enumerate() {
        let is_name = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        if k == column || is_name || named(ignore, name) {
            continue;
        }
        let fields: Vec<(usize, &str)> =
            sheet.rows().iter().zip(&of_row).filter_map(|(row, &at)| Some((at, row.get(Some(k))?))).collect();
        let feature = of_column(&fields, groups.len(), named(categories, name));
        let about = |e: nodal::Error| sheet.problem(format!("column `{name}`: {e}"));
        features.push((name.clone(), feature.map_err(about)?));
    }
    if features.is_empty() {
        anyhow::bail!(sheet.problem(format!("has no column of a feature beside `{group}`")));
    }
    Ok(Cohort { groups, features })
}

/// The feature of a column's fields, each with its group.
fn of_column(fields: &[(usize, &str)], groups: usize, categories: bool) -> nodal::Result<Feature> {
    if let Some(values) = numbers(fields).filter(|_| !categories) {
        let of_group = |at: usize| {
            let own: Vec<f64> = values.iter().filter(|value| value.0 == at).map(|value| value.1).collect();
            Moments::of(&own)
        };
        return Ok(Feature::Numbers((0..groups).map(of_group).collect::<nodal::Result<_>>()?));
    }
    let mut tally = Tally::default();
    fields.iter().for_each(|(at, level)| tally.add(level, *at, 1));
    tally.levels_sorted().feature(groups)
}

/// The fields as numbers, where all are and they have more than two values.
fn numbers(fields: &[(usize, &str)]) -> Option<Vec<(usize, f64)>> {
    let parse = |(at, text): &(usize, &str)| Some((*at, text.parse().ok().filter(|n: &f64| n.is_finite())?));
    let values: Vec<(usize, f64)> = fields.iter().map(parse).collect::<Option<_>>()?;
    let first = values.first()?.1;
    let second = values.iter().map(|value| value.1).find(|value| *value != first)?;
    values.iter().any(|value| value.1 != first && value.1 != second).then_some(values)
}

fn of_figures(sheet: &Sheet) -> anyhow::Result<Cohort> {
    let [name, group, count] = [sheet.need("feature")?, sheet.need("group")?, sheet.need("count")?];
    let [level, mean, sd] = ["level", "mean", "sd"].map(|column| sheet.column(column));
    let (mut groups, mut names) = (Vec::new(), Vec::new());
    let mut tallies: Vec<Tally> = Vec::new();
    let mut moments: Vec<Vec<(usize, Moments)>> = Vec::new();
    for row in sheet.rows() {
        let at = place(&mut groups, sheet.field(row, group)?);
        let feature = place(&mut names, sheet.field(row, name)?);
        let n = sheet.count(row, count)?;
        tallies.resize_with(names.len(), Tally::default);
        moments.resize_with(names.len(), Vec::new);
        match (row.get(level), mean, sd) {
            (Some(level), _, _) => tallies[feature].add(level, at, n),
            (None, Some(mean), Some(sd)) => {
                let own = Moments::from_moments(n, sheet.number(row, mean)?, sheet.number(row, sd)?);
                moments[feature].push((at, own.map_err(|e| sheet.wrong(row, e))?));
            }
            _ => anyhow::bail!(sheet.wrong(row, "has neither a level nor mean and sd")),
        }
    }
    let mut features = Vec::new();
    for ((name, tally), mut moments) in names.into_iter().zip(tallies).zip(moments) {
        moments.sort_by_key(|(at, _)| *at);
        let feature = match moments.len() {
            0 => tally.feature(groups.len()).map_err(|e| sheet.problem(format!("`{name}`: {e}")))?,
            n if n == groups.len()
                && tally.levels.is_empty()
                && moments.iter().enumerate().all(|(k, m)| m.0 == k) =>
            {
                Feature::Numbers(moments.into_iter().map(|(_, moments)| moments).collect())
            }
            _ => {
                anyhow::bail!(sheet.problem(format!("`{name}` needs one mean for each group, and no level")))
            }
        };
        features.push((name, feature));
    }
    Ok(Cohort { groups, features })
}
