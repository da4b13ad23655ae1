"""Tree to Spec: the words of a file, checked as far as one line can be."""

from dotnn.read.files import read_file
from dotnn.read.text import read_definitions, read_parts, read_text

__all__ = ["read_definitions", "read_file", "read_parts", "read_text"]
