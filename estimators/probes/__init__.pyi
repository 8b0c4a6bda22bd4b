from .classify import CalibratedProbe
from .kernel import KernelProbe
from .lipschitz_constants import gaussian_kernel_upper, product_upper, softmax_upper, spectral_norm
from .mlp import MLPProbe
from .moments import Moments
from .ridge import StreamingRidge

__all__ = [
    "CalibratedProbe",
    "KernelProbe",
    "MLPProbe",
    "Moments",
    "StreamingRidge",
    "gaussian_kernel_upper",
    "product_upper",
    "softmax_upper",
    "spectral_norm",
]
