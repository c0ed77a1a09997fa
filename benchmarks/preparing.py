"""How fast texts are made ready: tokenized, deduplicated, and read by the TF-IDF baseline.

`python -m benchmarks.preparing --texts imdb=imdb.csv --model folder`; the texts are repeated with variation until there
are enough.
"""

from __future__ import annotations

import random
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks import material
from benchmarks.harness import interleave, medians, meter, parser, peak_memory, publish
from sentiment.pipeline.artifacts import read_json
from sentiment.pipeline.errors import exit_on_input_error

COLUMNS = ("measured", "rows", "seconds", "rows_per_second", "tokens_per_second", "memory_gb", "note")


def varied(texts: list[str], count: int) -> list[str]:
    """Make as many different texts: each holds the sentences of one text in another order, and a number."""
    draw = random.Random(0)  # noqa: S311
    made = []
    for number, text in enumerate(islice(cycle(texts), count)):
        sentences = text.split(". ")
        draw.shuffle(sentences)
        made.append(f"{'. '.join(sentences)} {number}")
    return made


def tokenize(texts: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """Encode as the stage tokenize does."""
    from sentiment.tokens.encoding import encode
    from sentiment.tokens.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(Path(request["model"]))
    with meter() as used:
        tokens = sum(map(len, encode(tokenizer, texts, material.manifest(material.LONG)).ids))
    return {**used, "tokens": tokens}


def tokenize_raw(texts: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """Encode by the Rust tokenizer alone, all texts in one call; what it gives is only counted."""
    from sentiment.tokens.tokenizer import load_tokenizer

    backend = load_tokenizer(Path(request["model"])).backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(material.LONG)
    with meter() as used:
        tokens = sum(len(encoding) for encoding in backend.encode_batch(texts))
    return {**used, "tokens": tokens}


def deduplicate(texts: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """Drop duplicates as the stage prepare does; one text in ten is there twice, in capitals the second time."""
    import pandas as pd

    from sentiment.reviews import cleaning, splitting

    repeated = [*texts[: len(texts) - len(texts) // 10], *(text.upper() for text in texts[: len(texts) // 10])]
    rows = pd.DataFrame({"text": repeated, "label": [number % 2 for number in range(len(repeated))]})
    with meter() as used:
        kept, dropped, _ = splitting.drop_duplicates(
            rows.assign(fingerprint=rows["text"].map(cleaning.folded).map(cleaning.fingerprint))
        )
    assert dropped == len(texts) // 10
    return {**used, "kept": len(kept)}


def baseline(texts: list[str], request: dict[str, Any]) -> dict[str, Any]:
    """Fit the TF-IDF baseline as the stage evaluate does, a tenth for validation and a tenth for test."""
    import numpy as np

    from sentiment.evaluation import baselines

    labels = np.arange(len(texts)) % 2
    tenth = len(texts) // 10
    rows = {"train": slice(2 * tenth, None), "validation": slice(tenth), "test": slice(tenth, 2 * tenth)}
    with meter() as used:
        baselines.tfidf_lr({s: texts[r] for s, r in rows.items()}, {s: labels[r] for s, r in rows.items()})
    return dict(used)


MEASURED = {
    "tokenize, ours": (tokenize, "sentiment.tokens.encoding.encode"),
    "tokenize, Rust alone": (tokenize_raw, "tokenizers' encode_batch, in one call"),
    "deduplicate": (deduplicate, "sentiment.reviews.cleaning; a tenth are duplicates"),
    "TF-IDF baseline": (baseline, "sentiment.evaluation.baselines, words and pairs, three penalties"),
}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Measure one of MEASURED once, on the requested number of texts.

    Returns:
        `meter`'s values, rows and tokens per second, the process's peak in GB with the texts in it.
    """
    texts = varied(read_json(Path(request["work"]) / f"{request['texts']}.json")["texts"], request["rows"])
    result = MEASURED[request["measured"]][0](texts, request)
    speed = {"rows": len(texts), "rows_per_second": len(texts) / result["seconds"], "memory_gb": peak_memory()}
    speed |= {"tokens_per_second": result["tokens"] / result["seconds"]} if "tokens" in result else {}
    return {**result, **speed}


def main() -> None:
    """Measure everything; deduplication on the shortest texts, the rest on the longest."""
    commands = parser(__doc__ or "", rounds=1)
    commands.add_argument("--rows", type=int, default=25_000, help="texts that are tokenized and read by the baseline")
    commands.add_argument("--many", type=int, default=1_000_000, help="texts that are deduplicated")
    arguments = commands.parse_args()
    if arguments.small:
        arguments.rounds, arguments.rows, arguments.many = 1, 100, 500
    with tempfile.TemporaryDirectory() as work:
        made = material.made(arguments, work, classifier=False)
        sets = sorted(made["sets"], key=lambda name: float(made["sets"][name]["mean_length"]))
        few = {"work": work, "model": made["model"], "texts": sets[-1], "rows": arguments.rows}
        many = {**few, "texts": sets[0], "rows": arguments.many}
        requests = {name: {**(many if name == "deduplicate" else few), "measured": name} for name in MEASURED}
        results = interleave(measure, requests, arguments.rounds, arguments.small)
    empty = {"tokens_per_second": None}
    rows = [{"measured": name, **empty, **medians(some), "note": MEASURED[name][1]} for name, some in results.items()]
    publish("preparing", arguments, rows, COLUMNS, texts=made["sets"], rounds=results)


if __name__ == "__main__":
    exit_on_input_error(main)
