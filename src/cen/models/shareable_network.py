"""What every network can do with files: write itself, with a card, and go to the Hugging Face Hub.

huggingface_hub's own mixin does not fit: it keeps the arguments of a class in ``config.json`` and
calls the class with them, while networks here are put together by `cen.build` from a header that is
checked first; and it would be imported with every network. Names and meaning are those of its
methods.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from cen import __version__
from cen.errors import CheckpointError
from cen.files import write_atomically, write_text
from cen.models import hub
from cen.models.model_card import DescribedNetwork, model_card
from cen.weightfiles import HEADER


class ShareableNetwork(DescribedNetwork):
    """A network that can be written and sent."""

    def write(
        self,
        path: str | Path,
        metadata: Mapping[str, Any] | None = None,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Writes one ``.safetensors`` file, with weights put together elsewhere; see `cen.save`."""
        classes = {name: list(task.classes) for name, task in self.outputs.items() if task.classes}
        full_metadata = {"classes": classes, **self.metadata, **(metadata or {})}
        header = {"version": __version__, "config": self.config, "metadata": full_metadata}
        try:
            text = json.dumps(header)
        except (TypeError, ValueError) as error:
            problem = f"{path}: the metadata cannot be written as JSON: {error}"
            raise CheckpointError(problem) from error
        tensors = self.state_dict() if state is None else state
        kept = _apart({key: value.cpu().contiguous() for key, value in tensors.items()})
        write_atomically(path, partial(save_file, kept, metadata={HEADER: text}), CheckpointError)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        run: str | Path | None = None,
        name: str | None = None,
        license: str | None = None,
    ) -> None:
        """Writes ``model.safetensors``, and ``README.md`` where there is none: the model card.

        Args:
            folder: made if needed; `cen.load` takes it.
            run: the run folder that the network comes from: data, scores and how it was chosen go
                into the card.
            name: what the card calls the network; the name of the folder by default.
            license: identifier of the licence of the weights, as the Hub knows it, such as "mit".

        Raises:
            CheckpointError: a file cannot be written.
            CenError: a file of the run cannot be read.
        """
        folder = Path(folder)
        card = model_card(self, name or folder.resolve().name, run, license)
        self.write(folder / hub.WEIGHTS)
        if not (folder / hub.CARD).exists():
            write_text(folder / hub.CARD, card, CheckpointError)

    def push_to_hub(
        self,
        repository: str,
        *,
        run: str | Path | None = None,
        private: bool = False,
        license: str | None = None,
    ) -> str:
        """Sends the network to the Hugging Face Hub, from where ``cen.load("hf://…")`` gets it.

        The card there is written anew; to edit it first, use `save_pretrained` and ``cen push``.

        Args:
            repository: ``owner/name``, made if needed.
            run: see `save_pretrained`.
            private: whether a new repository is seen by its owner alone.
            license: see `save_pretrained`.

        Returns:
            The URL of the repository.

        Raises:
            CheckpointError: the Hub refuses it or cannot be reached, or nobody is logged in.
            CenError: huggingface_hub is not installed, or a file of the run cannot be read.
        """
        hub.check_repository(repository)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, run=run, name=repository, license=license)
            return hub.push(Path(folder), repository, private=private)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of which no two share memory, as the file has one place for each name.

    A network may hold a weight or a layer under two names.
    """
    seen: set[int] = set()
    apart = {}
    for key, value in tensors.items():
        memory = value.untyped_storage().data_ptr()
        apart[key] = value.clone() if memory in seen else value
        seen.add(memory)
    return apart
