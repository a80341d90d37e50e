//! Random numbers that stay the same: xoshiro256++ seeded through splitmix64 (Blackman and Vigna 2019).
//!
//! In: a seed and the number of a stream. Out: uniform, normal and chi-squared numbers. Invariant: a seed
//! gives the same numbers in every version of this program. That is why no crate is used: the common ones
//! reserve the right to change the values that a seed gives, and thresholds here are published with seeds.

/// A deterministic stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    state: [u64; 4],
    spare: Option<f64>,
}

impl Rng {
    /// The first stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// Stream `index` of a seed; streams are unrelated, so that repetitions may run in any order.
    #[must_use]
    pub fn stream(seed: u64, index: u64) -> Self {
        let mut mixed = splitmix(seed) ^ splitmix(index.wrapping_add(0x5851_f42d_4c95_7f2d));
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            splitmix(mixed)
        });
        Self { state, spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Standard normal, by the polar method (Marsaglia and Bray 1964).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = u * u + v * v;
            if square < 1.0 && square > 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// Chi-squared with `degrees` degrees of freedom, 0 for none (Marsaglia and Tsang 2000).
    pub fn chi_squared(&mut self, degrees: f64) -> f64 {
        if degrees < 2.0 {
            return self.small_chi_squared(degrees);
        }
        let shape = 0.5 * degrees - 1.0 / 3.0;
        let width = 1.0 / (9.0 * shape).sqrt();
        loop {
            let normal = self.normal();
            let cube = (1.0 + width * normal).powi(3);
            if cube > 0.0 {
                let accept = 0.5 * normal * normal + shape * (1.0 - cube + cube.ln());
                if self.uniform().ln() < accept {
                    return 2.0 * shape * cube;
                }
            }
        }
    }

    /// Below 2 degrees: `chi2(d) = chi2(d + 2) * U^(2/d)`.
    fn small_chi_squared(&mut self, degrees: f64) -> f64 {
        if degrees > 0.0 {
            let boosted = self.chi_squared(degrees + 2.0);
            boosted * self.uniform().powf(2.0 / degrees)
        } else {
            0.0
        }
    }
}

fn splitmix(seed: u64) -> u64 {
    let mut z = seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Rng;

    /// Reference output of xoshiro256++ 1.0 (C, prng.di.unimi.it) from the state 1, 2, 3, 4.
    #[test]
    fn bits_are_those_of_the_published_generator() {
        let mut rng = Rng {
            state: [1, 2, 3, 4],
            spare: None,
        };
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
        ];
        assert_eq!(std::array::from_fn(|_| rng.bits()), expected);
    }

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let n = 200_000;
        let (sum, squares) = (0..n).fold((0.0, 0.0), |(sum, squares), _| {
            let value = draw();
            (sum + value, squares + value * value)
        });
        let mean = sum / f64::from(n);
        (mean, squares / f64::from(n) - mean * mean)
    }

    /// Bounds are five standard errors of mean and variance.
    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(7);
        let (mean, variance) = moments(|| rng.normal());
        assert!(mean.abs() < 5.0 * 200_000f64.sqrt().recip(), "{mean}");
        assert!(
            (variance - 1.0).abs() < 5.0 * (2.0 / 200_000f64).sqrt(),
            "{variance}"
        );
        for degrees in [0.5, 1.0, 3.0, 64.0, 1e6] {
            let (mean, variance) = moments(|| rng.chi_squared(degrees));
            assert!(
                (mean - degrees).abs() < 5.0 * (2.0 * degrees / 200_000.0).sqrt(),
                "{degrees}: {mean}"
            );
            let spread = (8.0 * degrees * degrees + 48.0 * degrees) / 200_000.0;
            assert!(
                (variance - 2.0 * degrees).abs() < 5.0 * spread.sqrt(),
                "{degrees}: {variance}"
            );
        }
        assert_eq!(rng.chi_squared(0.0), 0.0);
    }

    #[test]
    fn streams_differ_and_repeat() {
        let first: [u64; 4] = std::array::from_fn(|i| Rng::stream(3, i as u64).bits());
        let again: [u64; 4] = std::array::from_fn(|i| Rng::stream(3, i as u64).bits());
        assert_eq!(first, again);
        assert!(
            first
                .iter()
                .enumerate()
                .all(|(i, bits)| !first[..i].contains(bits))
        );
        assert_ne!(Rng::stream(3, 0).bits(), Rng::stream(4, 0).bits());
    }
}
