//! Where a call comes from: the reader, or criteria and a rule.

use nodal::metrics::reading::{Criteria, Rule};

use super::super::sheet::{Row, Sheet};

/// The columns of the criteria.
const CRITERIA: [&str; 3] = ["irregular_border", "heterogeneous_signal", "round_shape"];

/// Where a call comes from: a column, or three criteria and a diameter.
pub enum Judge {
    Call(usize),
    Criteria([usize; 3], Option<usize>),
}

impl Judge {
    /// What the columns of `sheet` allow.
    pub fn of(sheet: &Sheet) -> anyhow::Result<Self> {
        if let Some(call) = sheet.column("call") {
            return Ok(Judge::Call(call));
        }
        let mut columns = [0; 3];
        for (column, name) in columns.iter_mut().zip(CRITERIA) {
            *column = sheet.column(name).ok_or_else(|| {
                sheet.problem(format!("has neither a column `call` nor all of {}", CRITERIA.join(", ")))
            })?;
        }
        Ok(Judge::Criteria(columns, sheet.column("short_axis_mm")))
    }

    /// The calls of a row, by rule where there are rules.
    pub fn calls(&self, sheet: &Sheet, row: &Row) -> anyhow::Result<Vec<(Option<&'static str>, bool)>> {
        let (columns, diameter) = match self {
            Judge::Call(call) => return Ok(vec![(None, sheet.yes(row, *call)?)]),
            Judge::Criteria(columns, diameter) => (columns, *diameter),
        };
        let [irregular_border, heterogeneous_signal, round_shape] =
            [sheet.yes(row, columns[0])?, sheet.yes(row, columns[1])?, sheet.yes(row, columns[2])?];
        let criteria = Criteria { irregular_border, heterogeneous_signal, round_shape };
        let mm = diameter.map(|column| sheet.number(row, column)).transpose()?;
        if let Some(mm) = mm.filter(|mm| *mm <= 0.0) {
            anyhow::bail!(sheet.wrong(row, format!("a short axis of {mm} mm is none")));
        }
        let call = |rule: Rule| Some((Some(rule.name()), rule.call(criteria, mm)?));
        Ok(Rule::ALL.into_iter().filter_map(call).collect())
    }
}
