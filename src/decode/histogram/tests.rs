//! Tests of histograms: exact norms, bounds that hold, NaN that is seen.

use proptest::collection::vec;
use proptest::prelude::{prop_assert, proptest};

use super::{Norm, read_bucket_tensor, read_histogram};
use crate::decode::event_write::{double_field, nested, tensor};
use crate::decode::proto::Malformed;
use crate::decode::tensor::Tensor;
use crate::model::Form;

fn packed(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// min, max, num, `sum_squares`; limits; counts.
fn histogram(fields: [f64; 4], limits: &[f64], counts: &[f64]) -> Result<Norm, Malformed> {
    let [min, max, n_elements, sum_squares] = fields;
    let message = [
        double_field(1, min),
        double_field(2, max),
        double_field(3, n_elements),
        double_field(5, sum_squares),
        nested(6, &packed(limits)),
        nested(7, &packed(counts)),
    ];
    read_histogram(&message.concat())
}

fn buckets(rows: &[[f64; 3]]) -> Option<(f64, Form)> {
    let message = tensor(2, &[rows.len() as u64, 3], &packed(rows.as_flattened()));
    read_bucket_tensor(&Tensor::read(&message).unwrap())
        .unwrap()
        .unwrap()
}

#[test]
fn sum_squares_gives_the_exact_norm() {
    let norm = histogram([-0.5, 2.0, 5.0, 9.0], &[0.0, 2.0], &[1.0, 4.0]);
    assert_eq!(norm, Ok(Some((3.0, Form::Tensor { n_elements: 5.0 }))));
    let zeros = histogram([0.0, 0.0, 8.0, 0.0], &[0.0, 1e-12], &[0.0, 8.0]);
    assert_eq!(zeros, Ok(Some((0.0, Form::Tensor { n_elements: 8.0 }))));
    // The buckets are not read: they may be anything.
    assert!(histogram([0.0, 1.0, 1.0, 1.0], &[1.0], &[]).is_ok());
}

#[test]
fn nan_and_infinity_in_the_tensor_reach_the_norm() {
    let nan = histogram([f64::NAN, f64::NAN, 5.0, f64::NAN], &[], &[]);
    assert!(nan.unwrap().unwrap().0.is_nan());
    let without_squares = histogram([f64::NAN, f64::NAN, 5.0, 0.0], &[0.0], &[5.0]);
    assert!(without_squares.unwrap().unwrap().0.is_nan());
    let infinite = histogram([0.0, f64::INFINITY, 5.0, f64::INFINITY], &[], &[]);
    assert_eq!(
        infinite,
        Ok(Some((f64::INFINITY, Form::Tensor { n_elements: 5.0 })))
    );
}

#[test]
fn a_missing_sum_of_squares_falls_back_to_the_buckets() {
    let norm = histogram([-1.0, 2.0, 3.0, 0.0], &[0.0, 1.0, f64::MAX], &[1.0, 0.0, 2.0]);
    let (_, form) = norm.unwrap().unwrap();
    // One element in [-1, 0], two in [1, 2].
    let expected = Form::Buckets {
        low: 2.0_f64.sqrt(),
        high: 9.0_f64.sqrt(),
        max_abs: 2.0,
        n_elements: 3.0,
    };
    assert_eq!(form, expected);
    assert_eq!(
        histogram([-1.0, 2.0, 3.0, 0.0], &[0.0, 1.0], &[1.0]),
        Err(Malformed)
    );
}

#[test]
fn empty_tensors_have_no_norm_and_negative_squares_are_malformed() {
    assert_eq!(histogram([0.0; 4], &[], &[]), Ok(None));
    assert_eq!(buckets(&[]), None);
    assert_eq!(buckets(&[[0.0; 3]; 30]), None);
    assert_eq!(histogram([0.0, 1.0, 2.0, -1.0], &[], &[]), Err(Malformed));
}

#[test]
fn buckets_give_bounds_and_the_midpoint() {
    let (norm, form) = buckets(&[[-2.0, -1.0, 1.0], [-1.0, 1.0, 6.0], [1.0, 2.0, 1.0]]).unwrap();
    assert!((norm - 4.5_f64.sqrt()).abs() < 1e-15);
    let expected = Form::Buckets {
        low: 2.0_f64.sqrt(),
        high: 14.0_f64.sqrt(),
        max_abs: 2.0,
        n_elements: 8.0,
    };
    assert_eq!(form, expected);
}

#[test]
fn a_constant_tensor_is_exact_to_the_rounding() {
    let rows: Vec<[f64; 3]> = (0..30)
        .map(|row| [0.25, 0.25, if row == 29 { 16.0 } else { 0.0 }])
        .collect();
    let expected = Form::Buckets {
        low: 1.0,
        high: 1.0,
        max_abs: 0.25,
        n_elements: 16.0,
    };
    assert_eq!(buckets(&rows), Some((1.0, expected)));
}

#[test]
fn edges_of_nan_are_a_norm_of_nan() {
    let (norm, form) = buckets(&[[f64::NAN, f64::NAN, 0.0]; 30]).unwrap();
    assert!(norm.is_nan());
    assert!(matches!(form, Form::Buckets { low, high, .. } if low.is_nan() && high.is_nan()));
    let (norm, _) = buckets(&[[0.0, 1.0, 2.0], [1.0, f64::INFINITY, 0.0]]).unwrap();
    assert_eq!(norm, f64::INFINITY);
}

#[test]
fn other_shapes_are_no_histogram() {
    let rows = packed(&[1.0; 6]);
    for dims in [&[6][..], &[3, 2], &[2, 3, 1], &[3, 3], &[u64::MAX, 3]] {
        let message = tensor(2, dims, &rows);
        assert_eq!(
            read_bucket_tensor(&Tensor::read(&message).unwrap()),
            Ok(None),
            "{dims:?}"
        );
    }
}

/// Thirty equal buckets between the extremes, as TensorBoard's `summary_v2` makes them.
fn thirty_buckets(values: &[f64]) -> Vec<[f64; 3]> {
    let (min, max) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
    let width = (max - min) / 30.0;
    let edge = |index: usize| {
        if index == 30 {
            max
        } else {
            min + width * index as f64
        }
    };
    let is_in = |index: usize, value: f64| {
        value >= edge(index) && (value < edge(index + 1) || (index == 29 && value <= max))
    };
    (0..30)
        .map(|index| {
            let count = values.iter().filter(|value| is_in(index, **value)).count();
            [edge(index), edge(index + 1), count as f64]
        })
        .collect()
}

proptest! {
    #[test]
    fn the_true_norm_is_within_the_bounds(values in vec(-1e3_f64..1e3, 2..200)) {
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let (estimate, form) = buckets(&thirty_buckets(&values)).unwrap();
        let Form::Buckets { low, high, max_abs, n_elements } = form else { panic!("buckets") };
        let slack = 1e-9 * norm;
        prop_assert!(low <= norm + slack && norm <= high + slack, "{low} {norm} {high}");
        prop_assert!(low <= estimate && estimate <= high);
        prop_assert!((max_abs - values.iter().fold(0.0_f64, |a, v| a.max(v.abs()))).abs() < 1e-9);
        prop_assert!((n_elements - values.len() as f64).abs() < 0.5);
    }
}
