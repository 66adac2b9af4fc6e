"""The store of pairs, answers, contacts, fits and decisions: one workspace folder, nothing lost.

Start at `Workspace`; `review_db.edits` has the typed edits, `review_db.records` what is handed out.
"""

from review_db.edits import (
    Add,
    Drop,
    Edit,
    Flip,
    FlipSide,
    Mirror,
    Restore,
    SetConfidence,
    SetNote,
    SetPart,
    Sheet,
    SheetContact,
    StatedContact,
    Suggestion,
    Swap,
    TakeAnswer,
    TakeReading,
    TakeSuggestion,
)
from review_db.exports import Export, ExportOptions, Form, Manifest, export, read_export
from review_db.fans import Alternative
from review_db.jobs import Jobs
from review_db.records import (
    Agreement,
    AlternativeRecord,
    AnswerRecord,
    ClaimRecord,
    ConflictRecord,
    DecisionRecord,
    DraftRecord,
    EditRecord,
    ExportedPair,
    FanRecord,
    FitRecord,
    ImageInput,
    ImageRecord,
    JobRecord,
    Order,
    PairFilter,
    PairRecord,
    PairState,
    PairSummary,
    ReviewRecord,
    ViewRecord,
)
from review_db.workspace import Workspace

__all__ = [
    "Add", "Agreement", "Alternative", "AlternativeRecord", "AnswerRecord", "ClaimRecord", "ConflictRecord",
    "DecisionRecord", "DraftRecord", "Drop", "Edit", "EditRecord", "Export", "ExportOptions", "ExportedPair",
    "FanRecord", "FitRecord", "Flip", "FlipSide", "Form", "ImageInput", "ImageRecord", "JobRecord", "Jobs",
    "Manifest", "Mirror", "Order", "PairFilter", "PairRecord", "PairState", "PairSummary", "Restore", "ReviewRecord",
    "SetConfidence", "SetNote", "SetPart", "Sheet", "SheetContact", "StatedContact", "Suggestion", "Swap",
    "TakeAnswer", "TakeReading", "TakeSuggestion", "ViewRecord", "Workspace", "export", "read_export",
]  # fmt: skip
