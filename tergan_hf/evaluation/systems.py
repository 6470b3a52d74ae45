"""The systems to compare: the model, and systems whose quality is known beforehand."""

import copy
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..model.errors_tergan import InvalidInputError, MissingFileError
from ..model.modeling_tergan import TerGanModel
from ..model.pipeline_tergan import TerGanPipeline
from ..model.quantization_tergan import ScaledConv2d, effective_weight


MODEL, COPY_TARGET, COPY_SOURCE, RANDOM = "TER-GAN", "copy of the target", "copy of the source", "random weights"
BASELINE = "CNN baseline"
# Baselines of blendshapes.
FROM_PROBABILITIES, MEAN = "linear fit from the class probabilities", "the mean"
# Two saved copies of a weight differ by up to two roundings to 8 bits, each 1/254 of the largest weight.
ROUNDING = 0.01


class CopiesTarget(TerGanPipeline):
    """A lazy system: every result is the photo itself."""

    def transfer(self, source, target, **options):
        """Return `target`."""
        return target

    def edit(self, image, expression, **options):
        """Return `image`."""
        return image


class CopiesSource(TerGanPipeline):
    """A cheating system: every result is the photo that shows the expression, at the target's size."""

    def transfer(self, source, target, **options):
        """Return `source` at the size of `target`."""
        if isinstance(target, list):
            return [self.transfer(s, t) for s, t in zip(source, target)]
        return source.resize(target.size, Image.Resampling.BILINEAR)

    def edit(self, image, expression, **options):
        """Return `expression` if it is a photo. For a label there is nothing to copy: return `image`."""
        return image if isinstance(expression, str) else self.transfer(expression, image)


def copy_systems(pipe: TerGanPipeline) -> dict[str, TerGanPipeline]:
    """Both copying systems, with the encoders of `pipe`."""
    parts = (pipe.model, pipe.image_processor, pipe.detector)
    return {COPY_TARGET: CopiesTarget(*parts), COPY_SOURCE: CopiesSource(*parts)}


def random_system(pipe: TerGanPipeline, seed: int = 0) -> TerGanPipeline:
    """
    The same networks with random weights.

    Training starts some layers at zero, so that the first result is the photo itself. Here they are random, too.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = TerGanModel(pipe.model.config)
        for layer in model.modules():
            if hasattr(layer, "initial_std") and layer.weight.dim() == 1:  # scales of a norm
                torch.nn.init.ones_(layer.weight)
            elif hasattr(layer, "initial_std"):
                torch.nn.init.kaiming_normal_(layer.weight)
        torch.nn.init.normal_(model.expression_prototypes)
    return TerGanPipeline(model.to(pipe.model.device), pipe.image_processor, pipe.detector)


def baseline_system(pipe: TerGanPipeline, baseline: str | Path) -> TerGanPipeline:
    """
    The CNN baseline of section 4.4: G_es after stage 1.

    Args:
        baseline: folder or Hub id of a whole model, or the file `stages/expression.safetensors` that training writes.

    Raises:
        MissingFileError: there is no such file or model.
        InvalidInputError: the file or model is damaged, or its G_es has other sizes than this model's.
    """
    if not str(baseline).endswith(".safetensors"):
        other = TerGanPipeline.from_pretrained(baseline, pipe.model.device)
        return TerGanPipeline(other.model, other.image_processor, pipe.detector)
    if not Path(baseline).is_file():
        raise MissingFileError(f"no such file: {baseline}")
    try:
        tensors = load_file(baseline)
        own = {name.removeprefix("encoder."): value for name, value in tensors.items() if name.startswith("encoder.")}
        model = copy.deepcopy(pipe.model)
        model.expression_encoder.load_state_dict(own)
    except (RuntimeError, SafetensorError) as error:
        raise InvalidInputError(f"{baseline} holds no G_es of this model's sizes: {error}") from error
    return TerGanPipeline(model, pipe.image_processor, pipe.detector)


def same_expression_encoder(one: TerGanPipeline, other: TerGanPipeline) -> bool:
    """Whether both pipelines have the same G_es, but for the rounding of saved weights to 8 bits. The ranges measured
    for its activations do not count."""
    first, second = (_computed_weights(pipe.model.expression_encoder) for pipe in (one, other))
    return first.keys() == second.keys() and all(
        first[name].shape == second[name].shape
        and bool((first[name] - second[name]).abs().max() <= ROUNDING * first[name].abs().max())
        for name in first
    )


@torch.no_grad()
def _computed_weights(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that an encoder computes with, by name: those of convolutions with their scale."""
    weights = {
        name: value
        for name, value in encoder.state_dict().items()
        if value.is_floating_point() and name.split(".")[-1] not in ("activation_ranges", "scale")
    }
    for name, layer in encoder.named_modules():
        if isinstance(layer, ScaledConv2d):
            weights[f"{name}.weight"] = effective_weight(layer)
    return {name: value.cpu().float() for name, value in weights.items()}
