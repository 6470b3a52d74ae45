"""Train TER-GAN: `accelerate launch train_accelerate.py --config configs/photo.yaml`."""

import copy
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

from tergan_hf import TerGanError, TerGanModel
from tergan_hf.data.preparation import prepare_sets
from tergan_hf.model.errors_tergan import is_disk_full
from tergan_hf.publishing.hub import check_login, push_model, run_tag
from tergan_hf.training.arguments import TrainingArguments
from tergan_hf.training.checkpoints import DiskFullError, claim_output_dir, find_checkpoints
from tergan_hf.training.classifier import count_correct, fit_and_calibrate
from tergan_hf.training.command_line import parse_arguments
from tergan_hf.training.compute import describe_compute, write_compute
from tergan_hf.training.discriminator_files import check_pretrained_run
from tergan_hf.training.encoder_change import adapt_to_encoder
from tergan_hf.training.encoder_classifier import EncoderClassifier
from tergan_hf.training.identity_fitting import fit_identity
from tergan_hf.training.preflight import check_hardware, check_photos
from tergan_hf.training.saving import save_model
from tergan_hf.training.stage1 import pretrain_encoder
from tergan_hf.training.stage2 import train_generator
from tergan_hf.training.warm_start import check_saved, load_saved, shares_expression_encoder, warm_start


def main(argv: list[str] | None = None):
    arguments = parse_arguments(argv)
    output = Path(arguments.output_dir)
    # The other processes wait while the first one finds and aligns the faces.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    # Terms of weight 0, and the costly ones between their steps, leave parameters without a gradient.
    parallel = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(
        kwargs_handlers=[parallel, patience],
        mixed_precision=choose_precision(arguments.mixed_precision),
        log_with=arguments.report_to or None,  # an empty list warns of missing trackers
        project_config=ProjectConfiguration(project_dir=str(output), logging_dir=str(output / "logs")),
    )
    logging.basicConfig(
        level=logging.INFO if accelerator.is_main_process else logging.ERROR,
        format="%(asctime)s %(name)s: %(message)s",
    )
    if accelerator.device.type == "cpu":
        # `accelerate launch` leaves one thread to each process; share all cores instead.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // accelerator.num_processes))
    elif accelerator.device.type == "cuda":
        # The loader's workers need the cores.
        torch.set_num_threads(2)
        torch.backends.cudnn.benchmark = True  # batches keep their size
        torch.set_float32_matmul_precision("high")
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    check_hardware(accelerator)
    if accelerator.is_main_process:
        lock = claim_output_dir(arguments)  # noqa: F841  held until the process ends
        if arguments.push_to_hub:
            check_login()  # now, not after hours of training
    config = arguments.model_config()
    # Now, not after the faces were found.
    if arguments.pretrained:
        check_saved(arguments.pretrained)
    if arguments.pretrained_run:
        check_pretrained_run(arguments.pretrained_run)
    sets = prepare_sets(
        accelerator, arguments.sources, arguments.resolve, config.expressions, config.image_size, arguments.split_seed
    )
    num_identities = max(1, len(sets.identities))
    accelerator.init_trackers("tergan", init_kwargs={"trackio": {"name": output.name}})

    # Seeded anew for each part, so that a part does not depend on whether the one before was computed or loaded.
    set_seed(arguments.seed)
    pretrained = load_saved(arguments.pretrained) if arguments.pretrained else None
    check_photos(arguments, config, sets.training, pretrained)
    saved_ranges = copy.deepcopy(pretrained.expression_encoder.activation_ranges) if pretrained else None
    start = warm_start(TerGanModel(config), pretrained) if pretrained else None
    expression = pretrain_encoder(
        accelerator,
        arguments,
        config,
        "expression",
        sets.training,
        config.num_labels,
        sets.validation,
        start,
    )
    set_seed(arguments.seed + 1)
    identity = pretrain_encoder(accelerator, arguments, config, "identity", sets.training, num_identities, start=start)
    set_seed(arguments.seed + 2)
    model = start or TerGanModel(config)
    begins = not find_checkpoints(arguments, "generator_stage")
    if pretrained is not None and arguments.expression_stage.steps and begins:
        for encoder in (pretrained.expression_encoder, expression.encoder):
            encoder.to(accelerator.device)
        adapt_to_encoder(model, pretrained.expression_encoder, expression.encoder, sets.training)
    model = train_generator(
        accelerator, arguments, model, expression, identity, sets.training, sets.validation, num_identities
    )

    if accelerator.is_main_process:
        model.to(accelerator.device)
        if arguments.fit_identity:
            fit_identity(model, sets.training)
        # Layers on f(e) still fit if stage 1 of this run or the one before trained them and stage 2 left G_es alone.
        steps = arguments.expression_stage.steps
        trained = steps or (pretrained is not None and shares_expression_encoder(model, pretrained))
        fits = bool(trained and (arguments.freeze_expression_encoder or not arguments.generator_stage.steps))
        same_labels = pretrained is not None and pretrained.config.expressions == config.expressions
        classifier = expression.head if fits and (steps or same_labels) else None
        read = fits and take_over_blendshapes(model, expression, arguments)
        ranges = saved_ranges if fits and not steps else None
        fit_and_calibrate(model, sets.training, arguments.class_balance, sets.validation, classifier, not read, ranges)
        for photos in sets.validation:
            if len(photos.labelled_rows):
                right, all_of_them = count_correct(model, photos)
                print(f"{photos.name}: {right} of {all_of_them} held-out photos are read correctly")
        save_model(model, arguments, sets.kept_out, output / "model")
        write_compute(describe_compute(arguments, accelerator), output / "model")
        print(f"Saved to {output / 'model'}")
        if arguments.push_to_hub:
            address = push_model(
                output / "model", arguments.hub_model_id, arguments.hub_private_repo, tag=run_tag(output)
            )
            print(f"Published as {address}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


def take_over_blendshapes(model: TerGanModel, expression: EncoderClassifier, arguments: TrainingArguments) -> bool:
    """Give the model the layer that stage 1 learnt to read blendshapes with. Returns whether it need not be fitted:
    there is one, or the run goes on from weights that have one."""
    layer = model.blendshape_regressor
    learnt = (
        expression.blendshape_regressor(model.config.blendshape_names) if arguments.expression_stage.steps else None
    )
    if layer is None or learnt is None:
        return layer is None or bool(layer.bias.any())
    with torch.no_grad():
        layer.weight.copy_(learnt[0])
        layer.bias.copy_(learnt[1])
    return True


def choose_precision(wanted: str) -> str:
    """`auto`: what `accelerate launch` asks for, or bf16 on a GPU that computes in it, and fp32 elsewhere."""
    if wanted != "auto":
        return wanted
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
    if launched in ("fp16", "bf16"):
        return launched
    on_gpu = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "false").lower() not in ("true", "1")
    return "bf16" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "no"


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        is_full = is_disk_full(error) and not isinstance(error, DiskFullError)  # which says how to go on
        # A TerGanError is foreseen: bad data, contradictory settings. The message says which.
        if not is_full and not isinstance(error, TerGanError):
            raise
        hint = ": free some space, then add --resume_from_checkpoint latest to go on" if is_full else ""
        sys.exit(f"train_accelerate.py: {error}{hint}")
