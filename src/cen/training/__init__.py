"""Training and evaluation with Lightning. Importing this imports Lightning.

``fit`` and ``evaluate`` are the whole of it for most uses; the other names are their parts, for
people who put them together otherwise. Losses, optimiser groups and schedules that need no
Lightning are in :mod:`cen.losses` and :mod:`cen.optim`.
"""

from cen.training.absent_streams import absent_rows, kept
from cen.training.batches import (
    EvaluationBatches,
    FusionData,
    StepLoader,
    evaluation_loader,
    group_by_size,
)
from cen.training.callbacks import ExchangeMonitor, FiniteLoss, RunProgress, StepLog
from cen.training.evaluation import evaluate
from cen.training.fit import fit, train_network
from cen.training.fusion_scores import FusionScores, subsets
from cen.training.generation.discriminators import load_discriminators, make_discriminators
from cen.training.generation.translation import Translation
from cen.training.generator_statistics import GeneratorMode, generating
from cen.training.module import DensePrediction, draw_modalities, predict, step_seed
from cen.training.partial_labels import CompleteBatches, fill_in
from cen.training.rate import RateController
from cen.training.run_checkpoint import RunCheckpoint
from cen.training.scoring_pass import score_network

__all__ = [
    "CompleteBatches",
    "DensePrediction",
    "EvaluationBatches",
    "ExchangeMonitor",
    "FiniteLoss",
    "FusionData",
    "FusionScores",
    "GeneratorMode",
    "RateController",
    "RunCheckpoint",
    "RunProgress",
    "StepLoader",
    "StepLog",
    "Translation",
    "absent_rows",
    "draw_modalities",
    "evaluate",
    "evaluation_loader",
    "fill_in",
    "fit",
    "generating",
    "group_by_size",
    "kept",
    "load_discriminators",
    "make_discriminators",
    "predict",
    "score_network",
    "step_seed",
    "subsets",
    "train_network",
]
