"""Records from what is not one plain file: Arrow files, saved dataset folders, databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import sqlalchemy

from tunewright.data.orientation import SPLITS
from tunewright.errors import DataError
from tunewright.store import digest, write_text

_BATCH = 1024


def arrow(path: Path) -> Iterator[dict[str, Any]]:
    """The records of an Arrow file or stream. Raises `pyarrow.ArrowException`."""
    with pyarrow.memory_map(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_stream(source)
            batches = iter(reader)
        except pyarrow.ArrowInvalid:
            file = pyarrow.ipc.open_file(source)
            reader, batches = file, (file.get_batch(i) for i in range(file.num_record_batches))
        name = named(reader.schema.metadata)
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH):
                yield from map(name, batch.slice(start, _BATCH).to_pylist())


def splits_of(folder: Path) -> list[str]:
    """The splits of a saved dataset folder, or of one of Parquet files as the hub has them; [] where it has none."""
    if (folder / "dataset_dict.json").is_file():
        return [str(name) for name in json.loads((folder / "dataset_dict.json").read_text("utf-8")).get("splits", ())]
    names = dict.fromkeys(path.name.partition("-")[0] for path in sorted(folder.glob("data/*-*.parquet")))
    return [name for name in names if name in SPLITS]


def files_of(folder: Path, split: str = "") -> list[Path]:
    """The data files of a saved dataset folder, or of a folder of Parquet or Arrow files; [] when it is neither.

    Of a folder of several splits those of `split`, its `train` by default.
    """
    split = split or "train"
    if (folder / "dataset_dict.json").is_file():
        folder = folder / split
    if (folder / "state.json").is_file():
        listed = json.loads((folder / "state.json").read_text("utf-8")).get("_data_files", [])
        return [folder / entry["filename"] for entry in listed]
    return sorted([*folder.glob("*.parquet"), *folder.glob(f"data/{split}-*.parquet"), *folder.glob("*.arrow")])


def named(metadata: dict[bytes, bytes] | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What turns class numbers into the names that the file's own metadata gives them."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError):
        return lambda row: row
    names = {c: f["names"] for c, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}

    def name(row: dict[str, Any]) -> dict[str, Any]:
        for column, texts in names.items():
            value = row.get(column)
            if isinstance(value, int) and 0 <= value < len(texts):
                row[column] = texts[value]
        return row

    return name if names else lambda row: row


def snapshot(url: str, query: str, folder: Path, root: Path) -> Path:
    """The rows that `query` gives at the database `url`, kept as a file in `folder`: what was read stays known.

    A database that is a file (SQLite) is looked for beside the recipe, in `root`. Raises `DataError` when the database
    or the query cannot be used.
    """
    try:
        engine = sqlalchemy.create_engine(_beside(url, root))
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text(query)).mappings()
            lines = [json.dumps(dict(row), ensure_ascii=False, default=str) for row in rows]
        engine.dispose()
        shown = engine.url.render_as_string(hide_password=True)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"the database cannot be read: {first}", where=query[:80], remedy="Check the URL, the driver and the query."
        ) from error
    if not lines:
        raise DataError("the query gives no rows.", where=query[:80], remedy=f"Try it in the database ({shown}).")
    path = folder / f"query-{digest(query, *lines)[:12]}.jsonl"
    write_text(path, "\n".join(lines) + "\n")
    return path


def _beside(url: str, root: Path) -> sqlalchemy.URL:
    """The URL with a relative file taken from `root`. SQLite would make a file that is missing: that is refused."""
    given = sqlalchemy.make_url(url)
    whole = given.database or ""
    head = "file:" if whole.startswith("file:") else ""
    name = whole.removeprefix(head)
    if given.get_backend_name() != "sqlite" or name in ("", ":memory:") or given.query.get("mode") == "memory":
        return given
    path = root / name
    if not path.is_file():
        raise DataError(
            "there is no such database.", where=str(path), remedy="Check the URL; its path is relative to the recipe."
        )
    return given.set(database=f"{head}{path}")
