//! PTX text into statements: names and structure, no meaning yet.

mod operand;
mod variable;

use std::collections::HashMap;

use crate::error::{Error, Result};
pub(crate) use operand::Operand;
use operand::{operand, split};
use variable::{Variable, directive};

/// A kernel as it stands in the text.
#[derive(Default)]
pub(crate) struct Text {
    pub name: String,
    /// Offset of each parameter, by name.
    pub parameters: HashMap<String, u32>,
    pub parameter_bytes: u32,
    /// Width in bits of each declared register class prefix, 1 for predicates: `%rd` → 64.
    pub registers: Vec<(String, u32)>,
    /// Offset of each shared variable, by name.
    pub shared: HashMap<String, u32>,
    pub shared_bytes: u32,
    /// Offset of each local variable, by name.
    pub local: HashMap<String, u32>,
    pub local_bytes: u32,
    /// Threads that a block may have, 0 for no limit.
    pub most_threads: u32,
    pub statements: Vec<Statement>,
    /// Index of the statement behind each label.
    pub labels: HashMap<String, usize>,
}

/// One instruction.
pub(crate) struct Statement {
    /// Predicate, and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The opcode's parts between dots.
    pub opcode: Vec<String>,
    pub operands: Vec<Operand>,
    /// Line in the PTX.
    pub ptx_line: usize,
    /// File number and line of the source.
    pub source: (u32, u32),
}

/// All kernels of a module, and its source files by number.
pub(crate) fn parse(ptx: &str) -> Result<(Vec<Text>, HashMap<u32, String>)> {
    let mut parser = Parser::default();
    let text = without_comments(ptx);
    for (number, line) in text.lines().enumerate() {
        parser.line(number + 1, line.trim())?;
    }
    Ok((parser.kernels, parser.files))
}

/// Comments become blanks, line ends stay.
fn without_comments(ptx: &str) -> String {
    let mut out = String::with_capacity(ptx.len());
    let mut rest = ptx;
    while let Some(at) = rest.find('/') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |end| end + 2);
            out.extend(rest[..end].chars().filter(|c| *c == '\n'));
            rest = &rest[end..];
        } else {
            out.push('/');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[derive(Default)]
struct Parser {
    kernels: Vec<Text>,
    files: HashMap<u32, String>,
    /// Shared variables outside of kernels; one without a size is what a launch adds.
    shared: Vec<Variable>,
    state: State,
    /// Depth of braces within a kernel's body.
    depth: usize,
    source: (u32, u32),
    /// A statement that goes on on the next line, and where it began.
    pending: String,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Outside,
    Parameters,
    /// Between the parameters and the body.
    Header,
    Body,
    Section,
}

fn problem<T>(line: usize, problem: impl Into<String>) -> Result<T> {
    Err(Error::Parse { line, problem: problem.into() })
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        match self.state {
            State::Outside => self.outside(number, line),
            State::Parameters => self.parameter(number, line),
            State::Header => {
                if line.contains('{') {
                    (self.state, self.depth) = (State::Body, 1);
                    let rest = line[line.find('{').unwrap_or(0) + 1..].trim().to_string();
                    return self.line(number, &rest);
                }
                self.header(number, line)
            }
            State::Body => self.body(number, line),
            State::Section => {
                if line == "}" {
                    self.state = State::Outside;
                }
                Ok(())
            }
        }
    }

    /// Directives between a kernel's parameters and its body.
    fn header(&mut self, number: usize, line: &str) -> Result<()> {
        let (word, numbers) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, self.kernels.last_mut()) {
            (".maxntid" | ".reqntid", Some(kernel)) => {
                kernel.most_threads =
                    numbers.split(',').filter_map(|n| n.trim().parse::<u32>().ok()).product();
                Ok(())
            }
            (".minnctapersm" | ".maxnreg" | ".noreturn", _) => Ok(()),
            _ => problem(number, format!("unknown directive `{line}`")),
        }
    }

    fn outside(&mut self, number: usize, line: &str) -> Result<()> {
        let word = line.split_whitespace().next().unwrap_or_default();
        match word {
            ".version" | ".target" | ".address_size" | "}" | "{" => Ok(()),
            ".file" => {
                let mut parts = line.splitn(3, char::is_whitespace);
                let id = parts.nth(1).and_then(|id| id.parse().ok());
                let name = parts.next().and_then(|rest| rest.split('"').nth(1));
                if let (Some(id), Some(name)) = (id, name) {
                    self.files.insert(id, name.to_string());
                }
                Ok(())
            }
            ".section" => {
                self.state = State::Section;
                Ok(())
            }
            ".shared" | ".extern" if line.contains(".shared") => {
                let text = line.trim_start_matches(".extern").trim().trim_end_matches(';');
                let Some(variable) = Variable::read(text, ".shared") else {
                    return problem(number, format!("unknown variable `{line}`"));
                };
                self.shared.push(variable);
                Ok(())
            }
            ".visible" | ".weak" | ".entry" if line.contains(".entry") => {
                let name = line.split(".entry").nth(1).unwrap_or_default();
                let (name, rest) = name.split_once('(').unwrap_or((name, ""));
                self.kernels.push(Text { name: name.trim().to_string(), ..Text::default() });
                self.state = State::Parameters;
                let (parameters, behind) = match rest.split_once(')') {
                    Some((parameters, behind)) => (parameters, Some(behind.trim())),
                    None => (rest, None),
                };
                for parameter in parameters.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                    self.parameter(number, parameter)?;
                }
                match behind {
                    Some(behind) => {
                        self.state = State::Header;
                        self.line(number, behind)
                    }
                    None => Ok(()),
                }
            }
            _ => problem(number, format!("unknown directive `{line}`")),
        }
    }

    fn parameter(&mut self, number: usize, line: &str) -> Result<()> {
        if line.starts_with(')') {
            self.state = State::Header;
            return Ok(());
        }
        let Some(kernel) = self.kernels.last_mut() else { return Ok(()) };
        let variable = Variable::read(line.trim_end_matches(','), ".param");
        let Some(variable) = variable else { return problem(number, format!("unknown parameter `{line}`")) };
        variable.place(&mut kernel.parameters, &mut kernel.parameter_bytes);
        Ok(())
    }

    fn body(&mut self, number: usize, line: &str) -> Result<()> {
        if let Some(rest) = line.strip_prefix(".loc").filter(|rest| rest.starts_with(char::is_whitespace)) {
            let mut numbers = rest.split_whitespace().map_while(|n| n.trim_end_matches(',').parse().ok());
            self.source = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            return Ok(());
        }
        let mut rest = line;
        while !rest.is_empty() {
            if self.pending.is_empty() {
                if let Some(after) = rest.strip_prefix('{') {
                    self.depth += 1;
                    rest = after.trim_start();
                    continue;
                }
                if let Some(after) = rest.strip_prefix('}') {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.state = State::Outside;
                        self.place_shared();
                    }
                    rest = after.trim_start();
                    continue;
                }
                if let Some((label, after)) = label(rest) {
                    if let Some(kernel) = self.kernels.last_mut() {
                        let at = kernel.statements.len();
                        kernel.labels.insert(label.to_string(), at);
                    }
                    rest = after.trim_start();
                    continue;
                }
            }
            match rest.find(';') {
                Some(end) => {
                    let statement = format!("{}{}", self.pending, &rest[..end]);
                    self.pending.clear();
                    self.statement(number, statement.trim())?;
                    rest = rest[end + 1..].trim_start();
                }
                None => {
                    self.pending.push_str(rest);
                    self.pending.push(' ');
                    rest = "";
                }
            }
        }
        Ok(())
    }

    /// Gives shared variables of the module that the kernel names their places behind its own, the one without a size last.
    fn place_shared(&mut self) {
        let Some(kernel) = self.kernels.last_mut() else { return };
        let named = |name: &str| kernel.statements.iter().any(|s| s.operands.iter().any(|o| o.names(name)));
        let mut used: Vec<&Variable> = self.shared.iter().filter(|variable| named(&variable.name)).collect();
        used.sort_by_key(|variable| variable.bytes == 0);
        for variable in used {
            variable.place(&mut kernel.shared, &mut kernel.shared_bytes);
        }
    }

    fn statement(&mut self, number: usize, text: &str) -> Result<()> {
        let source = self.source;
        let Some(kernel) = self.kernels.last_mut() else { return Ok(()) };
        if text.starts_with('.') {
            return directive(kernel, number, text);
        }
        let (guard, text) = match text.strip_prefix('@') {
            Some(rest) => {
                let (name, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let negated = name.starts_with('!');
                (Some((name.trim_start_matches('!').to_string(), negated)), rest.trim_start())
            }
            None => (None, text),
        };
        let (opcode, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let opcode = opcode.split('.').map(str::to_string).collect();
        let operands =
            split(operands).into_iter().map(|text| operand(number, text)).collect::<Result<_>>()?;
        kernel.statements.push(Statement { guard, opcode, operands, ptx_line: number, source });
        Ok(())
    }
}

/// `$L__BB0_1: rest`.
fn label(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || "$_%".contains(c)))?;
    (end > 0 && text[end..].starts_with(':')).then(|| (&text[..end], &text[end + 1..]))
}
