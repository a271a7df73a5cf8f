//! How a radiologist's criteria become a call.
//!
//! Source: Li et al., Quant Imaging Med Surg 2021;11(6):2477, after Brown et al. 2003, Radiology 227:371. The paper's text asks all
//! three criteria above 9 mm; the guideline it cites calls every node of 9 mm or more suspicious. Both are here.

/// What a reader sees of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criteria {
    /// The border is irregular.
    pub irregular_border: bool,
    /// The signal is heterogeneous.
    pub heterogeneous_signal: bool,
    /// The shape is round.
    pub round_shape: bool,
}

/// From criteria to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Without the diameter: at least two criteria.
    WithoutDiameter,
    /// With the short-axis diameter, as the paper's text has it: below 5 mm all three criteria, from 5 to 9 mm at least two, above
    /// 9 mm all three.
    PaperText,
    /// With the short-axis diameter, as the guideline has it: below 5 mm all three criteria, from 5 to below 9 mm at least two, from
    /// 9 mm on always.
    Guideline,
}

impl Rule {
    /// All rules, in the order in which tables show them.
    pub const ALL: [Rule; 3] = [Rule::WithoutDiameter, Rule::PaperText, Rule::Guideline];

    /// The rule in a table's words.
    pub fn name(self) -> &'static str {
        match self {
            Rule::WithoutDiameter => "without SA",
            Rule::PaperText => "with SA, all criteria above 9 mm",
            Rule::Guideline => "with SA, positive from 9 mm on",
        }
    }

    /// Whether the rule calls a node with these criteria positive; `None` where it needs a diameter and gets none.
    pub fn call(self, criteria: Criteria, short_axis_mm: Option<f64>) -> Option<bool> {
        let Criteria { irregular_border, heterogeneous_signal, round_shape } = criteria;
        let held =
            [irregular_border, heterogeneous_signal, round_shape].into_iter().filter(|&held| held).count();
        let needed = match (self, short_axis_mm) {
            (Rule::WithoutDiameter, _) => 2,
            (_, None) => return None,
            (_, Some(mm)) if mm < 5.0 => 3,
            (Rule::PaperText, Some(mm)) if mm > 9.0 => 3,
            (Rule::Guideline, Some(mm)) if mm >= 9.0 => 0,
            _ => 2,
        };
        Some(held >= needed)
    }
}
