"""The features of DINOv2 (Oquab et al. 2023, arXiv:2304.07193) through timm, an optional extra."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ictsweep.errors import UserError
from ictsweep.evaluation.extraction import (
    Identity,
    NetworkExtractor,
    imagenet_scaled,
    reason_of,
    require_rgb,
    rgb,
    tried,
)
from ictsweep.evaluation.feature_config import Dinov2Features
from ictsweep.evaluation.resizing import Bicubic
from ictsweep.evaluation.weight_files import file_hash, fingerprint

_SIDE = 224
_KEPT_AS = ("model.safetensors", "pytorch_model.bin")
_ANSWER_S = 5.0


def dinov2_extractor(
    config: Dinov2Features, images: Tensor, device: torch.device
) -> NetworkExtractor:
    """The class token's features of `config.model` for pictures uint8 [n, 1 or 3, h, w].

    At 224 pixels with ImageNet's normalisation, as Stein et al. 2023 (arXiv:2306.04675) use it;
    their code rounds the resized pictures to whole levels and stretches the position embedding with
    its authors' filter instead of timm's, so their numbers differ in the last digits.
    """
    require_rgb(images, "DINOv2")
    network = _load(config)
    body = _Scaled(network).eval().requires_grad_(False)
    dims = tried(body, images, config.path or config.model, device)
    path = config.location
    identity = Identity(
        name=config.model,
        weights=file_hash(path) if path else fingerprint(network.state_dict()),
        resize=f"bicubic to {_SIDE}, anti-aliasing, not rounded, as Pillow",
        metric=f"DINOv2 Fréchet distance ({config.model})",
    )
    return NetworkExtractor(identity, body, dims).to(device)


class _Scaled(nn.Module):
    """From uint8 pictures to the features of a network that takes ImageNet's pictures."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network
        self._resize = Bicubic(_SIDE)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, 1 or 3, h, w] -> [n, d]."""
        return self._network(imagenet_scaled(rgb(self._resize(images))))


def _load(config: Dinov2Features) -> nn.Module:
    """timm's network with its weights, from the file or from timm's own download."""
    import timm

    if not timm.is_model(config.model):
        raise UserError(f"timm has no model {config.model!r} (features of name dinov2)")
    overlay = None if config.path is None else {"state_dict": _state(Path(config.path))}
    try:
        if config.path is None:
            _check_reachable(config.model)
        with torch.random.fork_rng(devices=[]):  # building layers draws random numbers
            return timm.create_model(
                config.model,
                pretrained=True,
                pretrained_cfg_overlay=overlay,
                img_size=_SIDE,
                num_classes=0,
            )
    except Exception as error:  # no network, a file that is not there, other weights, another kind
        raise UserError(_unusable(config, error)) from None


def _check_reachable(model: str) -> None:
    """Raise what a model's hub raises where it does not answer and the weights are not kept here:
    at once and in silence, while the download would try for a minute and log each time.
    """
    import timm
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    source = timm.get_pretrained_cfg(model)
    if source is None or not source.hf_hub_id:
        return
    old = Path(torch.hub.get_dir()) / "checkpoints" / Path(str(source.url)).name
    kept = [try_to_load_from_cache(source.hf_hub_id, name) for name in _KEPT_AS]
    if not old.exists() and not any(isinstance(place, str) for place in kept):
        with contextlib.suppress(HfHubHTTPError):  # an answer: the download knows other names
            get_hf_file_metadata(hf_hub_url(source.hf_hub_id, _KEPT_AS[0]), timeout=_ANSWER_S)


def _unusable(config: Dinov2Features, error: Exception) -> str:
    reason = reason_of(error)
    if config.path is not None:
        return f"{config.path} does not fit {config.model}: {reason}"
    return (
        f"the weights of {config.model} could not be fetched ({reason}): name a file of them, by "
        "`path` in a search space or by --weights FILE, or run this where there is a network"
    )


def _state(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything
        raise UserError(f"{path} is damaged or no file of weights ({reason_of(error)})") from None
