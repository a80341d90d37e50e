//! The protobuf messages of event files, as far as they matter here.
//!
//! In: the bytes of an `Event`, a `Summary.Value` or a `SummaryMetadata`. Out: their parts, borrowed. Invariant:
//! fields may come in any order, the last of a kind counts, unknown ones are passed over.
//! Source: `tensorboard/compat/proto/{event,summary}.proto`.

use super::proto::{Malformed, Wire, for_each_field, read_varint};

const DATA_CLASS_SCALAR: u64 = 1;

/// What a tensor's plugin makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    Scalars,
    Histograms,
    Foreign,
}

/// The parts of an event that matter, in any order on the wire.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event<'a> {
    pub(crate) wall_time: f64,
    pub(crate) step: i64,
    pub(crate) summary: Option<&'a [u8]>,
    pub(crate) has_more_summaries: bool,
    pub(crate) session: Option<&'a [u8]>,
}

/// The parts of a `Summary.Value` that matter.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Value<'a> {
    pub(crate) tag: &'a [u8],
    pub(crate) old_tag: &'a [u8],
    pub(crate) metadata: Option<&'a [u8]>,
    pub(crate) data: Data<'a>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) enum Data<'a> {
    #[default]
    None,
    Simple(f32),
    Histogram(&'a [u8]),
    Tensor(&'a [u8]),
}

#[inline]
pub(crate) fn read_event(payload: &[u8]) -> Result<Event<'_>, Malformed> {
    match usual_event(payload) {
        Some(event) => Ok(event),
        None => any_event(payload),
    }
}

/// What nearly every event is: wall time, step (left out when 0) and one summary, in the order of their numbers.
#[inline]
fn usual_event(payload: &[u8]) -> Option<Event<'_>> {
    let [0x09, rest @ ..] = payload else {
        return None;
    };
    let (wall_time, rest) = rest.split_first_chunk::<8>()?;
    let (step, rest) = match rest {
        [0x10, rest @ ..] => read_varint(rest).ok()?,
        _ => (0, rest),
    };
    let [0x2a, rest @ ..] = rest else {
        return None;
    };
    let (length, summary) = read_varint(rest).ok()?;
    (length == summary.len() as u64).then(|| Event {
        wall_time: f64::from_le_bytes(*wall_time),
        step: step as i64,
        summary: Some(summary),
        ..Event::default()
    })
}

fn any_event(payload: &[u8]) -> Result<Event<'_>, Malformed> {
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
    match usual_value(message) {
        Some(value) => Ok(value),
        None => any_value(message),
    }
}

/// What nearly every value is: a tag of less than 128 bytes and a float.
#[inline]
fn usual_value(message: &[u8]) -> Option<Value<'_>> {
    let [0x0a, length @ 0..0x80, rest @ ..] = message else {
        return None;
    };
    let (tag, rest) = rest.split_at_checked(usize::from(*length))?;
    let [0x15, a, b, c, d] = rest else {
        return None;
    };
    Some(Value {
        tag,
        data: Data::Simple(f32::from_le_bytes([*a, *b, *c, *d])),
        ..Value::default()
    })
}

fn any_value(message: &[u8]) -> Result<Value<'_>, Malformed> {
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

    use super::{any_event, any_value, usual_event, usual_value};

    /// Fields as writers put them, in any order, now and then cut or with a byte changed.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            Just([&[0x09][..], &1.5_f64.to_le_bytes()].concat()),
            any::<u8>().prop_map(|step| vec![0x10, step]),
            vec(any::<u8>(), 0..6).prop_map(|bytes| [&[0x2a, bytes.len() as u8][..], &bytes].concat()),
            vec(any::<u8>(), 0..6).prop_map(|bytes| [&[0x0a, bytes.len() as u8][..], &bytes].concat()),
            any::<[u8; 4]>().prop_map(|bytes| [&[0x15][..], &bytes].concat()),
            vec(any::<u8>(), 0..3),
        ];
        let message = vec(field, 0..4).prop_map(|fields| fields.concat());
        let change = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
        (message, change).prop_map(|(mut message, change)| {
            if let Some((at, byte)) = change.filter(|_| !message.is_empty()) {
                let at = at.index(message.len());
                message[at] = byte;
            }
            message
        })
    }

    proptest! {
        #[test]
        fn what_is_usual_reads_as_anything_else(message in message()) {
            if let Some(event) = usual_event(&message) {
                prop_assert_eq!(Ok(format!("{event:?}")), any_event(&message).map(|it| format!("{it:?}")));
            }
            if let Some(value) = usual_value(&message) {
                prop_assert_eq!(Ok(format!("{value:?}")), any_value(&message).map(|it| format!("{it:?}")));
            }
        }
    }

    #[test]
    fn the_usual_is_recognised() {
        let event = [&[0x09][..], &2.0_f64.to_le_bytes(), &[0x10, 7, 0x2a, 2, 1, 2]].concat();
        assert_eq!(usual_event(&event).map(|it| it.step), Some(7));
        let value = [0x0a, 1, b't', 0x15, 0, 0, 0x80, 0x3f];
        assert_eq!(usual_value(&value).map(|it| it.tag), Some(&b"t"[..]));
    }
}
