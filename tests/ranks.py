"""The weights that one process of a run learns in stage 2: `python -m tests.ranks SET.parquet FOLDER` in each of them.

Each process writes `FOLDER/rank.json`: the sum of each parameter before and after two steps.
"""

import json
import sys
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed

from tergan_hf import TerGanConfig, TerGanModel
from tergan_hf.data.loading import load_photos
from tergan_hf.data.padded_crops import make_padded_crops
from tergan_hf.data.photo_set import label_photo_sets
from tergan_hf.model.encoder_tergan import TerGanEncoder
from tergan_hf.training.arguments import OptimizerArguments
from tergan_hf.training.encoder_classifier import EncoderClassifier
from tergan_hf.training.stage2 import train_generator

from .tiny_models import TINY
from .training_settings import shipped_arguments


def parameter_sums(model: TerGanModel) -> dict[str, float]:
    return {name: float(value.double().sum()) for name, value in model.named_parameters()}


def main():
    parquet, folder = sys.argv[1], Path(sys.argv[2])
    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    assert accelerator.num_processes > 1, "start several processes"
    arguments = shipped_arguments("compact")
    arguments.output_dir = str(folder)
    arguments.generator_stage = OptimizerArguments(steps=2, batch_size=4)
    config = TerGanConfig.compact(**TINY)
    with accelerator.main_process_first():
        photos = make_padded_crops(load_photos(parquet), config.image_size, align=False)
    sets, identities = label_photo_sets({"set": photos}, config.expressions)
    set_seed(0)
    model = TerGanModel(config)
    expression = EncoderClassifier(TerGanEncoder.of_expression(config), config.num_labels)
    identity = EncoderClassifier(TerGanEncoder.of_identity(config), len(identities))
    before = parameter_sums(model)
    model = train_generator(accelerator, arguments, model, expression, identity, sets, [], len(identities))
    (folder / f"{accelerator.process_index}.json").write_text(json.dumps([before, parameter_sums(model)]))


if __name__ == "__main__":
    main()
