"""What the model gives: results, changes of a face, encoded targets."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import ModelOutput

from .errors_tergan import InvalidInputError


@dataclass
class TerGanOutput(ModelOutput):
    """
    Output of `TerGanModel`.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            x̄, the target's face with the source's expression, in [-1, 1].
        expression_embedding (`torch.FloatTensor` of shape `(batch, expression_embedding_size)`):
            f(e) of the source.
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`):
            f(i) of the target.
    """

    pixel_values: torch.FloatTensor | None = None
    expression_embedding: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None


@dataclass
class TerGanImageClassifierOutput(ImageClassifierOutput):
    """
    Output of `TerGanForImageClassification`.

    Args:
        blendshapes (`torch.FloatTensor` of shape `(batch, len(config.blendshape_names))`):
            the result of `read_blendshapes`; `None` if the model reads none.
    """

    blendshapes: torch.FloatTensor | None = None


@dataclass
class TerGanChange(ModelOutput):
    """
    How a target's face changes, in parts that can be enlarged to the resolution of a photo.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            x̄ at the network's resolution, in [-1, 1]; `None` after `mirror` or `zoom_out`.
        flow (`torch.FloatTensor` of shape `(batch, 2, image_size, image_size)`):
            where each pixel of x̄ comes from in x_t, as (x, y) offsets in the coordinates of `grid_sample` (the crop
            spans [-1, 1]). `None` for the bottleneck decoder.
        residual (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`):
            what is added to the warped x_t. `None` where x̄ replaces x_t (the paper's model).
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`):
            f(i) of the target.
    """

    pixel_values: torch.FloatTensor | None = None
    flow: torch.FloatTensor | None = None
    residual: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None

    def mirror(self) -> "TerGanChange":
        """
        The same change of the mirrored target: flow and residual, without x̄.

        Raises:
            InvalidInputError: the change has no residual (the paper's model).
        """
        flow = None
        if self.flow is not None:
            flow = self.flow.flip(3) * self.flow.new_tensor([-1, 1]).view(1, 2, 1, 1)
        return TerGanChange(None, flow, self._known_residual().flip(3), self.identity_embedding)

    def zoom_out(self, margin: float) -> "TerGanChange":
        """
        The same change for a crop `margin` times as large about the same centre: flow and residual, without x̄. Outside
        the former crop they repeat the values at its border.

        Raises:
            InvalidInputError: as for `mirror`.
        """
        residual = self._known_residual()
        theta = margin * torch.eye(2, 3, device=residual.device, dtype=residual.dtype).expand(len(residual), 2, 3)
        grid = F.affine_grid(theta, list(residual.shape), align_corners=False)

        def reduced(maps: torch.Tensor) -> torch.Tensor:
            return F.grid_sample(maps, grid.to(maps.dtype), mode="bicubic", padding_mode="border", align_corners=False)

        flow = None if self.flow is None else reduced(self.flow) / margin
        return TerGanChange(None, flow, reduced(residual), self.identity_embedding)

    def mean_with(self, other: "TerGanChange", target: torch.Tensor) -> "TerGanChange":
        """
        The mean of two changes of one target, for test-time augmentation.

        Args:
            other: the change found in another view. target: x_t, `(batch, channels, image_size, image_size)`.

        Raises:
            InvalidInputError: as for `mirror`.
        """
        residual, flow, moved = (self._known_residual() + other._known_residual()) / 2, None, target
        if self.flow is not None:
            flow = (self.flow + other.flow) / 2
            moved = warp(target, flow)
        return TerGanChange((moved + residual).clamp(-1, 1), flow, residual, self.identity_embedding)

    def _known_residual(self) -> torch.Tensor:
        if self.residual is None:
            raise InvalidInputError(
                "a model that replaces the whole face gives no change that could be moved or averaged"
            )
        return self.residual


@dataclass
class TerGanTarget(ModelOutput):
    """
    A target that is encoded once and can then be given many expressions.

    Args:
        pixel_values (`torch.FloatTensor` of shape `(batch, channels, image_size, image_size)`): x_t.
        expression_embedding (`torch.FloatTensor` of shape `(batch, expression_embedding_size)`):
            f(e) of the target itself.
        identity_embedding (`torch.FloatTensor` of shape `(batch, identity_embedding_size)`): f(i).
        feature_maps (`tuple` of `torch.FloatTensor`): G_et's, full size first.
        skip_maps (`tuple` of `torch.FloatTensor`):
            result of `TerGanPhotoDecoder.skip_maps` on them, if it was computed.
    """

    pixel_values: torch.FloatTensor | None = None
    expression_embedding: torch.FloatTensor | None = None
    identity_embedding: torch.FloatTensor | None = None
    feature_maps: tuple[torch.FloatTensor, ...] | None = None
    skip_maps: tuple[torch.FloatTensor, ...] | None = None


def pixel_centres(side: int, device: torch.device) -> torch.Tensor:
    """(side,) centres of pixels in `grid_sample`'s [-1, 1] coordinates. `affine_grid` would give them in bf16 under
    autocast, up to a third of a pixel off."""
    return (torch.arange(side, device=device, dtype=torch.float32) + 0.5) * 2 / side - 1


def warp(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Look up each pixel at an offset: images (B, C, H, W), flow (B, 2, H, W) in `grid_sample`'s [-1, 1] coordinates.
    Outside the image the edge repeats."""
    y, x = (pixel_centres(side, images.device) for side in images.shape[2:])
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) + flow.float().permute(0, 2, 3, 1)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


__all__ = ["TerGanChange", "TerGanImageClassifierOutput", "TerGanOutput", "TerGanTarget", "pixel_centres", "warp"]
