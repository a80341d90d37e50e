//! Tests of tensors: every numeric type against values worked out by hand or by the standard library.

use super::{Tensor, f16_value};
use crate::decode::event_write::{nested, tensor, varint_field};
use crate::decode::proto::Malformed;

fn single(message: &[u8]) -> Result<Option<f64>, Malformed> {
    Tensor::read(message)?.single()
}

fn with_value_field(dtype: u64, field: &[u8]) -> Vec<u8> {
    [varint_field(1, dtype), field.to_vec()].concat()
}

#[test]
fn contents_of_every_type_are_read() {
    let cases: [(u64, &[u8], f64); 18] = [
        (1, &1.5_f32.to_le_bytes(), 1.5),
        (2, &1e300_f64.to_le_bytes(), 1e300),
        (3, &(-7_i32).to_le_bytes(), -7.0),
        (4, &[200], 200.0),
        (5, &(-300_i16).to_le_bytes(), -300.0),
        (6, &[0xff], -1.0),
        (9, &(-7_i64).to_le_bytes(), -7.0),
        (10, &[1], 1.0),
        (14, &[0xc0, 0x3f], 1.5),
        (17, &65535_u16.to_le_bytes(), 65535.0),
        (19, &[0x00, 0x3e], 1.5),
        (22, &u32::MAX.to_le_bytes(), 4_294_967_295.0),
        (23, &(1_u64 << 63).to_le_bytes(), 9.223_372_036_854_776e18),
        (24, &[0x3e], 1.5),
        (25, &[0x3c], 1.5),
        (26, &[0x44], 1.5),
        (27, &[0x5c], 1.5),
        (28, &[0x42], 1.5),
    ];
    for (dtype, content, value) in cases {
        assert_eq!(
            single(&tensor(dtype, &[], content)),
            Ok(Some(value)),
            "dtype {dtype}"
        );
        assert_eq!(
            single(&tensor(dtype, &[1, 1, 1, 1], content)),
            Ok(Some(value)),
            "dtype {dtype}"
        );
        assert_eq!(
            single(&tensor(dtype, &[], &content.repeat(2))),
            Ok(None),
            "dtype {dtype}"
        );
        if content.len() > 1 {
            assert_eq!(
                single(&tensor(dtype, &[], &content[1..])),
                Err(Malformed),
                "dtype {dtype}"
            );
        }
    }
}

#[test]
fn value_fields_are_read_packed_and_unpacked() {
    let minus_seven = varint_field(7, -7_i64 as u64);
    let cases: [(u64, Vec<u8>, f64); 12] = [
        (1, nested(5, &1.5_f32.to_le_bytes()), 1.5),
        (1, [&[5 << 3 | 5][..], &1.5_f32.to_le_bytes()].concat(), 1.5),
        (2, nested(6, &1.5_f64.to_le_bytes()), 1.5),
        (2, [&[6 << 3 | 1][..], &1.5_f64.to_le_bytes()].concat(), 1.5),
        (3, minus_seven.clone(), -7.0),
        (3, nested(7, &minus_seven[1..]), -7.0),
        (9, varint_field(10, -7_i64 as u64), -7.0),
        (10, varint_field(11, 1), 1.0),
        (14, varint_field(13, 0x3fc0), 1.5),
        (19, varint_field(13, 0x3e00), 1.5),
        (23, varint_field(17, 7), 7.0),
        (25, nested(18, &[0x3c]), 1.5),
    ];
    for (dtype, field, value) in cases {
        assert_eq!(
            single(&with_value_field(dtype, &field)),
            Ok(Some(value)),
            "dtype {dtype} {field:?}"
        );
    }
}

#[test]
fn tensors_that_are_no_single_number_have_none() {
    let number = 1.0_f32.to_le_bytes();
    for dims in [&[3][..], &[1, 3], &[0], &[1, 1, 2], &[u64::MAX]] {
        assert_eq!(single(&tensor(1, dims, &number)), Ok(None), "{dims:?}");
    }
    for dtype in [0, 7, 8, 11, 18, 20, 21, 29, 99] {
        assert_eq!(single(&tensor(dtype, &[], &number)), Ok(None), "dtype {dtype}");
    }
    let two_values = [varint_field(13, 1), varint_field(13, 1)].concat();
    assert_eq!(single(&with_value_field(19, &two_values)), Ok(None));
    assert_eq!(
        single(&with_value_field(1, &nested(5, &[1, 2, 3]))),
        Err(Malformed)
    );
    assert_eq!(single(&with_value_field(3, &nested(7, &[0x80]))), Err(Malformed));
    assert_eq!(single(&[0x12, 0x05, 0]), Err(Malformed));
}

#[test]
fn a_number_left_out_is_zero() {
    assert_eq!(single(&varint_field(1, 1)), Ok(Some(0.0)));
}

#[test]
fn half_precision_covers_subnormals_and_specials() {
    assert_eq!(f16_value(0x0001), 2.0_f64.powi(-24));
    assert_eq!(f16_value(0x03ff), 1023.0 * 2.0_f64.powi(-24));
    assert_eq!(f16_value(0x0400), 2.0_f64.powi(-14));
    assert_eq!(f16_value(0x7bff), 65504.0);
    assert_eq!(f16_value(0xfc00), f64::NEG_INFINITY);
    assert!(f16_value(0x7c01).is_nan());
    assert!(f16_value(0x8000).is_sign_negative());
}

#[test]
fn eight_bit_floats_have_their_own_extremes() {
    // Largest, smallest subnormal: table 1 of arXiv:2209.05433 for 24 and 25, ml_dtypes' finfo for the others.
    let cases = [
        (24, 0x7b, 57344.0),
        (24, 0x01, 2.0_f64.powi(-16)),
        (24, 0x7c, f64::INFINITY),
        (25, 0x7e, 448.0),
        (25, 0x01, 2.0_f64.powi(-9)),
        (26, 0x7f, 240.0),
        (26, 0x01, 2.0_f64.powi(-10)),
        (27, 0x7f, 30.0),
        (27, 0x01, 2.0_f64.powi(-13)),
        (28, 0x7f, 57344.0),
        (28, 0x01, 2.0_f64.powi(-17)),
    ];
    for (dtype, bits, value) in cases {
        assert_eq!(
            single(&tensor(dtype, &[], &[bits])),
            Ok(Some(value)),
            "dtype {dtype} {bits:#x}"
        );
        if bits != 0x7c {
            assert_eq!(
                single(&tensor(dtype, &[], &[bits | 0x80])),
                Ok(Some(-value)),
                "dtype {dtype} {bits:#x}"
            );
        }
    }
    for (dtype, bits) in [
        (24, 0x7d),
        (24, 0xff),
        (25, 0x7f),
        (25, 0xff),
        (26, 0x80),
        (27, 0x80),
        (28, 0x80),
    ] {
        let value = single(&tensor(dtype, &[], &[bits])).unwrap().unwrap();
        assert!(value.is_nan(), "dtype {dtype} {bits:#x}: {value}");
    }
}
