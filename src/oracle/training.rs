//! The parts of training around a network, in f64: losses with their gradients, clipping, optimizers and schedules.

/// Mean squared error, mean((p - t)^2) over all elements, and its gradient for the prediction, 2 (p - t) / n (Goodfellow,
/// Bengio and Courville 2016, Deep Learning, section 5.1.4; `torch.nn.MSELoss`).
///
/// # Panics
/// Where the slices differ in length.
#[must_use]
pub fn mean_squared_error(prediction: &[f32], target: &[f32]) -> (f64, Vec<f64>) {
    assert_eq!(prediction.len(), target.len(), "lengths of a prediction and its target");
    let count = prediction.len() as f64;
    let difference: Vec<_> = prediction.iter().zip(target).map(|(p, t)| f64::from(*p) - f64::from(*t)).collect();
    let loss = difference.iter().map(|d| d * d).sum::<f64>() / count;
    (loss, difference.iter().map(|d| 2.0 * d / count).collect())
}

/// Cross-entropy, the mean of ln(sum(exp(row))) - row\[target\] over rows of `classes` logits, and its gradient for the
/// logits, (softmax(row) - onehot(target)) / rows (Goodfellow, Bengio and Courville 2016, section 6.2.2.3;
/// `torch.nn.CrossEntropyLoss`). Both keep their digits where the target has nearly all the probability.
///
/// # Panics
/// Where there is not one target for each row, or one is not below `classes`.
#[must_use]
pub fn cross_entropy(logits: &[f32], classes: usize, targets: &[usize]) -> (f64, Vec<f64>) {
    assert_eq!(logits.len(), targets.len() * classes, "lengths of logits and of their targets");
    assert!(targets.iter().all(|target| *target < classes), "a target that is no class");
    let rows = targets.len() as f64;
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (row, target) in logits.chunks(classes.max(1)).zip(targets) {
        let largest = (0..classes).fold(0, |best, i| if row[i].total_cmp(&row[best]).is_gt() { i } else { best });
        let powers: Vec<_> = row.iter().map(|x| libm::exp(f64::from(*x) - f64::from(row[largest]))).collect();
        // The sum of all powers but one.
        let without = |class: usize| powers.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, power)| power).sum::<f64>();
        loss += f64::from(row[largest]) - f64::from(row[*target]) + libm::log1p(without(largest));
        let sum = 1.0 + without(largest);
        gradient.extend(powers.iter().enumerate().map(|(i, power)| {
            let difference = if i == *target { -without(i) } else { *power };
            difference / sum / rows
        }));
    }
    (loss / rows, gradient)
}

/// A step of stochastic gradient descent, as `torch.optim.SGD` without dampening (momentum: Polyak 1964, in the form of
/// Sutskever et al. 2013): g += decay w, v = momentum v + g, w -= rate v. A velocity starts as zeros; where the momentum is
/// 0, it is not touched and may be empty.
///
/// # Panics
/// Where the slices differ in length.
pub fn sgd(weight: &mut [f64], gradient: &[f64], velocity: &mut [f64], learning_rate: f64, momentum: f64, weight_decay: f64) {
    assert_eq!(weight.len(), gradient.len(), "lengths of a weight and its gradient");
    assert!(momentum == 0.0 || velocity.len() == weight.len(), "length of a velocity");
    for (i, w) in weight.iter_mut().enumerate() {
        let mut update = gradient[i] + weight_decay * *w;
        if momentum != 0.0 {
            velocity[i] = momentum * velocity[i] + update;
            update = velocity[i];
        }
        *w -= learning_rate * update;
    }
}

/// Settings of [`adamw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The factor of an update.
    pub learning_rate: f64,
    /// What is kept of the mean of gradients.
    pub beta1: f64,
    /// What is kept of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squares.
    pub epsilon: f64,
    /// Share of a weight, times the learning rate, that a step takes off.
    pub weight_decay: f64,
}

/// A step of AdamW, as `torch.optim.AdamW` (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2): w *= 1 - rate decay,
/// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + epsilon).
/// Steps count from 1; m and v start as zeros.
///
/// # Panics
/// Where the slices differ in length.
pub fn adamw(weight: &mut [f64], gradient: &[f64], m: &mut [f64], v: &mut [f64], step: u32, settings: &AdamW) {
    let AdamW { learning_rate, beta1, beta2, epsilon, weight_decay } = *settings;
    assert!([gradient.len(), m.len(), v.len()] == [weight.len(); 3], "lengths of a weight, its gradient and its means");
    let unbiased = |mean: f64, beta: f64| mean / (1.0 - libm::pow(beta, f64::from(step)));
    for (i, w) in weight.iter_mut().enumerate() {
        let g = gradient[i];
        *w *= 1.0 - learning_rate * weight_decay;
        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
        *w -= learning_rate * unbiased(m[i], beta1) / (unbiased(v[i], beta2).sqrt() + epsilon);
    }
}

/// The Euclidean norm of all gradients together, and the factor that brings it down to `max_norm`: min(1, max / norm)
/// (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, algorithm 1; `torch.nn.utils.clip_grad_norm_` without the 1e-6 that
/// it adds to the norm). NaN gives NaN.
#[must_use]
pub fn clip_factor(gradients: &[&[f64]], max_norm: f64) -> (f64, f64) {
    let norm = gradients.iter().copied().flatten().map(|g| g * g).sum::<f64>().sqrt();
    (norm, if norm <= max_norm { 1.0 } else { max_norm / norm })
}

/// How a learning rate falls after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// It stays.
    None,
    /// Along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts).
    Cosine {
        /// Where it ends and stays.
        minimum: f64,
        /// The step at which it ends, warm-up included.
        total: u32,
    },
}

/// The learning rate of a step, counted from 0: base (step + 1) / warm_up for the first `warm_up` steps (Goyal et al. 2017,
/// arXiv:1706.02677, section 2.2), then base, or along the cosine
/// minimum + (base - minimum) (1 + cos(pi (step - warm_up) / (total - warm_up))) / 2.
#[must_use]
pub fn learning_rate(step: u32, base: f64, warm_up: u32, decay: Decay) -> f64 {
    if step < warm_up {
        return base * (f64::from(step) + 1.0) / f64::from(warm_up);
    }
    match decay {
        Decay::None => base,
        Decay::Cosine { minimum, total } if step >= total => minimum,
        Decay::Cosine { minimum, total } => {
            let done = f64::from(step - warm_up) / f64::from(total - warm_up);
            minimum + (base - minimum) * (1.0 + libm::cos(std::f64::consts::PI * done)) / 2.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Random;

    /// Multiples of 1/64 in [-4, 4), so that adding multiples of H is exact.
    fn coarse(random: &mut Random, count: usize) -> Vec<f32> {
        (0..count).map(|_| random.uniform(-256.0, 256.0).floor() / 64.0).collect()
    }

    /// Width of a difference, 2^-8.
    const H: f32 = 1.0 / 256.0;

    /// The five-point central differences of a loss at each element of x.
    fn differences(x: &[f32], loss: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        let moved = |i: usize, by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            loss(&x)
        };
        let at = |i| (8.0 * (moved(i, H) - moved(i, -H)) - (moved(i, 2.0 * H) - moved(i, -2.0 * H))) / (12.0 * f64::from(H));
        (0..x.len()).map(at).collect()
    }

    fn near(got: &[f64], want: &[f64], bound: f64) {
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert!((got - want).abs() <= bound, "{i}: {got} {want}");
        }
    }

    #[test]
    fn losses_by_hand() {
        let (loss, gradient) = mean_squared_error(&[1.0, 2.0, -3.0, 0.0], &[1.0, 4.0, -2.0, 0.5]);
        assert_eq!((loss, gradient), (5.25 / 4.0, vec![0.0, -1.0, -0.5, -0.25]));
        // Equal logits: ln 3 whatever the target. Logits 0 and ln 3 (of f32): probabilities 1/4 and 3/4.
        let (loss, gradient) = cross_entropy(&[7.0; 6], 3, &[0, 2]);
        assert!((loss - libm::log(3.0)).abs() < 1e-15);
        near(&gradient, &[-1.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, -1.0 / 3.0], 1e-16);
        let (loss, gradient) = cross_entropy(&[0.0, 3.0_f32.ln()], 2, &[0]);
        assert!((loss - libm::log(4.0)).abs() < 1e-7);
        near(&gradient, &[-0.75, 0.75], 1e-7);
    }

    #[test]
    fn gradients_of_losses_are_those_of_the_value() {
        let mut random = Random::new(5);
        let (x, t) = (coarse(&mut random, 21), coarse(&mut random, 21));
        near(&differences(&x, |x| mean_squared_error(x, &t).0), &mean_squared_error(&x, &t).1, 1e-12);
        let targets = [6, 0, 3];
        let gradient = cross_entropy(&x, 7, &targets).1;
        near(&differences(&x, |x| cross_entropy(x, 7, &targets).0), &gradient, 1e-10);
        near(&gradient.chunks(7).map(|row| row.iter().sum()).collect::<Vec<_>>(), &[0.0; 3], 1e-16);
    }

    #[test]
    fn cross_entropy_survives_the_far_ends() {
        // exp(-80) = 1.8e-35: far below the last digit of 1, and the whole of the loss.
        let (tiny, power) = (cross_entropy(&[1e4, 9920.0], 2, &[0]), libm::exp(-80.0));
        assert!((tiny.0 / power - 1.0).abs() < 1e-15 && (-tiny.1[0] / power - 1.0).abs() < 1e-15 && tiny.1[0] == -tiny.1[1]);
        assert_eq!(cross_entropy(&[-3e38, 3e38], 2, &[0]), (2.0 * f64::from(3e38_f32), vec![-1.0, 1.0]));
        assert_eq!(cross_entropy(&[1.0, f32::NEG_INFINITY], 2, &[0]), (0.0, vec![0.0, 0.0]));
        assert!(cross_entropy(&[1.0, f32::NAN], 2, &[0]).0.is_nan());
    }

    #[test]
    fn sgd_by_hand() {
        let (mut plain, mut heavy, mut velocity) = ([2.0], [2.0], [0.0]);
        sgd(&mut plain, &[1.0], &mut [], 0.5, 0.0, 0.25);
        assert_eq!(plain, [1.25]);
        // g = 1 + 2/4, v = 3/2, w = 2 - 3/4; then g = -1 + 5/16, v = 3/4 - 11/16, w = 5/4 - 1/32.
        sgd(&mut heavy, &[1.0], &mut velocity, 0.5, 0.5, 0.25);
        assert_eq!((heavy, velocity), ([1.25], [1.5]));
        sgd(&mut heavy, &[-1.0], &mut velocity, 0.5, 0.5, 0.25);
        assert_eq!((heavy, velocity), ([1.21875], [0.0625]));
    }

    #[test]
    fn adamw_by_hand() {
        // Halves as betas. Step 1, g = 1: m = v = 1/2, unbiased 1 and 1. Step 2, g = 3: m = 1/4 + 3/2, v = 1/4 + 9/2, unbiased
        // (7/4) / (3/4) = 7/3 and (19/4) / (3/4) = 19/3. A step first takes 0.1 * 0.5 of the weight off.
        let settings = AdamW { learning_rate: 0.1, beta1: 0.5, beta2: 0.5, epsilon: 0.25, weight_decay: 0.5 };
        let (mut w, mut m, mut v) = ([2.0], [0.0], [0.0]);
        adamw(&mut w, &[1.0], &mut m, &mut v, 1, &settings);
        near(&w, &[2.0 * 0.95 - 0.1 / 1.25], 1e-15);
        adamw(&mut w, &[3.0], &mut m, &mut v, 2, &settings);
        assert_eq!((m, v), ([1.75], [4.75]));
        near(&w, &[1.82 * 0.95 - 0.1 * (7.0 / 3.0) / ((19.0_f64 / 3.0).sqrt() + 0.25)], 1e-15);
    }

    #[test]
    fn adamw_with_its_usual_settings() {
        // Fifty digits of arithmetic on the same formula: weights 0.5 and -2, three steps.
        let settings = AdamW { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let (mut w, mut m, mut v) = ([0.5, -2.0], [0.0; 2], [0.0; 2]);
        for (step, gradient) in [[0.1, -3.0], [-0.2, 0.5], [0.3, 1e-6]].iter().enumerate() {
            adamw(&mut w, gradient, &mut m, &mut v, step as u32 + 1, &settings);
        }
        near(&w, &[0.4990078790283399, -1.9979851975633123], 1e-15);
    }

    #[test]
    fn clipping_is_to_the_norm() {
        assert_eq!(clip_factor(&[&[3.0], &[], &[0.0, -4.0]], 2.0), (5.0, 0.4));
        assert_eq!(clip_factor(&[&[3.0, 4.0]], 5.0), (5.0, 1.0));
        assert_eq!(clip_factor(&[&[0.0]], 0.0), (0.0, 1.0));
        assert_eq!(clip_factor(&[&[f64::INFINITY]], 1.0), (f64::INFINITY, 0.0));
        assert!(clip_factor(&[&[f64::NAN]], 1.0).1.is_nan());
    }

    #[test]
    fn schedules_meet_at_their_ends() {
        let cosine = Decay::Cosine { minimum: 0.5, total: 12 };
        let rates: Vec<_> = [0, 2, 3, 4, 8, 12, 13, u32::MAX].map(|step| learning_rate(step, 2.0, 4, cosine)).to_vec();
        near(&rates, &[0.5, 1.5, 2.0, 2.0, 1.25, 0.5, 0.5, 0.5], 1e-15);
        // A quarter of the way: (1 + sqrt(1/2)) / 2 of the distance.
        near(&[learning_rate(6, 2.0, 4, cosine)], &[0.5 + 1.5 * (1.0 + 0.5_f64.sqrt()) / 2.0], 1e-15);
        assert_eq!([0, 1, 2, 1000].map(|step| learning_rate(step, 2.0, 2, Decay::None)), [1.0, 2.0, 2.0, 2.0]);
        assert_eq!([0, 1000].map(|step| learning_rate(step, 2.0, 0, Decay::None)), [2.0; 2]);
        // A warm-up longer than everything.
        assert_eq!([5, 9, 10].map(|step| learning_rate(step, 2.0, 10, Decay::Cosine { minimum: 0.0, total: 3 })), [1.2, 2.0, 0.0]);
    }
}
