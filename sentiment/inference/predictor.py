"""Answer for texts with a model folder: `Predictor.load("models/finetuned")(["A fine film."])`.

The folder's sentiment.json says how texts are read, so that a prediction is the one that the stage
evaluate would write for the same text, whatever texts stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sentiment.backbones.checks import check_numbers
from sentiment.backbones.loading import stored_weights
from sentiment.backbones.torch_setup import find_device
from sentiment.checkpoints.manifest import Manifest, content_revision
from sentiment.engine import heads
from sentiment.engine.probability import probabilities
from sentiment.engine.scoring import score
from sentiment.pipeline.errors import InputError
from sentiment.pipeline.labels import LABELS, MANIFEST, decide
from sentiment.registry import fetching
from sentiment.reviews.files import CHUNK_ROWS, batched, encoding_problem, judge
from sentiment.tokens.encoding import check_max_length, encode
from sentiment.tokens.tokenizer import load_tokenizer, max_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from sentiment.engine.heads import Formulation

DEFAULT_BATCH_SIZE = 32  # texts; where scoring on two cores is about as fast as it gets


@dataclass(frozen=True)
class Prediction:
    """What a model says about one text.

    Attributes:
        label: negative or positive; None where the model abstains.
        probability_positive: in [0, 1].
    """

    label: str | None
    probability_positive: float


def predict_label(positive: float, threshold: float, abstain_below: float | None) -> Prediction:
    """Turn a probability into a prediction.

    Args:
        positive: the probability of the positive label, in [0, 1].
        threshold: what it must exceed for the label to be positive.
        abstain_below: the least probability of the label itself with which it is given; None gives it always.
    """
    number = int(decide(positive, threshold))
    own = positive if number else 1 - positive
    silent = abstain_below is not None and own < abstain_below
    return Prediction(None if silent else LABELS[number], positive)


@dataclass(frozen=True)
class Predictor:
    """A model folder, loaded and checked, ready to score.

    Attributes:
        model: the fine-tuned model.
        formulation: a head, or label words.
        tokenizer: its tokenizer.
        manifest: what its sentiment.json says.
        revision: the git commit it was taken from, or `sha256:...` over its files.
        device: cpu, cuda or mps.
        batch_size: texts scored at once; changes the speed, and no prediction by more than rounding.
    """

    model: PreTrainedModel
    formulation: Formulation
    tokenizer: PreTrainedTokenizerFast
    manifest: Manifest
    revision: str
    device: str = "cpu"
    batch_size: int = DEFAULT_BATCH_SIZE

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        rev: str | None = None,
        repo: str | None = None,
        remote: str | None = None,
        device: str = "cpu",
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> Predictor:
        """Load a model folder, after making sure that its files are those that were written.

        Args:
            folder: a folder that the stage train wrote; with `rev`, `repo` or `remote`, its path in the repository.
            rev: take it from this git revision, as `sentiment.registry.fetching.fetch_model` does.
            repo: of this repository.
            remote: from this DVC remote.
            device: cpu, cuda, mps, or auto, the first of cuda, mps and cpu that is here.
            batch_size: texts scored at once.

        Raises:
            InputError: there is no such folder or device, a file of the folder has changed, or a weight is no number.
        """
        folder, revision = fetching.find_model(str(folder), rev, repo, remote)
        return cls.open(folder, revision, device, batch_size)

    @classmethod
    def open(cls, folder: Path, revision: str | None, device: str, batch_size: int) -> Predictor:
        """Load a model folder on this machine, as `load` does; `revision` None names it by its content."""
        device = find_device(device, "device")
        manifest = Manifest.read(folder)
        manifest.check_files(folder)
        tokenizer = load_tokenizer(folder)
        with torch.random.fork_rng(devices=[]):  # loading seeds torch, which is the caller's own affair
            model, formulation = heads.load(folder, tokenizer, manifest, seed=0)
        check_numbers(stored_weights(model), folder)
        where = f"{folder / MANIFEST}: max_length"
        check_max_length(manifest.max_length, max_positions(model.config), folder, where)
        return cls(model, formulation, tokenizer, manifest, revision or content_revision(folder), device, batch_size)

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict for texts, in their order.

        Raises:
            InputError: names the first text that is no string or holds no word.
        """
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Predict for any number of texts in constant memory, in their order.

        Yields:
            One prediction for each text.

        Raises:
            InputError: names the first text that is no string or holds no word.
            TypeError: one text was given in place of several.
        """
        if isinstance(texts, str):
            raise TypeError("give a list of texts, such as [text], not one text")
        start = 0
        for chunk in batched(texts, CHUNK_ROWS):
            for number, text in enumerate(chunk, start + 1):
                check_text(number, text)
            for positive in self._positive(chunk):
                yield predict_label(positive, self.manifest.threshold, self.manifest.abstain_below)
            start += len(chunk)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into token ids, as the model was trained to read them.

        Raises:
            InputError: names the first text that has none.
        """
        ids = encode(self.tokenizer, texts, self.manifest).ids
        for text, row in zip(texts, ids, strict=True):
            if not row:
                raise InputError(f"no token of the model's vocabulary stands in the text {text!r}")
        return ids

    def _positive(self, texts: list[str]) -> list[float]:
        logits = score(self.model, self.formulation, self.encode(texts), self.batch_size, self.device)
        positive: list[float] = probabilities(logits, self.manifest.temperature).tolist()
        return positive


def check_text(number: int, text: object) -> None:
    """Raise if a text cannot be scored.

    Raises:
        InputError: names the text by its number, counted from 1.
    """
    problem = judge(text, encoding_problem(text))
    if problem:
        raise InputError(f"text {number}: {problem}; leave it out, or correct it")
