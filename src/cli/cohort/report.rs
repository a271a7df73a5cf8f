//! The cohort's table, and the same as JSON.

use nodal::metrics::{ChiSquare, Confidence, Contingency, Moments, TTest};
use serde_json::{Map, Value, json};

use super::super::evaluate::report::ends;
use super::super::grid::Grid;
use super::super::readers::p_value;
use super::features::{Cohort, Feature};

pub fn as_table(cohort: &Cohort) -> String {
    let (grid, notes) = grid(cohort);
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    grid.text() + &notes
}

/// The table, and why a test is missing where one is.
pub fn grid(cohort: &Cohort) -> (Grid, Vec<String>) {
    let groups = cohort.groups.iter().map(String::as_str);
    let mut table = Grid::new(["feature"].into_iter().chain(groups).chain(["statistic", "P", "test"]), 1);
    let mut notes = Vec::new();
    for (name, feature) in &cohort.features {
        let said = match feature {
            Feature::Numbers(groups) => numbers(&mut table, name, groups),
            Feature::Categories(levels, counts) => categories(&mut table, name, levels, counts),
        };
        if let Err(problem) = said {
            notes.push(format!("{name}: {problem}"));
        }
    }
    (table, notes)
}

/// A row that has a test's outcome in its last cells.
fn row(table: &mut Grid, name: &str, cells: Vec<String>, test: [String; 3]) {
    table.row([name.to_string()].into_iter().chain(cells).chain(test));
}

const NOTHING: [String; 3] = [String::new(), String::new(), String::new()];

fn numbers(table: &mut Grid, name: &str, groups: &[Moments]) -> nodal::Result<()> {
    let cells: Vec<String> = groups
        .iter()
        .map(|of| format!("{} ± {}, n = {}", Short(of.mean()), Short(of.sd()), of.n()))
        .collect();
    let blank = vec![String::new(); groups.len()];
    let tests =
        groups[0].t_test_pooled(&groups[1]).and_then(|p| Ok((p, groups[0].t_test_welch(&groups[1])?)));
    let cell = |test: &TTest, name: &str| {
        [format!("t = {:.3}", test.test.statistic), p_value(test.test.p), name.to_string()]
    };
    match tests {
        Ok((pooled, welch)) => {
            row(table, name, cells, cell(&pooled, "t, pooled"));
            row(table, "", blank, cell(&welch, "t, Welch"));
            Ok(())
        }
        Err(problem) => {
            row(table, name, cells, NOTHING);
            Err(problem)
        }
    }
}

/// A number in few digits.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = if self.0.abs() >= 100.0 { 1 } else { 2 };
        write!(f, "{:.digits$}", self.0)
    }
}

fn categories(table: &mut Grid, name: &str, levels: &[String], counts: &Contingency) -> nodal::Result<()> {
    let blank = || vec![String::new(); counts.columns()];
    let tests = Tests::of(counts);
    let mut rows = Vec::new();
    if let Ok(tests) = &tests {
        let cell = |chi: &ChiSquare, name: &str| {
            [format!("χ² = {:.3}", chi.test.statistic), p_value(chi.test.p), name.to_string()]
        };
        rows.extend(tests.yates.map(|yates| cell(&yates, "chi-square, Yates")));
        let few = if tests.plain.least_expected < 5.0 { ", expected below 5" } else { "" };
        rows.push(cell(&tests.plain, &format!("chi-square{few}")));
        rows.extend(tests.fisher.map(|p| [String::new(), p_value(p), "Fisher, exact".to_string()]));
    }
    let mut rows = rows.into_iter();
    row(table, name, blank(), rows.next().unwrap_or(NOTHING));
    let sums = counts.column_sums();
    for (k, level) in levels.iter().enumerate() {
        let share = |column: usize| match sums[column] {
            0 => "0".to_string(),
            sum => format!(
                "{} ({:.1} %)",
                counts.at(k, column),
                100.0 * counts.at(k, column) as f64 / sum as f64
            ),
        };
        let cells = (0..counts.columns()).map(share).collect();
        row(table, &format!("  {level}"), cells, rows.next().unwrap_or(NOTHING));
    }
    rows.for_each(|test| row(table, "", blank(), test));
    tests.map(|_| ())
}

/// The tests of one table of counts.
struct Tests {
    plain: ChiSquare,
    yates: Option<ChiSquare>,
    /// `None` where the table is too large.
    fisher: Option<f64>,
}

impl Tests {
    fn of(counts: &Contingency) -> nodal::Result<Self> {
        Ok(Tests {
            plain: counts.chi_square()?,
            yates: counts.chi_square_yates().ok(),
            fisher: counts.fisher().ok(),
        })
    }
}

pub fn as_json(cohort: &Cohort) -> Value {
    let feature = |(name, feature): &(String, Feature)| match feature {
        Feature::Numbers(groups) => numbers_json(name, groups),
        Feature::Categories(levels, counts) => categories_json(name, levels, counts),
    };
    json!({"groups": cohort.groups, "features": cohort.features.iter().map(feature).collect::<Vec<_>>()})
}

fn numbers_json(name: &str, groups: &[Moments]) -> Value {
    let moments: Vec<Value> =
        groups.iter().map(|of| json!({"n": of.n(), "mean": of.mean(), "sd": of.sd()})).collect();
    let test = |test: nodal::Result<TTest>| match test {
        Ok(test) => json!({
            "t": test.test.statistic,
            "freedom": test.freedom,
            "p": test.test.p,
            "difference": test.difference,
            "interval": ends(Some(test.interval(Confidence::P95))),
        }),
        Err(problem) => json!({"error": problem.to_string()}),
    };
    let (pooled, welch) = (groups[0].t_test_pooled(&groups[1]), groups[0].t_test_welch(&groups[1]));
    json!({"feature": name, "groups": moments, "t_pooled": test(pooled), "t_welch": test(welch)})
}

fn categories_json(name: &str, levels: &[String], counts: &Contingency) -> Value {
    let own = |k: usize| (0..counts.columns()).map(|column| counts.at(k, column)).collect::<Vec<_>>();
    let rows: Map<String, Value> =
        levels.iter().enumerate().map(|(k, level)| (level.clone(), own(k).into())).collect();
    let chi =
        |chi: ChiSquare| json!({"chi_square": chi.test.statistic, "freedom": chi.freedom, "p": chi.test.p});
    let mut value = json!({"feature": name, "counts": rows});
    match Tests::of(counts) {
        Ok(tests) => {
            value["chi_square"] = chi(tests.plain);
            value["least_expected"] = tests.plain.least_expected.into();
            value["chi_square_yates"] = tests.yates.map(chi).into();
            value["fisher"] = json!({"p": tests.fisher});
        }
        Err(problem) => value["error"] = problem.to_string().into(),
    }
    value
}
