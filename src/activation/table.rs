//! The table: one row for each activation.
//!
//! Doc comment, variant = name | aliases, { parameters: defaults }, what can be learned, what is derived from the
//! parameters, formula, source, accuracy (value, derivative), differences from PyTorch.

use std::sync::Arc;

use super::spec::{Parameter, Spec, activations, ulp};
use crate::custom::Custom;

activations! {
    /// The input itself.
    Identity = "identity" | "linear"
    formula "x"; source "torch.nn.Identity"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch passes dy on): NaN in, NaN out";

    /// Rectified linear unit; the derivative at 0 is 0.
    Relu = "relu"
    formula "max(x, 0)"; source "Nair & Hinton 2010; torch.nn.ReLU"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x or dy is NaN (PyTorch: dy, and 0 on the dead side)";

    /// ReLU clipped at 6; the derivative is 0 at both kinks.
    Relu6 = "relu6"
    formula "min(max(x, 0), 6)"; source "Howard et al. 2017, arXiv:1704.04861; torch.nn.ReLU6"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch: 0 or 1, depending on its code path)";

    /// Squared ReLU (Primer).
    ReluSquared = "relu_squared" | "relu2"
    formula "max(x, 0)^2"; source "So et al. 2021, arXiv:2109.08668; transformers ReLUSquaredActivation"; accuracy ulp(0.5, 0.5);

    /// ReLU with a fixed slope below 0, which is also the derivative at 0.
    LeakyRelu = "leaky_relu" { negative_slope: 0.01 }
    formula "x > 0 ? x : negative_slope * x"; source "Maas et al. 2013; torch.nn.LeakyReLU"; accuracy ulp(1.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: the slope)";

    /// ReLU with a learned slope below 0, shared or one for each channel.
    PRelu = "prelu" { slope: 0.25 } learns "slope" 1;
    formula "x > 0 ? x : slope[c] * x"; source "He et al. 2015, arXiv:1502.01852; torch.nn.PReLU"; accuracy ulp(1.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: the slope)";

    /// Randomised leaky ReLU as it is evaluated after training: the mean slope.
    RRelu = "rrelu" { lower: 0.125, upper: 1.0 / 3.0 } derives |p| vec![0.5 * (p[0] + p[1])];
    formula "x > 0 ? x : (lower + upper) / 2 * x"; source "Xu et al. 2015, arXiv:1505.00853; torch.nn.RReLU in eval mode"; accuracy ulp(1.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch's masks give a number): NaN in, NaN out";

    /// Passes what exceeds a threshold and replaces the rest. PyTorch requires both parameters; here they default to 0.
    Threshold = "threshold" { threshold: 0.0, value: 0.0 }
    formula "x > threshold ? x : value"; source "torch.nn.Threshold"; accuracy ulp(0.5, 0.0);
    differs "dx is NaN where x is NaN (PyTorch's masks give a number): NaN in, NaN out";

    /// ReLU with a threshold: what does not exceed it is 0.
    FatRelu = "fatrelu" { threshold: 0.01 }
    formula "x > threshold ? x : 0"; source "Kurtz et al. 2020 (FATReLU); vLLM fatrelu_and_mul"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch's masks give a number): NaN in, NaN out";

    /// Exponential linear unit; the derivative at 0 is alpha.
    Elu = "elu" { alpha: 1.0 } learns "alpha" 1;
    formula "x > 0 ? x : alpha * (e^x - 1)"; source "Clevert et al. 2016, arXiv:1511.07289; torch.nn.ELU"; accuracy ulp(2.5, 4.0);

    /// Self-normalising ELU with fixed constants; the derivative at 0 is that of the left side.
    Selu = "selu"
    formula "scale * (x > 0 ? x : alpha * (e^x - 1))"; source "Klambauer et al. 2017, arXiv:1706.02515; torch.nn.SELU"; accuracy ulp(3.0, 4.0);

    /// ELU made continuously differentiable for every alpha.
    Celu = "celu" { alpha: 1.0 } derives |p| vec![1.0 / p[0]];
    formula "max(x, 0) + min(alpha * (e^(x / alpha) - 1), 0)"; source "Barron 2017, arXiv:1704.07483; torch.nn.CELU"; accuracy ulp(3.0, 4.0);

    /// Logistic function.
    Sigmoid = "sigmoid"
    formula "1 / (1 + e^-x)"; source "torch.sigmoid"; accuracy ulp(4.0, 6.0);

    /// Logarithm of the logistic function.
    LogSigmoid = "logsigmoid"
    formula "-log(1 + e^-x)"; source "torch.nn.LogSigmoid"; accuracy ulp(4.0, 4.0);
    differs "-0 where e^-x vanishes, the side of the limit (PyTorch: +0)";

    /// Hyperbolic tangent.
    Tanh = "tanh"
    formula "tanh(x)"; source "torch.tanh"; accuracy ulp(4.0, 6.0);

    /// What tanh leaves over.
    TanhShrink = "tanhshrink"
    formula "x - tanh(x)"; source "torch.nn.Tanhshrink"; accuracy ulp(4.0, 8.0);

    /// A sigmoid without an exponential.
    SoftSign = "softsign"
    formula "x / (1 + |x|)"; source "Turian et al. 2009; torch.nn.Softsign"; accuracy ulp(3.0, 6.0);
    differs "+-1 at +-inf with a derivative of 0, the limits (PyTorch: NaN)";

    /// A smooth ReLU; the identity once beta * x exceeds the threshold.
    SoftPlus = "softplus" { beta: 1.0, threshold: 20.0 } derives |p| vec![1.0 / p[0]];
    formula "beta * x > threshold ? x : log(1 + e^(beta * x)) / beta"; source "Dugas et al. 2001; torch.nn.Softplus"; accuracy ulp(4.0, 4.0);

    /// Square root of softplus, a router's score (no threshold).
    SqrtSoftPlus = "sqrtsoftplus"
    formula "sqrt(log(1 + e^x))"; source "transformers SqrtSoftplusActivation"; accuracy ulp(4.0, 6.0);
    differs "the derivative keeps its digits far left, where transformers divides 0 by 0";

    /// Clamp; the derivative is 1 strictly inside.
    HardTanh = "hardtanh" { min_val: -1.0, max_val: 1.0 }
    formula "clamp(x, min_val, max_val)"; source "Collobert 2004; torch.nn.Hardtanh"; accuracy ulp(0.5, 0.0);
    differs "dx is NaN where x is NaN (PyTorch: 0 or 1, depending on its code path)";

    /// A piecewise linear sigmoid with slope 1/6.
    HardSigmoid = "hardsigmoid" | "hard_sigmoid"
    formula "clamp(x / 6 + 1/2, 0, 1)"; source "torch.nn.Hardsigmoid (Keras before 3 and ONNX use slope 0.2)"; accuracy ulp(2.0, 1.0);
    differs "dx is NaN where x is NaN (PyTorch: 0)";

    /// Swish with the piecewise linear sigmoid; the derivative is 0 at -3 and 1 at 3.
    HardSwish = "hardswish" | "hard_swish"
    formula "x * clamp(x + 3, 0, 6) / 6"; source "Howard et al. 2019, arXiv:1905.02244; torch.nn.Hardswish"; accuracy ulp(2.5, 4.0);
    differs "-0 at -inf (PyTorch: NaN); x itself above 3, where PyTorch's x * 6 / 6 overflows from 5.7e37 on";

    /// Shrinks towards 0 by lambd.
    SoftShrink = "softshrink" { lambd: 0.5 }
    formula "x > lambd ? x - lambd : x < -lambd ? x + lambd : 0"; source "torch.nn.Softshrink"; accuracy ulp(1.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch's masks give a number): NaN in, NaN out";

    /// 0 inside [-lambd, lambd], x outside.
    HardShrink = "hardshrink" { lambd: 0.5 }
    formula "|x| > lambd ? x : 0"; source "torch.nn.Hardshrink"; accuracy ulp(0.0, 0.0);
    differs "dx is NaN where x is NaN (PyTorch's masks give a number): NaN in, NaN out";

    /// Sigmoid linear unit: Swish with beta 1.
    Silu = "silu"
    formula "x / (1 + e^-x)"; source "Elfwing et al. 2017, arXiv:1702.03118; torch.nn.SiLU"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN)";

    /// Self-gated unit with a slope that can be fixed or learned, shared or one for each channel.
    Swish = "swish" | "swish_channel" { beta: 1.0 } learns "beta" 1;
    formula "x / (1 + e^(-beta * x))"; source "Ramachandran et al. 2017, arXiv:1710.05941"; accuracy ulp(4.0, 8.0);
    differs "for beta > 0, -0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where a derivative vanishes from below (PyTorch: +0)";

    /// x times the Gaussian distribution function, exactly.
    Gelu = "gelu" | "gelu_python" | "gelu_erf"
    formula "x * Phi(x) = x / 2 * erfc(-x / sqrt(2))"; source "Hendrycks & Gimpel 2016, arXiv:1606.08415; torch.nn.GELU"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// The tanh form of GELU (GPT-2's `gelu_new`, ggml's GELU).
    GeluTanh = "gelu_tanh" | "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate"
    formula "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))"; source "Hendrycks & Gimpel 2016; torch.nn.GELU('tanh')"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, and derivatives of -0 and 1 for huge |x|, the limits (PyTorch: NaN, and +0 at -100)";

    /// The sigmoid form of GELU (CLIP).
    QuickGelu = "quick_gelu" | "gelu_quick"
    formula "x / (1 + e^(-1.702 * x))"; source "Hendrycks & Gimpel 2016; transformers QuickGELUActivation"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// GELU clipped to [-10, 10], for quantisation.
    Gelu10 = "gelu_10"
    formula "clamp(gelu(x), -10, 10)"; source "Wu et al. 2020, arXiv:2004.09602; transformers ClippedGELUActivation"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf, the limit (PyTorch: NaN)";

    /// A Gaussian distribution function shifted and scaled to resemble relu_squared (MEGA).
    Laplace = "laplace"
    formula "(1 + erf((x - 0.707107) / (0.282095 * sqrt(2)))) / 2"; source "Ma et al. 2022, arXiv:2209.10655; transformers LaplaceActivation"; accuracy ulp(4.0, 4.0);

    /// x times the tanh of softplus (no threshold).
    Mish = "mish"
    formula "x * tanh(log(1 + e^x))"; source "Misra 2019, arXiv:1908.08681; torch.nn.Mish"; accuracy ulp(4.0, 8.0);
    differs "-0 at -inf and derivatives of -0 and 1 at -inf and inf, the limits (PyTorch: NaN); -0 where the derivative vanishes from below (PyTorch: +0)";

    /// Expanded integral of ELU. alpha_p and alpha_n are the coefficients themselves: Hugging Face stores
    /// their inverse softplus (and alpha_n less beta).
    Xielu = "xielu" { alpha_p: 0.8, alpha_n: 0.8, beta: 0.5, eps: -1e-6 } learns "alpha_p" 1, "alpha_n" 1;
    formula "x > 0 ? alpha_p * x^2 + beta * x : alpha_n * (e^min(x, eps) - 1 - x) + beta * x"; source "Huang & Schlag 2024, arXiv:2411.13010; transformers XIELUActivation"; accuracy ulp(4.0, 8.0);
    differs "the limit at -inf (transformers: NaN); 2^-23 of the terms that cancel is allowed around its root";

    /// Pade activation unit of order (5, 4) with a safe denominator ("version B"). The coefficients, by default those that
    /// approximate leaky ReLU, are meant to be learned, shared or one set for each channel.
    Rational = "rational" {
        a0: 0.033558156341314316, a1: 0.5050058960914612, a2: 1.6534696817398071,
        a3: 2.010050058364868, a4: 0.9319195747375488, a5: 0.15242646634578705,
        b1: 4.8128316848305985e-05, b2: 3.980247974395752, b3: 1.5837587852729484e-05, b4: 0.301833838224411
    } learns "a" 6, "b" 4;
    formula "(a0 + a1 x + ... + a5 x^5) / (1 + |b1 x + b2 x^2 + b3 x^3 + b4 x^4|)"; source "Molina et al. 2019, arXiv:1907.06732; rational-activations"; accuracy ulp(4.0, 8.0);
    differs "finite for |x| above 5.8e7, where plain f32 evaluation overflows to NaN";
}
