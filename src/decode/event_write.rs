//! Encodes events as TensorBoard's writers do, for tests, fixtures and benchmarks.
//!
//! In: values. Out: the protobuf bytes of an `Event`, to be framed with [`super::tfrecord::write_record`].
//! Invariant: the same values give the same bytes; fields that are 0 are left out, as proto3 does.

use super::tfrecord::write_record;

/// A `HistogramProto` as `add_histogram` of torch and tensorboardX writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramFields {
    /// Smallest element.
    pub min: f64,
    /// Largest element.
    pub max: f64,
    /// Number of elements.
    pub n_elements: f64,
    /// Sum of the elements.
    pub sum: f64,
    /// Sum of the squared elements.
    pub sum_squares: f64,
    /// Right edges of the buckets.
    pub limits: Vec<f64>,
    /// Elements in each bucket.
    pub counts: Vec<f64>,
}

/// Appends the bytes of `value` as a varint.
pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length-delimited field.
#[must_use]
pub fn nested(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    push_varint(&mut out, u64::from(number) << 3 | 2);
    push_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

/// A varint field, absent when 0.
#[must_use]
pub fn varint_field(number: u32, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if value != 0 {
        push_varint(&mut out, u64::from(number) << 3);
        push_varint(&mut out, value);
    }
    out
}

/// A double field, absent when 0.
#[must_use]
pub fn double_field(number: u32, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    if value != 0.0 {
        push_varint(&mut out, u64::from(number) << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }
    out
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An `Event` with this wall time (Unix seconds), step and encoded content.
#[must_use]
pub fn event(wall_time: f64, step: i64, what: &[u8]) -> Vec<u8> {
    [
        double_field(1, wall_time),
        varint_field(2, step as u64),
        what.to_vec(),
    ]
    .concat()
}

/// A `Summary.Value` with a `simple_value`, as a field of a `Summary`.
#[must_use]
pub fn scalar_value(tag: &str, value: f32) -> Vec<u8> {
    let mut content = nested(1, tag.as_bytes());
    content.push(2 << 3 | 5);
    content.extend_from_slice(&value.to_le_bytes());
    nested(1, &content)
}

/// The first event of a file.
#[must_use]
pub fn version_event(wall_time: f64) -> Vec<u8> {
    event(wall_time, 0, &nested(3, b"brain.Event:2"))
}

/// `SessionLog` START at `step`.
#[must_use]
pub fn session_start_event(wall_time: f64, step: i64) -> Vec<u8> {
    event(wall_time, step, &nested(7, &varint_field(1, 1)))
}

/// One TF1 scalar.
#[must_use]
pub fn scalar_event(wall_time: f64, step: i64, tag: &str, value: f32) -> Vec<u8> {
    event(wall_time, step, &nested(5, &scalar_value(tag, value)))
}

/// One histogram.
#[must_use]
pub fn histogram_event(wall_time: f64, step: i64, tag: &str, histogram: &HistogramFields) -> Vec<u8> {
    let fields = [
        double_field(1, histogram.min),
        double_field(2, histogram.max),
        double_field(3, histogram.n_elements),
        double_field(4, histogram.sum),
        double_field(5, histogram.sum_squares),
        nested(6, &doubles(&histogram.limits)),
        nested(7, &doubles(&histogram.counts)),
    ];
    let value = [nested(1, tag.as_bytes()), nested(5, &fields.concat())].concat();
    event(wall_time, step, &nested(5, &nested(1, &value)))
}

/// A `TensorProto` with `tensor_content`; `dtype` as in `types.proto`.
#[must_use]
pub fn tensor(dtype: u64, dims: &[u64], content: &[u8]) -> Vec<u8> {
    let shape: Vec<u8> = dims
        .iter()
        .flat_map(|size| nested(2, &varint_field(1, *size)))
        .collect();
    [varint_field(1, dtype), nested(2, &shape), nested(4, content)].concat()
}

/// One TF2 value: an encoded `TensorProto` with the plugin that it belongs to, if any.
#[must_use]
pub fn tensor_event(wall_time: f64, step: i64, tag: &str, plugin: Option<&str>, tensor: &[u8]) -> Vec<u8> {
    let metadata = plugin.map(|name| nested(9, &nested(1, &nested(1, name.as_bytes()))));
    let value = [
        nested(1, tag.as_bytes()),
        nested(8, tensor),
        metadata.unwrap_or_default(),
    ]
    .concat();
    event(wall_time, step, &nested(5, &nested(1, &value)))
}

/// One TF2 scalar: a `DT_FLOAT` tensor of the plugin `scalars`.
#[must_use]
pub fn tensor_scalar_event(wall_time: f64, step: i64, tag: &str, value: f32) -> Vec<u8> {
    tensor_event(
        wall_time,
        step,
        tag,
        Some("scalars"),
        &tensor(1, &[], &value.to_le_bytes()),
    )
}

/// One TF2 histogram: rows of left edge, right edge, count.
#[must_use]
pub fn bucket_event(wall_time: f64, step: i64, tag: &str, rows: &[[f64; 3]]) -> Vec<u8> {
    let content = doubles(rows.as_flattened());
    let tensor = tensor(2, &[rows.len() as u64, 3], &content);
    tensor_event(wall_time, step, tag, Some("histograms"), &tensor)
}

/// One TF2 text.
#[must_use]
pub fn text_tensor_event(wall_time: f64, step: i64, tag: &str, text: &str) -> Vec<u8> {
    let tensor = [varint_field(1, 7), nested(2, &[]), nested(8, text.as_bytes())].concat();
    tensor_event(wall_time, step, tag, Some("text"), &tensor)
}

/// One TF1 image with `n_bytes` of (meaningless) encoded data.
#[must_use]
pub fn image_event(wall_time: f64, step: i64, tag: &str, n_bytes: usize) -> Vec<u8> {
    let image = [
        varint_field(1, 1),
        varint_field(2, 1),
        nested(4, &vec![0; n_bytes]),
    ]
    .concat();
    event(
        wall_time,
        step,
        &nested(
            5,
            &nested(1, &[nested(1, tag.as_bytes()), nested(4, &image)].concat()),
        ),
    )
}

/// Frames events into the bytes of a file.
#[must_use]
pub fn file_of(events: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for event in events {
        write_record(&mut file, event);
    }
    file
}
