"""What stage 2 trains with and no model holds: D, D_es and D_et, and the frozen stage-1 encoders of eq. 8 and 9.

A finished run keeps them in `stages/`, and a later run with `pretrained_run` goes on from them.
"""

import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ..model.atomic_file_tergan import write_whole
from ..model.errors_tergan import InvalidInputError, MissingFileError
from .arguments import TrainingArguments
from .discriminators import Discriminator
from .generator_objective import GeneratorObjective


logger = logging.getLogger(__name__)
FILE = Path("stages") / "discriminators.safetensors"


def save_discriminators(objective: GeneratorObjective, discriminator: Discriminator, run: str | Path):
    """Write D, D_es, D_et and the frozen encoders of a finished stage 2 into the folder of its run."""
    path = Path(run) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = _parts(objective, discriminator) | _frozen(objective)
    tensors = {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    write_whole(path, save(tensors))


def check_pretrained_run(run: str | Path):
    """
    Check that stage 2 can go on from a run.

    Raises:
        MissingFileError: the run has not saved its discriminators.
    """
    if not (Path(run) / FILE).is_file():
        raise MissingFileError(
            f"pretrained_run: {run} has no {FILE.as_posix()}, which a run writes at the end of stage 2: name the "
            "output_dir of a finished run"
        )


def load_discriminators(objective: GeneratorObjective, discriminator: Discriminator, arguments: TrainingArguments):
    """
    Go on from D, D_es and D_et of `pretrained_run`. Layers of another shape, such as those of other people's
    identities, stay new. An encoder whose stage 1 this run skips is frozen as stage 1 of the run before left it, so
    that eq. 8 and 9 compare the same features in both runs.

    Raises:
        MissingFileError, InvalidInputError: there is no such file, or it is damaged or of other encoders.
    """
    assert arguments.pretrained_run is not None
    check_pretrained_run(arguments.pretrained_run)
    path = Path(arguments.pretrained_run) / FILE
    try:
        saved = load_file(path)
        for stage, (part, module) in zip(("expression_stage", "identity_stage"), _frozen(objective).items()):
            if not getattr(arguments, stage).steps:
                module.load_state_dict(_of(saved, part))
    except (RuntimeError, SafetensorError) as error:
        raise InvalidInputError(f"pretrained_run: {path} does not fit this run's encoders: {error}") from error
    new = []
    for part, module in _parts(objective, discriminator).items():
        own, found = module.state_dict(), _of(saved, part)
        fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
        module.load_state_dict(fitting, strict=False)
        new += [f"{part}.{name}" for name in own if name not in fitting]
    logger.info("Stage 2 goes on from %s; new: %s", path, ", ".join(new) or "none")


def _of(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}


def _parts(objective: GeneratorObjective, discriminator: Discriminator) -> dict[str, nn.Module]:
    return {
        "discriminator": discriminator,
        "expression_discriminator": objective.expression_discriminator,
        "identity_discriminator": objective.identity_discriminator,
    }


def _frozen(objective: GeneratorObjective) -> dict[str, nn.Module]:
    return {"frozen_expression": objective.frozen_expression, "frozen_identity": objective.frozen_identity}
