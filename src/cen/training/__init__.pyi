from .absent_streams import absent_rows, kept
from .batch_fields import predict
from .batches import (
    EvaluationBatches,
    FusionData,
    StepLoader,
    evaluation_loader,
    group_by_size,
)
from .callbacks import ExchangeMonitor, FiniteLoss, StepLog
from .draws import draw_modalities, step_seed
from .evaluation import evaluate
from .fitting import fit, train_network
from .fusion_scores import FusionScores, subsets
from .generation.discriminators import load_discriminators, make_discriminators
from .generation.translation import Translation
from .generator_statistics import GeneratorMode, generating
from .module import DensePrediction
from .partial_labels import CompleteBatches, fill_in
from .rate import RateController
from .run_checkpoint import RunCheckpoint
from .run_progress import RunProgress
from .scoring_pass import score_network

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
