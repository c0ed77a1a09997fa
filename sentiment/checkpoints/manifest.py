"""sentiment.json, the manifest of a model folder: how its model reads texts and answers, and what its files hash to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sentiment.pipeline.artifacts import read_json_object, write_json
from sentiment.pipeline.errors import InputError, plain_name
from sentiment.pipeline.labels import MANIFEST, THRESHOLD
from sentiment.pipeline.params import PositiveFloat, Reading, Share, TextParams, TokenizeParams, problems_of
from sentiment.reviews.normalization import AS_IT_STANDS


class Manifest(Reading):
    """How the model of a folder reads texts and answers, and what the folder's files must hash to.

    A key that is not among these stays when the manifest is written again.
    """

    model_config = ConfigDict(extra="allow")

    text: TextParams = Field(description="how every text is normalized before it is read")
    formulation: Literal["head", "label_words"] = Field(description="what answers")
    temperature: PositiveFloat = Field(description="the logits are divided by it before they become probabilities")
    threshold: Share = Field(description="a text is positive where the probability of positive is greater")
    abstain_below: Share | None = Field(
        None, description="a label whose own probability is less is left empty; null leaves none empty"
    )
    generated_texts: bool = Field(False, description="whether it was trained on generated texts only")
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        description="the sha256 of every other file of the folder"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_as_before(cls, content: Any) -> Any:
        """Let a manifest from before texts were normalized mean what it did: as they stand, perhaps in lower case."""
        if not isinstance(content, dict) or "text" in content or "lowercase" not in content:
            return content
        rest = {key: value for key, value in content.items() if key != "lowercase"}
        return {**rest, "text": {**AS_IT_STANDS.model_dump(), "lowercase": content["lowercase"]}}

    @property
    def has_head(self) -> bool:
        """Whether a classification head answers; otherwise the language model does, by its label words."""
        return self.formulation == "head"

    @property
    def caution(self) -> str | None:
        """What a person should know before they trust an answer, in one sentence; None where nothing is known."""
        return "trained on generated texts only: expect errors on other texts" if self.generated_texts else None

    @classmethod
    def from_params(cls, formulation: str, text: TextParams, params: TokenizeParams) -> Self:
        """Return the manifest of a model that is about to be trained, whose files are not yet known."""
        reading = {**params.model_dump(include=set(Reading.model_fields)), "text": text.model_dump()}
        return cls.model_validate(
            {**reading, "formulation": formulation, "temperature": 1.0, "threshold": THRESHOLD, "sha256": {}}
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check the manifest of a model folder.

        Args:
            folder: a folder that the stage train wrote.

        Raises:
            InputError: the folder or the file is missing, or the file says something that cannot be or names a file
                outside its folder.
        """
        path = folder / MANIFEST
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; run `dvc repro` or `dvc pull {folder}`, or name a revision that has it: "
                "--rev REV, with --repo for another repository"
            )
        if not path.is_file():
            raise no_manifest(folder)
        content = read_json_object(path)
        problems = problems_of(cls, content)
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise InputError(f"{path} has {len(problems)} problem(s); train the model again:{listed}")
        manifest = cls.model_validate(content)
        for name in manifest.sha256:
            plain_name(name, f"{path}: sha256")  # files of these names are read, fetched and deleted
        return manifest

    def write(self, folder: Path) -> None:
        """Write the manifest as the last file of a model folder, with the hashes of all others."""
        write_json(folder / MANIFEST, {**self.model_dump(), "sha256": digests(folder)})

    def differing(self, folder: Path) -> dict[str, str]:
        """Compare the files of a folder with the hashes.

        Returns:
            File name to what is wrong with it: `missing`, `changed`, or `not listed` for a file that came later and
            that transformers might read. A README or a hidden file changes no answer and may lie there.
        """
        found, stated = digests(folder), self.sha256
        harmless = {name for name in found if name.startswith(".") or name.endswith(".md")}
        wrong = {n: "missing" if n not in found else "changed" for n in stated if found.get(n) != stated[n]}
        return wrong | dict.fromkeys(found.keys() - stated.keys() - harmless, "not listed")

    def check_files(self, folder: Path) -> None:
        """Raise if the files of a folder are not those that were written.

        Raises:
            InputError: names each file and what is wrong with it.
        """
        wrong = self.differing(folder)
        if wrong:
            named = "; ".join(f"{name}: {problem}" for name, problem in sorted(wrong.items()))
            raise InputError(
                f"{folder}: {len(wrong)} file(s) unlike what {MANIFEST} says ({named}); restore the folder, with "
                "`dvc checkout` or from where it came, or train again"
            )


def no_manifest(folder: object) -> InputError:
    """Return the error for a folder without a manifest."""
    return InputError(f"{folder}: no {MANIFEST} in it; only a folder that the stage train wrote can be used")


def content_revision(folder: Path) -> str:
    """Name a model folder by its content.

    Returns:
        `sha256:` and 64 hexadecimal digits: the hash of the manifest, which holds the hashes of all other files and
        so stands for them; the same wherever the folder lies.
    """
    return f"sha256:{_sha256(folder / MANIFEST)}"


def digests(folder: Path) -> dict[str, str]:
    """Compute the sha256 of every file of a model folder but its manifest, by name."""
    return {file.name: _sha256(file) for file in sorted(folder.iterdir()) if file.is_file() and file.name != MANIFEST}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
