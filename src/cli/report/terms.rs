//! The words of the page, plainly.

use maud::{Markup, html};

use super::content::Content;

const TERMS: [(&str, &str); 9] = [
    (
        "Sensitivity",
        "Of the positive cases, the share that is called positive. What is missing is overlooked.",
    ),
    (
        "Specificity",
        "Of the negative cases, the share that is called negative. What is missing are false alarms.",
    ),
    (
        "PPV and NPV",
        "Positive and negative predictive value: of the cases called positive (negative), the share that is so. Both depend on \
            how common positive cases are among these images, and change where that changes.",
    ),
    ("Accuracy", "The share of all cases that is called right."),
    (
        "ROC and AUC",
        "The ROC curve shows sensitivity and 1 − specificity at every threshold; the AUC is the area below it: the chance that \
            a positive case gets a higher probability than a negative one. 0.5 is guessing, 1 is perfect.",
    ),
    (
        "Threshold",
        "The probability from which on a case is called positive. One that was chosen on the cases it is judged on flatters.",
    ),
    (
        "Interval",
        "Were the study done again and again, about that share of such intervals would hold the true figure. Few cases make \
            wide intervals. Exact intervals are Clopper and Pearson's, Wilson's are shorter, those of the AUC are DeLong's, and \
            the bootstrap draws whole patients or nodes anew.",
    ),
    ("Calibration", "Whether probabilities mean what they say."),
    (
        "Grad-CAM",
        "Which places of a crop speak for the class that was called, by the last maps of the network (Selvaraju et al. 2017). \
            It shows where the network looks, coarsely; it does not prove why.",
    ),
];

/// What stands on a page with figures of two classes, or of readers.
pub fn part(content: &Content) -> Markup {
    let maps =
        content.judged.as_ref().is_some_and(|judged| judged.wrong.iter().any(|wrong| wrong.map.is_some()));
    html! {
        @if let Some(judged) = content.judged.as_ref().filter(|judged| judged.study.is_two()) {
            p { "Positive is the class " strong { (judged.study.data.classes[judged.study.positive]) } "; negative is \
                " strong { (judged.study.data.classes[1 - judged.study.positive]) } "." }
        }
        dl {
            @for (term, said) in TERMS {
                @if term != "Grad-CAM" || maps { dt { (term) } dd { (said) } }
            }
        }
    }
}
