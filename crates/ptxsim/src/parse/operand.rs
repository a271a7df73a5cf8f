//! Operands as they are written.

use super::problem;
use crate::error::Result;

/// One operand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// A register, special register, label or variable.
    Name(String),
    /// `!%p`.
    Not(String),
    /// Bits of a number.
    Number(u64),
    /// `[base + offset]`.
    Address(Box<Operand>, i64),
    /// `{a, b}`.
    Vector(Vec<Operand>),
    /// `a|b`.
    Pair(String, String),
}

impl Operand {
    /// Whether it mentions the variable `name`.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Operand::Name(own) => own == name,
            Operand::Address(base, _) => base.names(name),
            Operand::Vector(parts) => parts.iter().any(|part| part.names(name)),
            _ => false,
        }
    }
}

/// Operands between commas, those within brackets together.
pub(super) fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    let last = text[begin..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

/// One operand.
pub(super) fn operand(line: usize, text: &str) -> Result<Operand> {
    let inner = |open: char, close: char| text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
    if let Some(inside) = inner('{', '}') {
        return Ok(Operand::Vector(
            split(inside).into_iter().map(|t| operand(line, t)).collect::<Result<_>>()?,
        ));
    }
    if let Some(inside) = inner('[', ']') {
        let at = inside.find(['+', '-']).filter(|&at| at > 0);
        let (base, offset) = match at {
            Some(at) => (&inside[..at], inside[at..].trim_start_matches('+').replace(' ', "")),
            None => (inside, "0".to_string()),
        };
        let Ok(offset) = offset.parse() else { return problem(line, format!("unknown address `{text}`")) };
        return Ok(Operand::Address(Box::new(operand(line, base.trim())?), offset));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Operand::Not(name.to_string()));
    }
    if let Some((a, b)) = text.split_once('|') {
        return Ok(Operand::Pair(a.trim().to_string(), b.trim().to_string()));
    }
    match number(text) {
        Some(bits) => Ok(Operand::Number(bits)),
        None if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            problem(line, format!("unknown number `{text}`"))
        }
        None => Ok(Operand::Name(text.to_string())),
    }
}

/// Bits of an integer, `0f` or `0d` literal.
fn number(text: &str) -> Option<u64> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0f").or_else(|| lower.strip_prefix("0d")) {
        return hex(digits);
    }
    if let Some(digits) = lower.strip_prefix("0x") {
        return hex(digits.trim_end_matches('u'));
    }
    let digits = lower.trim_end_matches('u');
    digits.parse::<i64>().map(|n| n as u64).or_else(|_| digits.parse()).ok()
}
