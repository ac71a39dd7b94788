"""Every loss once more, as scalar programs that know only the math module; images are lists of
pixels, networks are (a, b, e) with F(x, c) = a x + b c + e for every pixel.
"""

import math

SD = 0.5
IMAGES = [[0.3, -0.8, 0.1, 1.0], [-1.0, 0.5, 0.25, 0.0], [0.9, 0.9, -0.9, 0.2]]
NOISES = [[0.7, -1.3, 0.4, 2.1], [0.2, 0.1, -0.6, -1.5], [1.1, 0.3, 0.8, -0.4]]
REFERENCES = [[0.2, -0.5, 0.4, 0.9], [-0.7, 0.6, 0.1, 0.3], [0.8, 0.1, -0.2, -0.6]]
STUDENT, TEACHER, GENERATOR = (0.7, -1.2, 0.4), (0.5, -0.9, 0.2), (-0.3, 0.8, 0.1)


def level(j, n):
    """s_j of the grid of n levels."""
    low, high = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    return (low + (j - 1) / (n - 1) * (high - low)) ** 7


def denoise(image, s, network, eps):
    """f(x, s) with the boundary at eps; eps = 0 is the denoiser of diffusion models."""
    a, b, e = network
    root = math.sqrt(s * s + SD * SD)
    skip, out = SD**2 / ((s - eps) ** 2 + SD**2), SD * (s - eps) / root
    return [skip * x + out * (a * x / root + b * math.log(s) / 4 + e) for x in image]


def noisy(image, s, noise):
    return [x + s * z for x, z in zip(image, noise, strict=True)]


def square(x, y):
    return sum((p - q) ** 2 for p, q in zip(x, y, strict=True))


def huber(x, y):
    c = 0.00054 * math.sqrt(len(x))
    return math.sqrt(square(x, y) + c * c) - c


def edm(image, noise, t, network):
    """Denoising: (t^2 + sd^2) / (t sd)^2 ||D(x0 + t z, t) - x0||^2."""
    output = denoise(noisy(image, t, noise), t, network, 0.0)
    return (t * t + SD * SD) / (t * SD) ** 2 * square(output, image) / len(image)


def ct(image, noise, i, n, student, teacher):
    """Squared L2 between the student at s_{i+1} and the averaged teacher at s_i, weight 1."""
    t, r = level(i + 1, n), level(i, n)
    target = denoise(noisy(image, r, noise), r, teacher, 0.002)
    return square(denoise(noisy(image, t, noise), t, student, 0.002), target) / len(image)


def ict(image, noise, i, n, student, teacher):
    """Pseudo-Huber over s_{i+1} - s_i."""
    t, r = level(i + 1, n), level(i, n)
    target = denoise(noisy(image, r, noise), r, teacher, 0.002)
    return huber(denoise(noisy(image, t, noise), t, student, 0.002), target) / (t - r)


def below(t, q, a):
    """ECT's r of t."""
    wide = 1 + 8 / (1 + math.exp(t))
    return max(0.0, t * (1 - wide / q**a))


def ect(image, noise, t, q, a, student, teacher):
    """L2 over t - r; the target is clean where r = 0."""
    r = below(t, q, a)
    target = denoise(noisy(image, r, noise), r, teacher, 0.0) if r > 0 else image
    output = denoise(noisy(image, t, noise), t, student, 0.0)
    return math.sqrt(square(output, target)) / (t - r)


def posterior_mean(x_t, t, images):
    """sum_j w_j y_j with w = softmax_j(-||x_t - y_j||^2 / (2 t^2))."""
    logits = [-square(x_t, y) / (2 * t * t) for y in images]
    shares = [math.exp(v - max(logits)) for v in logits]
    total = math.fsum(shares)
    return [
        math.fsum(w * y[p] for w, y in zip(shares, images, strict=True)) / total
        for p in range(len(x_t))
    ]


def towards(x_t, t, r, mean):
    return [r / t * x + (1 - r / t) * m for x, m in zip(x_t, mean, strict=True)]


def sct(image, noise, t, q, a, references, student, teacher):
    """ECT with x_r on the way to the posterior mean over the image and the references."""
    r, x_t = below(t, q, a), noisy(image, t, noise)
    x_r = towards(x_t, t, r, posterior_mean(x_t, t, [image, *references]))
    target = denoise(x_r, r, teacher, 0.0) if r > 0 else x_r
    return math.sqrt(square(denoise(x_t, t, student, 0.0), target)) / (t - r)


def sct_ict(image, noise, i, n, references, student, teacher):
    """iCT with x_r on the way to the posterior mean."""
    t, r = level(i + 1, n), level(i, n)
    x_t = noisy(image, t, noise)
    x_r = towards(x_t, t, r, posterior_mean(x_t, t, [image, *references]))
    target = denoise(x_r, r, teacher, 0.002)
    return huber(denoise(x_t, t, student, 0.002), target) / (t - r)


def gaf(image, noise, i, n, chosen, student, teacher, generator):
    """iCT from what the generator makes of the lower noisy image, where it is chosen."""
    r = level(i, n)
    made = denoise(noisy(image, r, noise), r, generator, 0.002)
    return ict(made if chosen else image, noise, i, n, student, teacher)


def gaf_ect(image, noise, t, q, a, chosen, student, teacher, generator):
    """ECT from what the generator makes of the lower noisy image; the image itself where r = 0."""
    r = below(t, q, a)
    if chosen and r > 0:
        image = denoise(noisy(image, r, noise), r, generator, 0.0)
    return ect(image, noise, t, q, a, student, teacher)
