//! `TensorProto`: numbers of every numeric type, one element or a matrix of histogram buckets.
//!
//! In: the bytes of a `TensorProto`. Out: its elements as `f64`. Invariant: the number of elements is the one
//! the shape states and the bytes hold; a tensor where the two differ has no value.
//! Source: `tensorboard/compat/proto/{tensor,tensor_shape,types}.proto`.

use super::proto::{Malformed, Wire, for_each_field, read_varint};

/// Dimensions that are kept; more than enough to tell a bucket matrix from anything else.
const N_DIMS_KEPT: usize = 2;
const DT_STRING: u64 = 7;

/// Whether elements of this type are strings: text, encoded images and audio.
pub(crate) fn is_text_dtype(dtype: u64) -> bool {
    dtype == DT_STRING
}

/// How one element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F64,
    F16,
    Bf16,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    F8(Float8),
}

/// An 8-bit float: how many bits of fraction, which exponent bias, which patterns are not numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Float8 {
    fraction_bits: u32,
    bias: i32,
    specials: Specials,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Specials {
    /// As IEEE 754: the largest exponent is infinity or NaN.
    Ieee,
    /// `fn`: all ones is NaN, there is no infinity.
    AllOnesNan,
    /// `fnuz`: negative zero is NaN, there is no infinity.
    NegativeZeroNan,
}

impl Element {
    /// The numeric types of `types.proto`; strings, complex, quantized and 4-bit types have no plain value.
    fn of_dtype(dtype: u64) -> Option<Self> {
        let float8 = |fraction_bits, bias, specials| {
            Element::F8(Float8 {
                fraction_bits,
                bias,
                specials,
            })
        };
        Some(match dtype {
            1 => Element::F32,
            2 => Element::F64,
            3 => Element::I32,
            4 => Element::U8,
            5 => Element::I16,
            6 => Element::I8,
            9 => Element::I64,
            10 => Element::Bool,
            14 => Element::Bf16,
            17 => Element::U16,
            19 => Element::F16,
            22 => Element::U32,
            23 => Element::U64,
            24 => float8(2, 15, Specials::Ieee),
            25 => float8(3, 7, Specials::AllOnesNan),
            26 => float8(3, 8, Specials::NegativeZeroNan),
            27 => float8(3, 11, Specials::NegativeZeroNan),
            28 => float8(2, 16, Specials::NegativeZeroNan),
            _ => return None,
        })
    }

    /// Bytes of one element in `tensor_content`.
    fn content_bytes(self) -> usize {
        match self {
            Element::F64 | Element::I64 | Element::U64 => 8,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F16 | Element::Bf16 | Element::I16 | Element::U16 => 2,
            Element::I8 | Element::U8 | Element::Bool | Element::F8(_) => 1,
        }
    }

    /// Number of the `TensorProto` field that holds the elements when `tensor_content` does not.
    fn value_field(self) -> u32 {
        match self {
            Element::F32 => 5,
            Element::F64 => 6,
            Element::I8 | Element::I16 | Element::I32 | Element::U8 | Element::U16 => 7,
            Element::I64 => 10,
            Element::Bool => 11,
            Element::F16 | Element::Bf16 => 13,
            Element::U32 => 16,
            Element::U64 => 17,
            Element::F8(_) => 18,
        }
    }

    /// The value of an element from its bits, in the low bits of `bits`.
    fn value(self, bits: u64) -> f64 {
        match self {
            Element::F32 => f64::from(f32::from_bits(bits as u32)),
            Element::F64 => f64::from_bits(bits),
            Element::F16 => f16_value(bits as u16),
            Element::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Element::I8 => f64::from(bits as i8),
            Element::I16 => f64::from(bits as i16),
            Element::I32 => f64::from(bits as i32),
            Element::I64 => bits as i64 as f64,
            Element::U8 => f64::from(bits as u8),
            Element::U16 => f64::from(bits as u16),
            Element::U32 => f64::from(bits as u32),
            Element::U64 => bits as f64,
            Element::Bool => f64::from(u8::from(bits != 0)),
            Element::F8(format) => format.value(bits as u8),
        }
    }
}

impl Float8 {
    fn value(self, bits: u8) -> f64 {
        let is_negative = bits & 0x80 != 0;
        let magnitude = u32::from(bits & 0x7f);
        let exponent = (magnitude >> self.fraction_bits) as i32;
        let fraction = f64::from(magnitude & ((1 << self.fraction_bits) - 1));
        let exponent_max = (0x7f_u32 >> self.fraction_bits) as i32;
        let special = match self.specials {
            Specials::Ieee if exponent == exponent_max => {
                Some(if fraction == 0.0 { f64::INFINITY } else { f64::NAN })
            }
            Specials::AllOnesNan if magnitude == 0x7f => Some(f64::NAN),
            Specials::NegativeZeroNan if bits == 0x80 => Some(f64::NAN),
            _ => None,
        };
        let value = special.unwrap_or_else(|| {
            float_value(exponent, fraction / f64::from(1 << self.fraction_bits), self.bias)
        });
        if is_negative { -value } else { value }
    }
}

/// IEEE 754 half precision.
fn f16_value(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    let value = match exponent {
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => float_value(exponent, fraction, 15),
    };
    if bits & 0x8000 != 0 { -value } else { value }
}

/// `fraction` in `[0, 1)`; exponent 0 is subnormal.
fn float_value(exponent: i32, fraction: f64, bias: i32) -> f64 {
    if exponent == 0 {
        fraction * f64::from(1 - bias).exp2()
    } else {
        (1.0 + fraction) * f64::from(exponent - bias).exp2()
    }
}

/// A `TensorProto` whose elements are not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensor<'a> {
    message: &'a [u8],
    dtype: u64,
    content: &'a [u8],
    rank: usize,
    /// The first dimensions; those beyond the rank are 1.
    dims: [u64; N_DIMS_KEPT],
    /// Whether any dimension beyond those kept differs from 1.
    has_more: bool,
}

impl<'a> Tensor<'a> {
    /// Reads type, shape and the place of the content.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut tensor = Self {
            message,
            dtype: 0,
            content: &[],
            rank: 0,
            dims: [1; N_DIMS_KEPT],
            has_more: false,
        };
        for_each_field(message, |number, wire| {
            match (number, wire) {
                (1, Wire::Varint(dtype)) => tensor.dtype = dtype,
                (2, Wire::Bytes(shape)) => tensor.read_shape(shape)?,
                (4, Wire::Bytes(content)) => tensor.content = content,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }

    fn read_shape(&mut self, shape: &[u8]) -> Result<(), Malformed> {
        for_each_field(shape, |number, wire| {
            let (2, Wire::Bytes(dim)) = (number, wire) else {
                return Ok(());
            };
            let mut size = 0;
            for_each_field(dim, |number, wire| {
                if let (1, Wire::Varint(value)) = (number, wire) {
                    size = value;
                }
                Ok(())
            })?;
            match self.dims.get_mut(self.rank) {
                Some(kept) => *kept = size,
                None => self.has_more |= size != 1,
            }
            self.rank = self.rank.saturating_add(1);
            Ok(())
        })?;
        Ok(())
    }

    /// The number, if the tensor is exactly one, of any rank.
    pub(crate) fn single(&self) -> Result<Option<f64>, Malformed> {
        if self.has_more || self.dims != [1; N_DIMS_KEPT] {
            return Ok(None);
        }
        let Some(element) = Element::of_dtype(self.dtype) else {
            return Ok(None);
        };
        let mut values = [None; 2];
        let mut n_values = 0_usize;
        self.for_each(element, |value| {
            if let Some(place) = values.get_mut(n_values) {
                *place = Some(value);
            }
            n_values = n_values.saturating_add(1);
        })?;
        // TensorFlow's readers fill elements that are left out with zero.
        Ok(match n_values {
            0 if self.content.is_empty() => Some(0.0),
            1 => values[0],
            _ => None,
        })
    }

    /// Calls `row` with the three numbers of each row of a `[k, 3]` matrix; `false` if the tensor is none.
    pub(crate) fn for_each_triple(&self, mut row: impl FnMut([f64; 3])) -> Result<bool, Malformed> {
        let [n_rows, n_columns] = self.dims;
        let Some(element) = Element::of_dtype(self.dtype) else {
            return Ok(false);
        };
        if self.rank != 2 || n_columns != 3 || !self.holds(element, n_rows.saturating_mul(3))? {
            return Ok(false);
        }
        let (mut triple, mut column) = ([0.0; 3], 0);
        self.for_each(element, |value| {
            triple[column % 3] = value;
            column += 1;
            if column == 3 {
                row(triple);
                column = 0;
            }
        })?;
        Ok(true)
    }

    fn holds(&self, element: Element, n_elements: u64) -> Result<bool, Malformed> {
        let mut n_held = 0_u64;
        self.for_each(element, |_| n_held += 1)?;
        Ok(n_held == n_elements)
    }

    fn for_each(&self, element: Element, mut take: impl FnMut(f64)) -> Result<(), Malformed> {
        if !self.content.is_empty() {
            for bytes in exact_chunks(self.content, element.content_bytes())? {
                take(element.value(little_endian(bytes)));
            }
            return Ok(());
        }
        for_each_field(self.message, |number, wire| {
            match (number, wire) {
                (number, wire) if number == element.value_field() => each_value(element, wire, &mut take)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// The elements of one occurrence of a value field, packed or not.
fn each_value(element: Element, wire: Wire<'_>, take: &mut impl FnMut(f64)) -> Result<(), Malformed> {
    match (element, wire) {
        (Element::F32, Wire::Fixed32(bits)) => take(f64::from(f32::from_bits(bits))),
        (Element::F64, Wire::Fixed64(bits)) => take(f64::from_bits(bits)),
        (Element::F32 | Element::F64 | Element::F8(_), Wire::Bytes(packed)) => {
            for bytes in exact_chunks(packed, element.content_bytes())? {
                take(element.value(little_endian(bytes)));
            }
        }
        (Element::F32 | Element::F64 | Element::F8(_), _) => return Err(Malformed),
        (_, Wire::Varint(bits)) => take(element.value(bits)),
        (_, Wire::Bytes(mut packed)) => {
            while !packed.is_empty() {
                let (bits, rest) = read_varint(packed)?;
                take(element.value(bits));
                packed = rest;
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

fn exact_chunks(bytes: &[u8], size: usize) -> Result<std::slice::ChunksExact<'_, u8>, Malformed> {
    let chunks = bytes.chunks_exact(size);
    if chunks.remainder().is_empty() {
        Ok(chunks)
    } else {
        Err(Malformed)
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
