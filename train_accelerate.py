"""Train TER-GAN: `accelerate launch train_accelerate.py --config configs/photo.yaml`."""

import logging
import os
import sys
from datetime import timedelta
from pathlib import Path


# G_es reduces x̄ with antialiasing, whose gradient Apple's GPUs leave to the CPU. Read when torch is imported.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, ProjectConfiguration, set_seed

from tergan_hf import TerGanForImageClassification, TerGanModel
from tergan_hf.data.preparation import prepare_sets
from tergan_hf.hub import PublishError, check_login, push_model, run_tag
from tergan_hf.training.checkpoints import claim_output_dir
from tergan_hf.training.command_line import parse_arguments
from tergan_hf.training.finalize import finalize, save_model
from tergan_hf.training.rebase import can_rebase, rebase_decoder
from tergan_hf.training.stage1 import pretrain_encoder
from tergan_hf.training.stage2 import train_generator
from tergan_hf.training.warm_start import reads_alike, warm_start


def main():
    arguments = parse_arguments()
    output = Path(arguments.output_dir)
    # The other processes wait while the first one finds and aligns the faces.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    # Terms of weight 0, and the costly ones between their steps, leave parameters without a gradient.
    parallel = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        kwargs_handlers=[parallel, patience],
        mixed_precision=choose_precision(arguments.mixed_precision),
        log_with="tensorboard",
        project_config=ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs")),
    )
    logging.basicConfig(
        level=logging.INFO if accelerator.is_main_process else logging.ERROR,
        format="%(asctime)s %(name)s: %(message)s",
    )
    if accelerator.device.type == "cpu":
        # `accelerate launch` leaves one thread to each process; share all cores instead.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // accelerator.num_processes))
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    if accelerator.is_main_process:
        claim_output_dir(arguments)
        if arguments.push_to_hub:
            check_login()  # now, not after hours of training
    config = arguments.model_config()
    sets = prepare_sets(
        accelerator, arguments.sources, arguments.resolve, config.expressions, config.image_size, arguments.split_seed
    )
    config = arguments.model_config(num_identities=max(1, len(sets.identities)))
    accelerator.init_trackers("tergan")

    # Seeded anew for each part, so that a part does not depend on whether what came before was computed or loaded.
    set_seed(arguments.seed)
    former = TerGanModel.from_pretrained(arguments.pretrained) if arguments.pretrained else None
    start = warm_start(TerGanModel(config), former) if former else None
    # Not `start`, which may look at another size, or have layers that know nothing yet.
    named = arguments.teachers or [arguments.pretrained] if arguments.expression_stage.distillation else []
    teachers = [TerGanForImageClassification.from_pretrained(name) for name in named]
    expression = pretrain_encoder(
        accelerator, arguments, config, "expression", sets.training, sets.validation, start, teachers
    )
    set_seed(arguments.seed + 1)
    identity = pretrain_encoder(accelerator, arguments, config, "identity", sets.training, sets.validation, start)
    set_seed(arguments.seed + 2)
    model = start or TerGanModel(config)
    # Through `transfer` f(e) was learnt for the decoder as it is.
    unlike = arguments.expression_stage.steps and not arguments.expression_stage.transfer
    if start is not None and unlike and can_rebase(model, former):
        rebase_decoder(model, former.expression_encoder, expression, sets.training)
    model = train_generator(accelerator, arguments, model, expression, identity, sets.training, sets.validation)

    if accelerator.is_main_process:
        model.to(accelerator.device)
        # It was trained with G_es, in this run or before, and stage 2 left that as it was.
        trained = arguments.expression_stage.steps or (former is not None and reads_alike(model, former))
        classifier = expression.head if trained and config.freeze_expression_encoder else None
        finalize(model, sets.training, arguments.class_balance, sets.validation, classifier)
        save_model(model, arguments, sets.kept_out, output / "model")
        print(f"Saved to {output / 'model'}")
        if arguments.push_to_hub:
            address = push_model(
                output / "model", arguments.hub_model_id, arguments.hub_private_repo, tag=run_tag(output)
            )
            print(f"Published as {address}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


def choose_precision(wanted: str) -> str:
    """`auto`: bf16 on a GPU that computes in it, fp32 elsewhere."""
    if wanted != "auto":
        return wanted
    on_gpu = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "false").lower() not in ("true", "1")
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "no"


if __name__ == "__main__":
    try:
        main()
    except (FileNotFoundError, FileExistsError, ValueError, PublishError) as error:
        # Bad data and contradictory settings: the message says which.
        logging.getLogger(__name__).debug("", exc_info=True)
        sys.exit(f"train_accelerate.py: {error}")
