"""The data room: the tables that a spec names become typed columns, and columns batches."""

from dotnn.data.arrays import Form
from dotnn.data.asked import Asked, asked
from dotnn.data.batches import batches
from dotnn.data.columns import Bad
from dotnn.data.given import read_rows, read_values
from dotnn.data.load import (
    Dataset,
    Rows,
    SourceTable,
    check_sample,
    find_classes,
    load,
    open_source,
    training_texts,
)
from dotnn.data.skipped import sample_notes

__all__ = [
    "Asked",
    "Bad",
    "Dataset",
    "Form",
    "Rows",
    "SourceTable",
    "asked",
    "batches",
    "check_sample",
    "find_classes",
    "load",
    "open_source",
    "read_rows",
    "read_values",
    "sample_notes",
    "training_texts",
]
