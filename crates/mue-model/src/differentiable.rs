//! Functions of the layers in the form that is cheapest to differentiate.
//!
//! Without autodiff they are those of `host`, which are faster and have no gradient.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::host;

/// A linear layer.
///
/// Batch and tokens become one dimension first: while training, burn would otherwise compute the
/// weight's gradient once per row of the batch to add them all up.
///
/// # Shapes
///
/// `[batch, tokens, in]` to `[batch, tokens, out]`
pub(crate) fn project(linear: &Linear, input: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, inputs] = input.dims();
    let output = linear.forward(input.reshape([batch * tokens, inputs]));
    let outputs = output.dims()[1];
    output.reshape([batch, tokens, outputs])
}

/// GELU with the error function.
///
/// While training, the slope is computed along with the value, since both take the same error
/// function, the most expensive thing that a layer does point by point.
pub(crate) fn gelu(input: Tensor<3>) -> Tensor<3> {
    if !input.is_autodiff() {
        return host::gelu(input);
    }
    let x = input.clone().inner();
    let below = (x.clone() * FRAC_1_SQRT_2).erf() * 0.5 + 0.5; // P(normal < x)
    let density = ((x.clone() * x.clone()) * -0.5).exp() * (2.0 * PI).powf(-0.5);
    let slope = below.clone() + x.clone() * density;
    // The tangent: right in value and in slope, which is all that a gradient asks for.
    let offset = x * (below - slope.clone());
    input * Tensor::from_inner(slope) + Tensor::from_inner(offset)
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, TensorData, activation};

    use super::*;

    fn input(device: &Device) -> Tensor<3> {
        let values: Vec<f32> = (0..60).map(|i| (i as f32 - 30.0) / 5.0).collect();
        Tensor::from_data(TensorData::new(values, [3, 4, 5]), device).require_grad()
    }

    fn close(expected: Tensor<3>, found: Tensor<3>) {
        let difference = (expected - found).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    /// Value and gradient of the sum of squares of `f`.
    fn differentiated(f: impl Fn(Tensor<3>) -> Tensor<3>) -> [Tensor<3>; 2] {
        let input = input(&Device::flex().autodiff());
        let value = f(input.clone());
        let gradients = (value.clone() * value.clone()).sum().backward();
        [value.inner(), input.grad(&gradients).unwrap()]
    }

    #[test]
    fn gelu_has_burns_value_and_slope() {
        let [value, slope] = differentiated(gelu);
        let [expected_value, expected_slope] = differentiated(activation::gelu);
        close(expected_value, value);
        close(expected_slope, slope);
    }

    #[test]
    fn a_projection_is_the_linear_layer() {
        let linear = LinearConfig::new(5, 2).init(&Device::flex().autodiff());
        let [value, slope] = differentiated(|input| project(&linear, input));
        let [expected_value, expected_slope] = differentiated(|input| linear.forward(input));
        close(expected_value, value);
        close(expected_slope, slope);
    }
}
