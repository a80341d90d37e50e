//! The protobuf messages of event files, as far as they matter here.
//!
//! In: the bytes of an `Event`, a `Summary.Value` or a `SummaryMetadata`. Out: their parts, borrowed. Invariant:
//! fields may come in any order, the last of a kind counts, unknown ones are passed over.
//! Source: `tensorboard/compat/proto/{event,summary}.proto`.

use super::proto::{Malformed, Wire, for_each_field};

const DATA_CLASS_SCALAR: u64 = 1;

/// What a tensor's plugin makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    Scalars,
    Histograms,
    Foreign,
}

/// The parts of an event that matter, in any order on the wire.
#[derive(Default)]
pub(crate) struct Event<'a> {
    pub(crate) wall_time: f64,
    pub(crate) step: i64,
    pub(crate) summary: Option<&'a [u8]>,
    pub(crate) has_more_summaries: bool,
    pub(crate) session: Option<&'a [u8]>,
}

/// The parts of a `Summary.Value` that matter.
#[derive(Default)]
pub(crate) struct Value<'a> {
    pub(crate) tag: &'a [u8],
    pub(crate) old_tag: &'a [u8],
    pub(crate) metadata: Option<&'a [u8]>,
    pub(crate) data: Data<'a>,
}

#[derive(Default, Clone, Copy)]
pub(crate) enum Data<'a> {
    #[default]
    None,
    Simple(f32),
    Histogram(&'a [u8]),
    Tensor(&'a [u8]),
}

#[inline]
pub(crate) fn read_event(payload: &[u8]) -> Result<Event<'_>, Malformed> {
    let mut event = Event::default();
    for_each_field(payload, |number, wire| {
        match (number, wire) {
            (1, Wire::Fixed64(bits)) => event.wall_time = f64::from_bits(bits),
            (2, Wire::Varint(step)) => event.step = step as i64,
            (5, Wire::Bytes(summary)) => event.has_more_summaries = event.summary.replace(summary).is_some(),
            (7, Wire::Bytes(session)) => event.session = Some(session),
            _ => {}
        }
        Ok(())
    })?;
    Ok(event)
}

#[inline]
pub(crate) fn read_value(message: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut value = Value::default();
    for_each_field(message, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(tag)) => value.tag = tag,
            (2, Wire::Fixed32(bits)) => value.data = Data::Simple(f32::from_bits(bits)),
            (5, Wire::Bytes(histogram)) => value.data = Data::Histogram(histogram),
            (7, Wire::Bytes(tag)) => value.old_tag = tag,
            (8, Wire::Bytes(tensor)) => value.data = Data::Tensor(tensor),
            (9, Wire::Bytes(metadata)) => value.metadata = Some(metadata),
            // Obsolete histogram, image, audio: one of them takes the place of the others.
            (3 | 4 | 6, Wire::Bytes(_)) => value.data = Data::None,
            _ => {}
        }
        Ok(())
    })?;
    Ok(value)
}

/// The plugin that a `SummaryMetadata` names; `None` when it names none.
pub(crate) fn read_plugin(metadata: &[u8]) -> Result<Option<Plugin>, Malformed> {
    let (mut name, mut data_class) = (&[][..], 0);
    for_each_field(metadata, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(plugin_data)) => {
                for_each_field(plugin_data, |number, wire| {
                    if let (1, Wire::Bytes(plugin_name)) = (number, wire) {
                        name = plugin_name;
                    }
                    Ok(())
                })?;
            }
            (4, Wire::Varint(class)) => data_class = class,
            _ => {}
        }
        Ok(())
    })?;
    Ok(match name {
        b"" => None,
        b"histograms" => Some(Plugin::Histograms),
        b"scalars" => Some(Plugin::Scalars),
        _ if data_class == DATA_CLASS_SCALAR => Some(Plugin::Scalars),
        _ => Some(Plugin::Foreign),
    })
}
