"""A page that shows why a method that ranks a gallery is right or wrong: queries beside the first photos of their rankings.

Of each method some right and some wrong queries, evenly over their ids; of each the first five photos of the gallery, with
lines between the keypoints that one camera's move explains (RootSIFT, `local.verification`; whatever the method itself
compared). Photos of services whose pixels may not be kept, such as Street View, are named and never drawn. Queries are
test photos: the page is for people, and nothing may be chosen by it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.label_set import photos_at
from benchmark.leaderboard.rows import Leaderboard
from benchmark.leaderboard.table import aligned
from benchmark.local.keypoints import Sift
from benchmark.local.verification import PairVerifier, Rules
from benchmark.photos import Photos, WorkspacePhotos
from benchmark.predicting.drawing import data_uri, matched, spread
from benchmark.predicting.neighbours import may_be_kept
from benchmark.predictions import Ranking
from benchmark.results import find_run
from benchmark.scoring.metrics import errors_km
from benchmark.scoring.truth import SAME_PLACE_KM, Truth
from collector.manifest.manifest import Manifest
from collector.records import Photo
from collector.web.markdown import environment, link_address, plain
from collector.workspace import Workspace

SHOWN = 5
"""Photos of the gallery for a query."""

EACH = 3
"""Right queries of a method, and wrong ones."""

_SIDE = 480  # pixels that keypoints are found at, and that pictures are cut down to


@dataclass(frozen=True)
class MatchPages:
    """Draws pairs of a manifest's photos from a workspace."""

    manifest: Manifest
    workspace: Workspace
    level: str = "city"

    def page(self, board: Leaderboard) -> str:
        """Return the page of the methods of a board that rank the gallery, in the board's order; empty where none does.

        Raises:
            UsageError: keypoints cannot be found: the extra local is missing.
            DataError: a run does not fit the manifest.
        """
        truth = Truth.of(self.manifest, level=self.level)
        methods = []
        for row in board.rows:
            run = find_run(self.workspace.runs, row.runs[0])
            ranking = aligned(truth, self.workspace.runs, run).ranking
            if ranking is not None and ranking.rows.shape[1]:
                right, wrong = self._chosen(ranking, truth)
                methods.append({"title": row.title, "right": right, "wrong": wrong})
        name = f"{board.title} {board.version}"
        template = environment("benchmark.predicting").get_template("matches.html.jinja")
        return template.render(methods=methods, name=name, near=round(1000 * SAME_PLACE_KM)) if methods else ""

    def _chosen(self, ranking: Ranking, truth: Truth) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        there = np.where((ranking.rows[:, :1] < 0), np.nan, truth.gallery.places[ranking.rows[:, 0]])
        km: Any = errors_km(there, truth.places)
        sides = (np.flatnonzero(km <= SAME_PLACE_KM), np.flatnonzero(km > SAME_PLACE_KM))
        right, wrong = ([self._query(ranking, truth, row) for row in spread(rows, EACH)] for rows in sides)
        return right, wrong

    def _query(self, ranking: Ranking, truth: Truth, row: int) -> dict[str, Any]:
        query = photos_at(self.manifest, "test", self.level)[row]
        rows = [int(number) for number in ranking.rows[row, :SHOWN] if number >= 0]
        gallery = [photos_at(self.manifest, "train", self.level)[number] for number in rows]
        km: Any = (
            errors_km(truth.gallery.places[rows], np.repeat(truth.places[[row]], len(rows), axis=0)) if rows else []
        )
        pairs = [
            {**self._pair(query, photo), "far": far_text(far), "right": bool(far <= SAME_PLACE_KM), **_credit(photo)}
            for photo, far in zip(gallery, km, strict=True)
        ]
        return {**_credit(query), "pairs": pairs}

    def _pair(self, query: Photo, photo: Photo) -> dict[str, Any]:
        if not (self._may_be_drawn(query) and self._may_be_drawn(photo)):
            return {"picture": "", "inliers": None}
        store = WorkspacePhotos(self.workspace)
        sides = [Photos((of.photo_id,), (str(of.sha256),), store) for of in (query, photo)]
        picture, inliers = matched(sides, PairVerifier(Sift(side=_SIDE), Rules(), store.cache))
        return {"picture": data_uri(picture, "JPEG", quality=80), "inliers": inliers}

    def _may_be_drawn(self, photo: Photo) -> bool:
        kept = may_be_kept(photo.photo_id, self.manifest.header.provider_traits)
        return bool(kept and photo.sha256 and self.workspace.photo(photo.sha256).is_file())


def far_text(km: float) -> str:
    """Return how far away a photo was taken, in metres or whole kilometres."""
    if np.isnan(km):
        return "place unknown"
    return f"{1000 * km:.0f} m away" if km < 1 else f"{km:,.0f} km away".replace(",", "\u202f")


def _credit(photo: Photo) -> dict[str, Any]:
    return {
        "photo_id": plain(photo.photo_id),
        "title": plain(photo.title or ""),
        "author": plain(photo.author_name or ""),
        "licence": plain(photo.license),
        "url": link_address(photo.page_url),
    }
