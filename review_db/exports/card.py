"""The dataset card: the paper's datasheet questions, answered by counting what is exported."""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from review_db.exports.options import QUESTIONS, ExportOptions, Form
from review_db.exports.snapshot import Item

_OPEN = "*Not recorded in the workspace; to be answered by whoever distributes the data (--about).*"
_MOST = 12


@dataclass
class Summary:
    """Counts over the exported pairs, collected while they pass."""

    pairs: int = 0
    simulated: int = 0
    as_of: str = ""
    images: set[str] = field(default_factory=set)
    real_images: set[str] = field(default_factory=set)
    body: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    sources: Counter[tuple[str, bool]] = field(default_factory=Counter)
    interactions: Counter[str] = field(default_factory=Counter)
    askers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    curators: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    contacts: Counter[str] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    decided: list[str] = field(default_factory=list)
    reviewed_twice: int = 0
    disputed: int = 0
    notes: int = 0
    errors: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Count one pair."""
        entry, image = item.entry, item.record.image.sha256
        self.pairs += 1
        self.simulated += entry["simulated"]
        self.as_of = max(self.as_of, entry["updated_at"])
        self.images.add(image)
        if not entry["simulated"]:
            self.real_images.add(image)
        self.splits[item.split] += 1
        self.states[entry["state"]] += 1
        self.sources[entry["source"], entry["simulated"]] += 1
        self.interactions[entry["interaction"].strip().lower()] += 1
        self.notes += bool(entry["note"])
        if entry["answer"]:
            self.askers[" / ".join(filter(None, (entry["answer"]["asker"], entry["answer"]["model"])))] += 1
            self.asked.append(entry["answer"]["asked_at"])
        self.failed.update(each["status"] for each in entry["other_answers"] if each["status"] != "ok")
        self._add_work(entry)
        if item.fit is not None:
            self.body[item.fit.body] += 1
            self.errors.append(max(item.fit.reprojection_512))
            self.gaps.append(item.fit.max_gap_m)

    def _add_work(self, entry: Mapping[str, Any]) -> None:
        self.edits.update(step["edit"]["kind"] for step in entry["history"] if step["curator"] and not step["undone"])
        del self.edits["decide"]  # counted as decisions
        for line in entry["contacts"]:
            self.contacts["dropped" if line["dropped"] else "active"] += 1
            if line["original"]["source"] == "curator":
                self.contacts["added"] += 1
            elif not line["dropped"] and line["contact"]["parts"] != line["original"]["parts"]:
                self.contacts["changed"] += 1
        self.curators.update(each["curator"] for each in entry["decisions"])
        self.decided += [each["made_at"] for each in entry["decisions"] if each["stands"]]
        by_curator = {each["curator"]: each["verdict"] for each in [*entry["reviews"], *entry["decisions"]]}
        self.reviewed_twice += len(by_curator) > 1
        self.disputed += len(set(by_curator.values())) > 1


def card(summary: Summary, options: ExportOptions, versions: Mapping[str, str], data_files: Iterable[str]) -> str:
    """The text of ``README.md``."""
    about = {name: options.about.get(name, _OPEN) for name in QUESTIONS}
    sections = {
        "Motivation": _motivation(about),
        "Composition": _composition(summary, options, about),
        "Collection process": _collection(summary, about),
        "Preprocessing, cleaning, labelling": _labelling(summary, versions),
        "Uses": _uses(summary, about),
        "Distribution": _distribution(summary, options, about),
        "Maintenance": _maintenance(summary, about),
    }
    lines = [_front_matter(summary, options, data_files), "# Pairs of people in close contact", "", _headline(summary)]
    for title, answers in sections.items():
        lines += ["", f"## {title}"]
        for question, answer in answers.items():
            lines += ["", f"**{question}** {answer}"]
    return "\n".join([*lines, "", "## Files", "", _FILES[options.form], _COMMON, ""])


def _headline(s: Summary) -> str:
    return (
        f"{_n(s.pairs, 'pair')} of people in {_n(len(s.images), 'image')}, {s.simulated} of the pairs simulated "
        f"(rendered by the program, no photograph). State of {s.as_of} (UTC)."
    )


def _motivation(about: Mapping[str, str]) -> dict[str, str]:
    return {QUESTIONS[name]: about[name] for name in ("purpose", "creators", "funding")}


def _composition(s: Summary, options: ExportOptions, about: Mapping[str, str]) -> dict[str, str]:
    sources = (f"{_named(name)}: {count}{' (simulated)' * fake}" for (name, fake), count in s.sources.most_common())
    fitted = sum(s.body.values())
    real = len(s.real_images)
    shown = "are in this folder" if options.images else "are not in this folder; they are named by their SHA-256"
    splits = (
        f"Yes: {_counts(s.splits)} pairs. A photograph, by its content, lies in one split only."
        if options.splits
        else "None is made here."
    )
    return {
        "What do the instances represent?": "A pair of people in an image: their boxes, 2D keypoints, what a "
        "vision-language model said of them, the contacts as curators left them, and their posed bodies.",
        "How many instances are there in total?": f"{_n(s.pairs, 'pair')} in {_n(len(s.images), 'image')}: "
        f"{s.simulated} simulated, {s.pairs - s.simulated} of photographs.",
        "Does the dataset contain all possible instances?": f"No. It holds the pairs selected by {_where(options)}; "
        f"by state: {_counts(s.states)}.",
        "What data does each instance consist of?": f"By source: {'; '.join(sources)}. The images {shown}.",
        "Is there a label or target associated with each instance?": f"{fitted} pairs have SMPL-X parameters of both "
        f"people, by body model: {_counts(s.body)}. {s.contacts['active']} contacts stand. Interactions "
        f"({len(s.interactions)} in all): {_counts(s.interactions)}.",
        "Is any information missing from individual instances?": f"{s.pairs - fitted} pairs have no fit, "
        f"{s.pairs - sum(s.askers.values())} no answer, {s.pairs - len(s.decided)} no decision.",
        "Are relationships between individual instances made explicit?": "Yes: pairs of one image share its SHA-256.",
        "Are there recommended data splits?": splits,
        "Are there any errors, sources of noise, or redundancies?": "Keypoints, contacts and bodies are estimates. "
        + _errors(s)
        + " A person can be part of several pairs of one image.",
        "Is the dataset self-contained?": "Yes." if options.images else "All but the images.",
        "Might the data be considered confidential?": f"{real} of the images are photographs, whose people may be "
        "recognised; treat them as personal data."
        if real
        else "No: every image is simulated.",
        QUESTIONS["offensive"]: about["offensive"] if real else "No: every image is simulated.",
        QUESTIONS["sensitive"]: about["sensitive"] if real else "No: every image is simulated.",
        "Does the dataset relate to people?": "Yes." if real else "Its people are simulated.",
        "Does the dataset identify any subpopulations?": "No; the 11th shape coefficient leads from adult to child.",
        "Is it possible to identify individuals?": "From the photographs and, in part, from texts that describe them."
        if real
        else "No.",
    }


def _errors(s: Summary) -> str:
    if not s.errors:
        return "No pair has a fit."
    low, high = np.percentile(s.errors, [50, 95])
    gap = np.median(s.gaps) * 100
    return (
        f"The larger of a pair's two reprojection errors (512-scaled) has a median of {low:.1f} and a 95th percentile "
        f"of {high:.1f}; the largest gap of a contact a median of {gap:.1f} cm."
    )


def _collection(s: Summary, about: Mapping[str, str]) -> dict[str, str]:
    return {
        "How was the data associated with each instance acquired?": "Keypoints and first meshes come from estimators' "
        f"files; contacts from {_counts(s.askers) or 'no model'}; bodies from a fit to both.",
        "What mechanisms or procedures were used to collect the data?": "The program apu-review: propose, ask, "
        f"denoise, fit, review. {_n(sum(s.failed.values()), 'failed question')} stand beside the answers.",
        "If the dataset is a sample from a larger set, what was the sampling strategy?": "Every pair of people whose "
        "keypoints lie close together is proposed; curators and the filter of this export decide.",
        QUESTIONS["compensation"]: about["compensation"],
        "Over what timeframe was the data collected?": f"Answers {_span(s.asked)}; decisions {_span(s.decided)}.",
        QUESTIONS["ethics"]: about["ethics"],
        "Did you collect the data from the individuals in question directly?": "No; from existing images."
        if s.real_images
        else "There are no such individuals.",
        QUESTIONS["consent"]: about["consent"] if s.real_images else "Every image is simulated.",
        QUESTIONS["impact"]: about["impact"] if s.real_images else "Every image is simulated.",
        "Can consent be revoked?": "Yes: `apu forget` removes an image and all that derives from it, and the workspace "
        "refuses it from then on. Exports made before have to be replaced.",
    }


def _labelling(s: Summary, versions: Mapping[str, str]) -> dict[str, str]:
    disputed = f"Of {_n(s.reviewed_twice, 'pair')} that several curators judged, {s.disputed} are disputed."
    return {
        "Was any preprocessing, cleaning or labelling of the data done?": f"Curators: {_counts(s.curators) or 'none'} "
        f"(decisions each). Their edits by kind: {_counts(s.edits) or 'none'}. Contacts: {s.contacts['changed']} "
        f"changed, {s.contacts['added']} added, {s.contacts['dropped']} dropped. {disputed}",
        'Was the "raw" data saved in addition?': "Yes: the models' texts and the history of every edit, with who and "
        "when, in the forms apu and csv.",
        "Is the software available?": "Yes: "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + "; `manifest.json` has the settings.",
    }


def _uses(s: Summary, about: Mapping[str, str]) -> dict[str, str]:
    fake = f" {s.simulated} pairs are simulated and say nothing of real people." if s.simulated else ""
    return {
        QUESTIONS["used"]: about["used"],
        QUESTIONS["papers"]: about["papers"],
        "What (other) tasks could the dataset be used for?": "Priors of two people in contact, evaluation of human "
        "mesh estimates, contact estimation from images, and measuring what models and their corrections get wrong.",
        "Is there anything that might impact future uses?": "Sources were not chosen to represent people in any "
        "proportion, and curators see the fit before they decide." + fake,
        "Are there tasks for which the dataset should not be used?": "Identifying people, and explicit or harmful "
        "content of them or others.",
    }


def _distribution(s: Summary, options: ExportOptions, about: Mapping[str, str]) -> dict[str, str]:
    names = "under pseudonyms" if options.pseudonyms else "under the names they work with; --pseudonyms hides them"
    return {
        QUESTIONS["channel"]: about["channel"],
        QUESTIONS["licence"]: about["licence"],
        QUESTIONS["restrictions"]: about["restrictions"] if s.real_images else "None is known: all is simulated.",
        QUESTIONS["regulation"]: about["regulation"],
        "How are curators named?": f"{len(s.curators)}, {names}; {s.notes} pairs have a note of free text.",
    }


def _maintenance(s: Summary, about: Mapping[str, str]) -> dict[str, str]:
    return {
        QUESTIONS["contact"]: about["contact"],
        QUESTIONS["erratum"]: about["erratum"],
        QUESTIONS["updates"]: about["updates"],
        QUESTIONS["older"]: about["older"],
        "Are there applicable limits on the retention of the data?": "Images that are forgotten in the workspace are "
        "in none of its later exports.",
        "Can others extend or contribute?": "Yes: `apu import-decisions` takes an export of the form apu into another "
        "workspace, all of it or nothing.",
        "Which version is this?": f"The state of {s.as_of} (UTC); `manifest.json` has the SHA-256 of every file.",
    }


def _where(options: ExportOptions) -> str:
    where = options.settings()["where"]
    return ", ".join(f"{name} = {_plain(value)}" for name, value in where.items()) or "no filter"


def _plain(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, list) else str(value)


def _counts(counter: Counter[str]) -> str:
    """The most frequent ones with their numbers; ties by name, so that equal data give equal text."""
    ranked = sorted(counter.items(), key=lambda each: (-each[1], each[0]))
    rest = sum(count for _, count in ranked[_MOST:])
    shown = [f"{_named(name)} {count}" for name, count in ranked[:_MOST]]
    return ", ".join(shown + ([f"others {rest}"] if rest else []))


def _named(text: str) -> str:
    """Foreign text on one line, without the signs that Markdown and HTML would act on."""
    plain = " ".join(text.split())[:80]
    return html.escape("".join("\\" + each if each in "\\`*_{}[]()#!|~$" else each for each in plain)) or "(none)"


def _span(times: list[str]) -> str:
    days = sorted({time[:10] for time in times if time})
    return (days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}") if days else "none"


def _n(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def _front_matter(s: Summary, options: ExportOptions, data_files: Iterable[str]) -> str:
    """What the Hugging Face hub and `datasets` read; plain text for everyone else."""
    size = next((name for limit, name in _SIZES if s.pairs < limit), "1M<n<10M")
    lines = ["---", "pretty_name: Pairs of people in close contact", "size_categories:", f"- {size}"]
    if options.form is Form.PARQUET:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        splits = sorted({name.rpartition("/")[2].rpartition("-")[0] for name in data_files})
        for split in splits:
            lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "---", ""])


_PARAMETERS = (
    "SMPL-X parameters of both people (first axis; 0 is the left one in the image) in the camera's frame (OpenCV axes, "
    "metres, radians) and the intrinsics `K` in pixels. For `smplx` with `use_pca=False, flat_hand_mean=False, "
    'age="kid"`; `betas` are 10 of SMPL-X and the interpolation from adult (0) to child (1).'
)
_FILES = {
    Form.APU: "- `pairs.json`: a dictionary per pair: image and boxes, interaction, 2D keypoints, the models' answers, "
    "the contacts as they stand with their history, decisions (who, when), fits with their figures.\n"
    f"- `PAIR.npz`: {_PARAMETERS}\n- `artefacts/`: observations and fits as the workspace keeps them; "
    "`apu import-decisions` takes them over. `images/`: the images, where they were asked for.",
    Form.SMPLX: f"- `SPLIT/PAIR.npz`: {_PARAMETERS}",
    Form.AMASS: "- `SPLIT/PAIR_PERSON_stageii.npz`: one person as AMASS stores a motion of one frame (SMPL-X, whole "
    "hand poses, `flat_hand_mean=True`), in the camera's frame (OpenCV axes, metres). `betas` are SMPL-X's first 10, "
    "then zeros; `kid_beta` leads from adult (0) to child (1).",
    Form.PARQUET: "- `data/SPLIT-*.parquet`: one row per pair, with the parameters by `smplx`'s argument names. "
    f"{_PARAMETERS}",
    Form.WEBDATASET: f"- `SPLIT-*.tar`: `PAIR.json` (everything about a pair), `PAIR.npz`: {_PARAMETERS}",
    Form.COCO: "- `annotations/SPLIT.json`: COCO person keypoints with WholeBody's feet and hands; `scores` are the "
    "detector's confidences of the 17, `pairs` the pairs a person belongs to. Neck and mid-hip are not part of COCO.",
    Form.FLICKRCI3D: "- `SPLIT/interaction_contact_signature.json`: per contact the regions and vertices in which the "
    "two parts come closest in the fit.\n- `contact_regions_BODY.json`: which faces of the body each region id means. "
    "Only with FlickrCI3D's own definition are these its ids.",
    Form.GLB: "- `SPLIT/PAIR.glb`: meshes A (left in the image) and B in metres, the camera at the origin, y up, "
    "looking along -z: (x, -y, -z) of the camera's frame with OpenCV axes.",
    Form.CSV: "- `contacts.csv`, `answers.csv`, `decisions.csv`, `history.csv`, `fits.csv`: lists by pair. A cell that "
    "could start a formula begins with an apostrophe.",
    Form.TRAINING: "- `SPLIT-*.safetensors`: tensors with the pairs as first axis, read by "
    "`apu.formats.training.TrainingPairs`, which also says what each one is; `weight` is decision x agreement.",
}
_COMMON = (
    "- `pairs.csv`: one line per pair: image, source, simulated or not, who decided what and when, on which fit.\n"
    "- `manifest.json`: SHA-256 of every file, counts, versions, settings."
)
