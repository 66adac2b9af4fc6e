"""The figures of a fit in words: good, look again, bad; one place for the limits that the screen shows."""

from dataclasses import dataclass

GOOD, LOOK, BAD = "good", "look again", "bad"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Good up to half the limit, to be looked at again up to the limit, bad from there on.

    Attributes:
        value: the limit, in the figure's unit. help: what the figure means, for a tooltip.
    """

    value: float
    help: str

    def band(self, figure: float) -> str:
        """The word for a figure."""
        if figure <= self.value / 2:
            return GOOD
        return LOOK if figure < self.value else BAD

    @property
    def words(self) -> str:
        """The tooltip with its limits."""
        return f"{self.help} Good up to {self.value / 2:g}, bad from {self.value:g}."


REPROJECTION = Limit(
    value=20,
    help="How far the mesh's joints are from the detected points, in pixels, as if the person were 512 pixels tall.",
)
GAP_CM = Limit(value=3, help="Distance between the two body parts in the latest fit, in centimetres, at their nearest.")
INSIDE_CM = Limit(value=3, help="How deep one body reaches into the other at the deepest place, in centimetres.")
LIMB = Limit(
    value=6,
    help="How much further a contact pulls a limb from its keypoints, in pixels, as if people were 512 pixels tall.",
)
