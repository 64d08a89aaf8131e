"""What a process of the shard test does: reads its share of an epoch and tells process 0."""

import json
from pathlib import Path

import torch.distributed as dist
from torch.utils.data import DataLoader

from cen.data import StepBatches, eval_transform
from cen.data.readers.shards import Shards


def work(rank: int, root: str, out: Path, world: int, start: int) -> None:
    """Reads two epochs from step ``start``; process 0 writes what every process read."""
    dist.init_process_group(
        "gloo", init_method=f"file://{out}/rendezvous{start}", rank=rank, world_size=world
    )
    dataset = Shards(root, "train")
    dataset.transform = eval_transform(dataset.modalities, targets=dataset.targets)
    steps = 2 * len(dataset) // world
    batches = StepBatches(len(dataset), 1, steps, start, seed=3, rank=rank, world=world)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=2)
    read = [(name, float(b["rgb"].sum())) for b in loader for name in b["name"]]
    everything: list[list[tuple[str, float]]] = [[] for _ in range(world)]
    dist.all_gather_object(everything, read)
    if rank == 0:
        (out / f"{start}.json").write_text(json.dumps(everything))
    dist.destroy_process_group()
