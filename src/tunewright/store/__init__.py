"""Takes what must last, gives it to the disk whole or not at all."""

from tunewright.store.files import (
    append_line,
    digest,
    directory,
    read_json,
    read_lines,
    tree_digest,
    write_json,
    write_text,
)

__all__ = [
    "append_line",
    "digest",
    "directory",
    "read_json",
    "read_lines",
    "tree_digest",
    "write_json",
    "write_text",
]
