"""Out of the workspace: in the paper's data file and the field's formats, with a manifest and a dataset card.

Nothing in an export depends on when or where it was written: equal data give equal bytes.
"""

from review_db.exports.options import ACCEPTED, QUESTIONS, ExportOptions, Form, parse_splits
from review_db.exports.read import Export, Manifest, read_export
from review_db.exports.weights import TrainingWeights, agreement
from review_db.exports.write import export

__all__ = [
    "ACCEPTED", "QUESTIONS", "Export", "ExportOptions", "Form", "Manifest", "TrainingWeights", "agreement", "export",
    "parse_splits", "read_export",
]  # fmt: skip
