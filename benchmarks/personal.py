"""Recall and precision of the personal data patterns, type by type, on sentences whose data is labelled.

`python benchmarks/personal.py [--data DIR] [--json]` reads presidio-research's `synth_dataset_v2.json`. A labelled span
counts as found when a find of its type overlaps it; a find counts as right when it overlaps a label of its type. Other
sentences in the same form (`full_text`, `spans`) are read with `--file`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunewright.text import find

# Labels of presidio-research, and what we call the same.
KINDS = {
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip_address",
    "DOMAIN_NAME": "url",
    "US_SSN": "us_ssn",
    "PHONE_NUMBER": "phone",
}
# Phones of this kind are promised; the others are reported.
PLUS = "phone that begins with +"
WANTED = {"recall": 0.95, "precision": 0.9}


def measured(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float | int | None]]:
    """Per type: how many spans are `labelled`, `recall` of them and `precision` of the finds (None without finds).

    Types that the labels do not know are left out. `PLUS` has no precision of its own: it is part of `phone`.
    """
    gold: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row in rows:
        spans = find(row["full_text"])
        labels = [s for s in row["spans"] if s["entity_type"] in KINDS]
        for label in labels:
            kind = KINDS[label["entity_type"]]
            plus = kind == "phone" and str(label["entity_value"]).startswith("+")
            for name in (kind, PLUS) if plus else (kind,):
                gold[name] += 1
                hit[name] += any(s.kind == kind and _overlap(s, label) for s in spans)
        for s in spans:
            found[s.kind] += 1
            right[s.kind] += any(KINDS[label["entity_type"]] == s.kind and _overlap(s, label) for label in labels)
    return {
        kind: {
            "labelled": gold[kind],
            "recall": hit[kind] / gold[kind],
            "precision": right[kind] / found[kind] if found[kind] else None,
        }
        for kind in sorted(gold)
    }


def _overlap(span: Any, label: Mapping[str, Any]) -> bool:
    return bool(span.start < label["end_position"] and span.end > label["start_position"])


def short_of(results: Mapping[str, Mapping[str, float | int | None]]) -> list[str]:
    """What falls short of the promise: recall of at least 0.95 and precision of at least 0.9, all phones aside."""
    return [
        f"{kind}: {name} {value:.3f}"
        for kind, figures in results.items()
        for name, least in WANTED.items()
        if (value := figures[name]) is not None and value < least and (kind, name) != ("phone", "recall")
    ]


def main() -> int:
    """Print the table, or one JSON document; 3 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data", help="folder of the real sets"
    )
    parser.add_argument("--file", type=Path, help="labelled sentences of your own in the same form")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    path = asked.file or asked.data / "presidio_research" / "synth_dataset_v2.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    results = measured(rows)
    short = short_of(results)
    if asked.json:
        print(json.dumps({"benchmark": "personal", "sentences": len(rows), "results": results, "short": short}))
    else:
        print(f"{len(rows):,} sentences of {path.name}\n\n{'type':26} {'labelled':>8} {'recall':>8} {'precision':>10}")
        for kind, figures in results.items():
            precision = "-" if figures["precision"] is None else f"{figures['precision']:.3f}"
            print(f"{kind:26} {figures['labelled']:8,} {figures['recall']:8.3f} {precision:>10}")
        print("\n" + (f"short of the promise: {', '.join(short)}" if short else "every promise is kept"))
    return 3 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
