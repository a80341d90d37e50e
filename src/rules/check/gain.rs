//! The gain over depth that the weight norms imply: the blind spot of gradient slopes.
//!
//! In: profiles of weight norms, the last gradient norms. Out: `vanishing` or `exploding` per group of layers.
//! In a chain the signal over n layers is multiplied by the product of the gains, and the gain of a layer goes
//! with its Frobenius norm: |W| / sqrt(m) for m x m. Without biases all weight gradients share that product, so
//! their slope over depth is flat and only their level moves with it.
//! Invariant: weight norms alone say nothing. In a net with normalisation layers the weights
//! may grow at will, and gradients go against them as 1/|W|; only gradients whose level follows the product say
//! that the chain is real.

use super::depth_view::{DepthView, Subjects, median_width};
use super::{Build, CheckInfo, Context, Judged, Judgement, Observation, ParamInfo, ProfileCheck};
use crate::model::{Family, Group, Profile, Quantity};
use crate::rules::Rule;
use crate::stats::median_log;

/// Declaration for rule files.
pub static INFO: CheckInfo = CheckInfo {
    name: "gain",
    family: Family::Depth,
    kinds: &["vanishing", "exploding"],
    params: PARAMS,
    doc: "Sum over the layers of ln(weight norm), against the first profile; where the log tells the numbers of \
          elements, also sum of ln(|W| / sqrt m) by itself. Counts only when the level of the gradients agrees.",
    build: Build::Profile(build),
};

const PARAMS: &[ParamInfo] = &[
    ParamInfo {
        name: "factor",
        default: 1e3,
        min: 1.0,
        max: 1e300,
        doc: "Product of the gains over all layers, up or down. At the start it wanders by exp(sqrt(n/2)/m) only: \
              1.06 for 32 layers of width 64, where gradients wander by 1.6.",
    },
    ParamInfo {
        name: "agreement",
        default: 1e4,
        min: 1.0,
        max: 1e300,
        doc: "Factor by which the median gradient norm must have moved the same way since the start for a \
              warning, as in gradient-level.",
    },
    ParamInfo {
        name: "layers",
        default: 4.0,
        min: 2.0,
        max: 1e6,
        doc: "Fewest layers of a group.",
    },
    ParamInfo {
        name: "huge",
        default: 1e4,
        min: 0.0,
        max: 1e300,
        doc: "Median gradient norm that agrees with an implied explosion at the start.",
    },
    ParamInfo {
        name: "tiny",
        default: 1e-7,
        min: 0.0,
        max: 1e300,
        doc: "Median gradient norm that agrees with an implied collapse at the start.",
    },
];

/// Half of `ln 2`: what `ReLU` takes from the gain of a layer and He's initialisation gives back.
const RELU_LOG_GAIN: f64 = 0.346_573_590_279_972_64;
/// A loss that fell by this share: the net learns, whatever its weights do.
const LEARNT_SHARE: f64 = 0.5;

fn build(rule: &Rule) -> Box<dyn ProfileCheck> {
    let get = |name| rule.params.get(name);
    Box::new(Gain {
        ln_factor: get("factor").ln(),
        ln_agreement: get("agreement").ln(),
        layers: get("layers") as usize,
        huge: get("huge").ln(),
        tiny: get("tiny").ln(),
        subjects: Subjects::default(),
        starts: Vec::new(),
        view: DepthView::default(),
        scratch: Vec::new(),
    })
}

/// A group at its first complete profile.
#[derive(Debug, Clone, Copy)]
struct Start {
    n_layers: usize,
    log_product: f64,
    /// Median `ln` gradient norm beside it; `None` until gradients are logged.
    gradients: Option<f64>,
}

struct Gain {
    ln_factor: f64,
    ln_agreement: f64,
    layers: usize,
    huge: f64,
    tiny: f64,
    subjects: Subjects,
    /// By subject.
    starts: Vec<Option<Start>>,
    view: DepthView,
    scratch: Vec<f64>,
}

impl Gain {
    fn start(&mut self, subject: u32, log_product: f64, gradients: Option<f64>) -> Start {
        let place = subject as usize;
        if self.starts.len() <= place {
            self.starts.resize(place + 1, None);
        }
        let n_layers = self.view.n_usable();
        let now = Start {
            n_layers,
            log_product,
            gradients,
        };
        let Some(kept) = self.starts.get_mut(place) else {
            return now;
        };
        match kept {
            // More layers than at first: the old product is of another stack.
            Some(start) if start.n_layers == n_layers => {
                start.gradients = start.gradients.or(gradients);
                *start
            }
            _ => *kept.insert(now),
        }
    }

    fn judge(
        &mut self,
        profile: &Profile<'_>,
        group: &Group,
        subject: u32,
        context: &Context<'_>,
    ) -> Judgement {
        self.view.read(profile, group);
        let is_complete = self.view.n_usable() == self.view.n_layers;
        if !is_complete || self.view.n_layers < self.layers {
            return Judgement::Abstain;
        }
        self.view.take_logs();
        let log_product: f64 = self.view.logs.iter().sum();
        let gradients = self.gradient_level(context);
        let start = self.start(subject, log_product, gradients);
        let drift = log_product - start.log_product;
        if drift.abs() >= self.ln_factor {
            let moved = gradients.zip(start.gradients).map(|(now, then)| now - then);
            let agrees = moved.is_some_and(|moved| moved * drift.signum() >= self.ln_agreement);
            let learns = context.facts.loss.fell_share() >= LEARNT_SHARE;
            let is_sick = agrees && !learns;
            return if is_sick {
                self.bad(group, drift, "since the start")
            } else {
                Judgement::Good
            };
        }
        let implied = self.implied(profile, group, log_product);
        let has_extreme_level = gradients.is_some_and(|level| {
            (implied > 0.0 && level >= self.huge) || (implied < 0.0 && level <= self.tiny)
        });
        if implied.abs() >= self.ln_factor && has_extreme_level {
            return self.bad(group, implied, "from the shapes");
        }
        Judgement::Good
    }

    /// Implied `ln` gain of square layers beyond what either a linear or a `ReLU` net at its proper scale has;
    /// 0 when the log tells no shapes.
    fn implied(&mut self, profile: &Profile<'_>, group: &Group, log_product: f64) -> f64 {
        let n = self.view.n_layers as f64;
        let Some(width) = median_width(profile, group, &mut self.scratch) else {
            return 0.0;
        };
        let gain = log_product - 0.5 * n * width.ln();
        if gain > 0.0 {
            (gain - n * RELU_LOG_GAIN).max(0.0)
        } else {
            gain
        }
    }

    fn gradient_level(&mut self, context: &Context<'_>) -> Option<f64> {
        let gradients = context.profiles.latest(Quantity::GradNorm)?;
        self.scratch.clear();
        let norms = gradients.values.iter().flatten().copied();
        self.scratch
            .extend(norms.filter(|norm| norm.is_finite() && *norm > 0.0));
        median_log(&mut self.scratch)
    }

    fn bad(&self, group: &Group, log_gain: f64, since: &'static str) -> Judgement {
        let kind = if log_gain > 0.0 { "exploding" } else { "vanishing" };
        let bound = self.ln_factor * log_gain.signum();
        let observation = Observation::new(kind, log_gain.exp(), bound.exp())
            .slots(group.members.clone())
            .word("role", group.role.clone())
            .word("since", since);
        Judgement::Bad(observation)
    }
}

impl ProfileCheck for Gain {
    fn observe(&mut self, profile: &Profile<'_>, context: &Context<'_>, out: &mut Vec<Judged>) {
        let groups = profile.groups.iter().filter(|group| !is_vector(profile, group));
        for (place, group) in groups.enumerate() {
            let subject = self.subjects.number(profile, group, place);
            let judgement = self.judge(profile, group, subject, context);
            out.push(Judged {
                subject,
                step: profile.step,
                judgement,
            });
        }
    }

    fn rewind(&mut self, _step: i64) {
        // A restart continues the same net: its start stays.
    }
}

/// Biases and scales are no factors of the chain.
fn is_vector(profile: &Profile<'_>, group: &Group) -> bool {
    let parameter = group.parameter.as_deref();
    matches!(parameter, Some("scale" | "gamma" | "g")) || super::depth_view::is_bias_group(profile, group)
}

#[cfg(test)]
mod tests {
    use super::INFO;
    use crate::model::Quantity;
    use crate::rules::check::ProfileCheck;
    use crate::rules::check::profile_fixture::{Net, World, build, kinds};

    fn weights(norm: f64) -> Net {
        Net::weights(Quantity::WeightNorm, &[norm; 20])
    }

    fn beside(gradient: f64) -> World {
        World::default()
            .losses(&[2.3; 10])
            .latest(Net::weights(Quantity::GradNorm, &[gradient; 20]))
    }

    fn says(check: &mut dyn ProfileCheck, world: &World, net: &Net) -> Vec<&'static str> {
        kinds(&world.show(check, net, 9))
    }

    #[test]
    fn drift_counts_when_the_gradients_follow_it() {
        // 1000 over 20 layers is 1.4125 per layer.
        let mut check = build(&INFO, &[]);
        let mut says = |gradient: f64, norm: f64| says(check.as_mut(), &beside(gradient), &weights(norm));
        assert!(says(1.0, 8.0).is_empty());
        assert!(says(2e4, 8.0 * 1.411).is_empty(), "below the bound");
        assert!(
            says(0.1, 8.0 * 1.42).is_empty(),
            "normalised: gradients go against the weights"
        );
        assert!(says(0.9e4, 8.0 * 1.42).is_empty(), "gradients below their bound");
        assert_eq!(says(1.1e4, 8.0 * 1.42), ["exploding"]);
        assert_eq!(says(9e-5, 8.0 / 1.42), ["vanishing"]);
        assert!(says(1.0, 8.0).is_empty(), "recovers");
    }

    #[test]
    fn weights_that_grow_while_the_loss_falls_are_quiet() {
        let mut check = build(&INFO, &[]);
        let learning = |gradient: f64| {
            World::default()
                .losses(&[2.3, 2.3, 2.3, 0.5, 0.5, 0.5, 0.5])
                .latest(Net::weights(Quantity::GradNorm, &[gradient; 20]))
        };
        assert!(says(check.as_mut(), &learning(1.0), &weights(8.0)).is_empty());
        assert!(says(check.as_mut(), &learning(1e5), &weights(80.0)).is_empty());
    }

    #[test]
    fn shapes_tell_a_bad_start_when_the_gradients_agree() {
        // Width 64: a norm of 8 is gain 1, 11.3 is He's, 14.4 is gain 1.8 (1.27 beyond He's).
        let start = |norm: f64, gradient| {
            let net = Net::weights(Quantity::WeightNorm, &[norm; 32]).elements(4096.0);
            kinds(&beside(gradient).show(build(&INFO, &[]).as_mut(), &net, 0))
        };
        assert_eq!(start(14.4, 1e9), ["exploding"]);
        assert!(start(14.4, 1.0).is_empty(), "normalised");
        assert!(start(11.3, 1e9).is_empty() && start(8.0, 1e9).is_empty());
        assert_eq!(start(4.6, 1e-9), ["vanishing"]);
        assert!(start(4.6, 1e-2).is_empty(), "the usual start of a pre-norm net");
    }

    #[test]
    fn nan_zero_and_shallow_groups_are_not_judged() {
        let mut check = build(&INFO, &[]);
        let mut norms = vec![8.0; 20];
        norms[3] = f64::NAN;
        assert!(
            says(
                check.as_mut(),
                &beside(1.0),
                &Net::weights(Quantity::WeightNorm, &norms)
            )
            .is_empty()
        );
        assert!(says(check.as_mut(), &beside(1.0), &weights(8.0)).is_empty());
        norms.fill(1e9);
        norms[3] = 0.0;
        assert!(
            says(
                check.as_mut(),
                &beside(1e9),
                &Net::weights(Quantity::WeightNorm, &norms)
            )
            .is_empty()
        );
        let shallow = |norm| Net::weights(Quantity::WeightNorm, &[norm; 3]);
        let mut check = build(&INFO, &[]);
        assert!(says(check.as_mut(), &beside(1.0), &shallow(1.0)).is_empty());
        assert!(says(check.as_mut(), &beside(1e9), &shallow(1e9)).is_empty());
    }
}
