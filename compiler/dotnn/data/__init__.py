"""The data room: the tables that a spec names become typed columns, and columns batches."""

from dotnn.data.batches import batches
from dotnn.data.given import read_rows, read_values
from dotnn.data.load import Dataset, Rows, SourceTable, check_sample, find_classes, load, open_source

__all__ = [
    "Dataset",
    "Rows",
    "SourceTable",
    "batches",
    "check_sample",
    "find_classes",
    "load",
    "open_source",
    "read_rows",
    "read_values",
]
