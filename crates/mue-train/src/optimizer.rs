//! AdamW (Loshchilov and Hutter 2019) over host parameters, with clipping and averaging.

use rayon::prelude::*;

use crate::config::OptimizerConfig;
use crate::parameters::{GradientVectors, Parameter, Parameters};

/// Adds up gradients of several groups, scaled, in order.
pub(crate) fn mean_gradients(groups: Vec<GradientVectors>) -> GradientVectors {
    let scale = 1.0 / groups.len().max(1) as f32;
    let mut groups = groups.into_iter();
    let Some(mut sum) = groups.next() else { return Vec::new() };
    for group in groups {
        sum.par_iter_mut().zip(group).for_each(|(sum, gradient)| match (sum.as_mut(), gradient) {
            (Some(sum), Some(gradient)) => {
                sum.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
            }
            (None, gradient) => *sum = gradient,
            (Some(_), None) => {}
        });
    }
    sum.par_iter_mut().flatten().for_each(|values| {
        values.iter_mut().for_each(|value| *value *= scale);
    });
    sum
}

/// Norm of all gradients together.
pub(crate) fn norm(gradients: &GradientVectors) -> f32 {
    let squares: Vec<f64> = gradients
        .par_iter()
        .flatten()
        .map(|values| values.iter().map(|value| f64::from(*value).powi(2)).sum())
        .collect();
    squares.iter().sum::<f64>().sqrt() as f32
}

/// One update at a learning rate; returns the norm of the gradients before clipping.
///
/// Parameters without a gradient (layers behind a branch's depth) stay as they are.
pub(crate) fn update(
    parameters: &mut Parameters,
    gradients: &GradientVectors,
    config: &OptimizerConfig,
    (rate, step): (f32, u64),
) -> f32 {
    let norm = norm(gradients);
    let clip = match config.clip_norm {
        limit if limit > 0.0 && norm > limit => limit / norm,
        _ => 1.0,
    };
    // Early on, when the weights move far, an average over few of them.
    let decay = config.ema_decay.min((1 + step) as f32 / (10 + step) as f32);
    parameters.0.par_iter_mut().zip(gradients).for_each(|(parameter, gradient)| {
        if let Some(gradient) = gradient {
            step_one(parameter, gradient, config, [rate, clip]);
        }
        let Parameter { values, average, .. } = parameter;
        average.iter_mut().zip(values).for_each(|(average, value)| {
            *average += (1.0 - decay) * (*value - *average);
        });
    });
    norm
}

fn step_one(
    parameter: &mut Parameter,
    gradient: &[f32],
    config: &OptimizerConfig,
    [rate, clip]: [f32; 2],
) {
    parameter.updates += 1;
    let [beta_1, beta_2] = config.betas;
    let steps = parameter.updates.min(i32::MAX as u64) as i32;
    let corrections = [1.0 - beta_1.powi(steps), 1.0 - beta_2.powi(steps)];
    let matrix = parameter.shape.len() > 1;
    let kept = if matrix { 1.0 - rate * config.weight_decay } else { 1.0 };
    let [means, squares] = &mut parameter.moments;
    let state = parameter.values.iter_mut().zip(means).zip(squares);
    for (((value, mean), square), gradient) in state.zip(gradient) {
        let gradient = gradient * clip;
        *mean = beta_1 * *mean + (1.0 - beta_1) * gradient;
        *square = beta_2 * *square + (1.0 - beta_2) * gradient * gradient;
        let root = (*square / corrections[1]).sqrt() + config.epsilon;
        *value = kept * *value - rate * (*mean / corrections[0]) / root;
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn updates_are_those_of_burns_adamw() {
        let device = Device::flex().autodiff();
        let mut theirs = LinearConfig::new(5, 3).with_bias(false).init(&device);
        let mut ours = Parameters::of(&theirs);
        let config = OptimizerConfig { clip_norm: 0.0, weight_decay: 0.3, ..Default::default() };
        let mut optimizer = AdamWConfig::new()
            .with_beta_1(config.betas[0])
            .with_beta_2(config.betas[1])
            .with_epsilon(config.epsilon)
            .with_weight_decay(config.weight_decay)
            .init();
        for step in 0..20 {
            let input = Tensor::<2>::ones([2, 5], &device) * (step as f32 - 7.5);
            let loss = |module: &burn::nn::Linear| {
                (module.forward(input.clone()) - 1.0).powf_scalar(2.0).sum()
            };
            let filled = ours.fill(theirs.clone(), &device);
            let gradients = Parameters::gradients(&filled, loss(&filled).backward());
            update(&mut ours, &gradients, &config, (0.01, step));
            let gradients = GradientsParams::from_grads(loss(&theirs).backward(), &theirs);
            theirs = optimizer.step(0.01, theirs, gradients);
        }
        let expected = Parameters::of(&theirs);
        for (ours, theirs) in ours.0[0].values.iter().zip(&expected.0[0].values) {
            assert!((ours - theirs).abs() < 1e-5, "{ours} against {theirs}");
        }
    }

    #[test]
    fn groups_are_averaged_and_a_missing_gradient_counts_as_zero() {
        let mean = mean_gradients(vec![
            vec![Some(vec![1.0, 3.0]), None, None],
            vec![Some(vec![3.0, 5.0]), Some(vec![4.0]), None],
        ]);
        assert_eq!(mean, [Some(vec![2.0, 4.0]), Some(vec![2.0]), None]);
        assert_eq!(norm(&mean), 24f32.sqrt());
    }
}
