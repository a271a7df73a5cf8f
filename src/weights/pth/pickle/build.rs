//! What opcodes do to values: filling lists and dicts, and the few calls that a `state_dict` needs.

use super::super::super::MAX_DIMENSIONS;
use super::value::{Global, Id, Storage, Tensor, Value};
use super::{Pickle, Step};

impl<'a> Pickle<'a> {
    /// A call of one of the known globals.
    pub(super) fn reduce(&mut self) -> Step<()> {
        let [function, arguments] = self.pop_array()?;
        let (&Value::Global(function), Value::Tuple(arguments)) =
            (&self.values[function], &self.values[arguments])
        else {
            return Err("its pickle calls what is no function: refused".into());
        };
        match (function, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => self.dict_of_pairs(pairs),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let flags = arguments.get(6).map(|&id| &self.values[id]);
                if flags.is_some_and(|flags| !matches!(flags, Value::None)) {
                    return Err("its pickle has a tensor with a pending sign: save tensor.clone()".into());
                }
                let Value::Storage(storage) = self.values[storage] else {
                    return Err("its pickle has a tensor without a storage".into());
                };
                let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
                let offset = self.size(offset)?;
                self.push(Value::Tensor(Box::new(Tensor { storage, offset, shape, strides })))
            }
            (Global::RebuildParameter, &[tensor, ..]) => self.push_again(tensor),
            (Global::Size, &[sizes]) => self.push_again(sizes),
            (function, _) => Err(format!("its pickle calls {function:?} with the wrong arguments")),
        }
    }

    /// A persistent id: ('storage', type, key, location, elements), in the older form with a view behind, or None.
    pub(super) fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.values[id] else {
            return Err("its pickle has a storage without a key".into());
        };
        let [kind, class, key, _, elements, rest @ ..] = parts.as_slice() else {
            return Err("its pickle has a storage without a size".into());
        };
        if self.text(*kind)? != "storage" {
            return Err("its pickle refers to something that is no storage".into());
        }
        if rest.iter().any(|&id| !matches!(self.values[id], Value::None)) {
            return Err("its pickle has a view of a storage: save it with a current PyTorch".into());
        }
        let Value::Global(Global::StorageOf(dtype)) = self.values[*class] else {
            return Err("its pickle has a storage of unknown type".into());
        };
        let storage = Storage { key: self.text(*key)?, dtype, elements: self.size(*elements)? };
        self.push(Value::Storage(storage))
    }

    /// A dict from a list of pairs, as Python 2 wrote it.
    fn dict_of_pairs(&mut self, pairs: Id) -> Step<()> {
        let (Value::List(items) | Value::Tuple(items)) = &self.values[pairs] else {
            return Err("its pickle makes a dict of no list".into());
        };
        // The same list may be asked for again and again: each time costs its length.
        let cost = items.len();
        self.spend(cost)?;
        let (Value::List(items) | Value::Tuple(items)) = &self.values[pairs] else { return Ok(()) };
        let pair = |&item: &Id| match &self.values[item] {
            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err("its pickle makes a dict of no pairs".to_string()),
        };
        let dict = items.iter().map(pair).collect::<Step<_>>()?;
        self.push(Value::Dict(dict))
    }

    pub(super) fn append(&mut self, items: &[Id]) -> Step<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.extend_from_slice(items),
            _ => return Err("its pickle appends to what is no list".into()),
        }
        Ok(())
    }

    pub(super) fn set_items(&mut self, items: &[Id]) -> Step<()> {
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(dict) if items.len().is_multiple_of(2) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err("its pickle sets items of what is no dict".into()),
        }
        Ok(())
    }

    /// A non-negative integer.
    fn size(&self, id: Id) -> Step<usize> {
        match &self.values[id] {
            Value::Int(n) => usize::try_from(*n).map_err(|_| format!("its pickle has a size of {n}")),
            _ => Err("its pickle has a size that is no integer of 64 bits".into()),
        }
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(ids) | Value::List(ids) if ids.len() <= MAX_DIMENSIONS => {
                ids.iter().map(|&id| self.size(id)).collect()
            }
            _ => Err(format!("its pickle has a shape that is no list of up to {MAX_DIMENSIONS} sizes")),
        }
    }
}
