"""A small convolutional network in NumPy: forward, backward and Adam, for images of 8 × 8 pixels.

Convolution 3 × 3 → ReLU → maximum of 2 × 2, twice, then one dense layer of logits. Written out by hand so that training
needs no framework; the gradients are those of any textbook.
"""

import numpy as np

CHANNELS = (1, 8, 16)
CLASSES = 10
FLAT = CHANNELS[2] * 2 * 2


def start(chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Random parameters after He et al. (2015): variance 2 / fan-in."""
    shapes = {
        "first": (CHANNELS[1], CHANNELS[0], 3, 3),
        "second": (CHANNELS[2], CHANNELS[1], 3, 3),
        "dense": (CLASSES, FLAT),
    }
    parameters = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2.0 / np.prod(shape[1:]))
        parameters[name] = chance.normal(0.0, scale, shape)
        parameters[f"{name}_bias"] = np.zeros(shape[0])
    return parameters


def forward(parameters: dict, images: np.ndarray) -> tuple[np.ndarray, list]:
    """Logits `[n, 10]` of images `[n, 1, 8, 8]` in 0..1, and what the way back needs."""
    trail, values = [], images
    for layer in ("first", "second"):
        convolved = _convolve(values, parameters[layer]) + parameters[f"{layer}_bias"][:, None, None]
        active = np.maximum(convolved, 0.0)
        pooled = _blocks(active).max(axis=(3, 5))
        trail.append((layer, values, active, pooled))
        values = pooled
    flat = values.reshape(len(values), FLAT)
    return flat @ parameters["dense"].T + parameters["dense_bias"], [*trail, flat]


def gradients(parameters: dict, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The gradient of the mean cross-entropy by every parameter."""
    logits, [*trail, flat] = forward(parameters, images)
    error = softmax(logits)
    error[np.arange(len(labels)), labels] -= 1.0
    error /= len(labels)
    found = {"dense": error.T @ flat, "dense_bias": error.sum(axis=0)}
    back = (error @ parameters["dense"]).reshape(trail[-1][3].shape)
    for layer, values, active, pooled in reversed(trail):
        chosen = _blocks(active) == pooled[:, :, :, None, :, None]
        back = (chosen * back[:, :, :, None, :, None]).reshape(active.shape) * (active > 0.0)
        found[f"{layer}_bias"] = back.sum(axis=(0, 2, 3))
        found[layer] = np.einsum("nohw,nchwij->ocij", back, _windows(values), optimize=True)
        # The way back through a convolution is a convolution with the kernel turned round.
        back = _convolve(back, parameters[layer][:, :, ::-1, ::-1].swapaxes(0, 1))
    return found


def fit(images: np.ndarray, labels: np.ndarray, epochs: int, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Trains with Adam (Kingma & Ba, 2015) at its usual settings, in batches of 32."""
    parameters = start(chance)
    mean = {name: np.zeros_like(value) for name, value in parameters.items()}
    square = {name: np.zeros_like(value) for name, value in parameters.items()}
    step = 0
    for epoch in range(epochs):
        rate = 2e-3 * (1.0 - epoch / epochs)
        for batch in np.array_split(chance.permutation(len(images)), len(images) // 32):
            step += 1
            for name, slope in gradients(parameters, images[batch], labels[batch]).items():
                mean[name] += 0.1 * (slope - mean[name])
                square[name] += 0.001 * (slope**2 - square[name])
                unbiased = square[name] / (1.0 - 0.999**step)
                parameters[name] -= rate * mean[name] / (1.0 - 0.9**step) / (np.sqrt(unbiased) + 1e-8)
    return parameters


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _windows(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))


def _convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.einsum("nchwij,ocij->nohw", _windows(values), kernel, optimize=True)


def _blocks(values: np.ndarray) -> np.ndarray:
    rows, channels, height, width = values.shape
    return values.reshape(rows, channels, height // 2, 2, width // 2, 2)
