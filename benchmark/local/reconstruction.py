"""3-D models of what a gallery's photos show, from its verified pairs (pycolmap, BSD-3), and where a query's camera stood.

Photos that verified pairs link are one sight. Where a sight has enough of them, incremental structure from motion
(Schönberger and Frahm, CVPR 2016) places cameras and points: from the keypoints and inliers that are here, in a random world.
What an upright photo calls down makes the ground of it; the similarity in the plane that most photos' known places agree with
to `within_m` brings it to the map: a turn, a scale and a shift, four numbers, where a plane of cameras would leave a free
similarity in space undetermined. A query's camera is found from keypoints that belong to points (`locate`).

Focal lengths are unknown: they begin as 1.2 times the longer side, and one number of radial distortion is refined with them.
Seeds are fixed and one thread works. Cost: grows with the square of a sight's photos, seconds for ten, minutes for a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from benchmark.local.graph import PhotoGraph
from benchmark.local.keypoints import Features, bounded
from collector.errors import UsageError
from collector.geo import KM_PER_DEGREE

_FOCAL = 1.2  # of the longer side, where nothing is known
_LEAST = 15  # inliers that register a photo of the gallery
_FEW_MODELS = 20  # of one sight
_PAIRS_OF = 60  # photos of a model whose pairs are tried for the map


@dataclass(frozen=True)
class Ground:
    """From a model's world to the map.

    Attributes:
        axes: (2, 3) orthonormal, in the plane of the ground.
        turn: complex, by how much that plane is turned and scaled, to metres.
        shift: complex, metres east + i · metres north of `origin`.
        origin: latitude and longitude, degrees.
    """

    axes: NDArray[np.float64]
    turn: complex
    shift: complex
    origin: tuple[float, float]

    def place(self, point: NDArray[np.float64]) -> tuple[float, float]:
        """Return latitude and longitude of a point (3,) of the world."""
        east, north = self.axes @ point
        there = self.turn * complex(east, north) + self.shift
        latitude = self.origin[0] + there.imag / (1000 * KM_PER_DEGREE)
        longitude = self.origin[1] + there.real / (1000 * KM_PER_DEGREE * np.cos(np.radians(self.origin[0])))
        return float(latitude), float((longitude + 180) % 360 - 180)


@dataclass(frozen=True)
class SightModel:
    """A model of one sight.

    Attributes:
        photos: (n,) positions in the gallery of those that are registered.
        centres: (n, 3) where their cameras stood, in the model's world.
        downs: (n, 3) what each photo calls down, of length 1.
        points: (P, 3).
        seen: (m, 3) position of a point, of a photo in the gallery, and of a feature in the photo.
    """

    photos: NDArray[np.int64]
    centres: NDArray[np.float64]
    downs: NDArray[np.float64]
    points: NDArray[np.float64]
    seen: NDArray[np.int64]


def sizes_of(shapes: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return the sizes (N, 2), width and height, at which keypoints of photos of these shapes (N, 2) are found."""
    scales = np.minimum(1, side / np.maximum(shapes.min(axis=1, initial=1 << 30), 1))
    found = [
        bounded(max(1, round(w * of)), max(1, round(h * of)), side) for (h, w), of in zip(shapes, scales, strict=True)
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def reconstruct(
    features: Sequence[Features], graph: PhotoGraph, sizes: NDArray[np.int64], enough: int, seed: int
) -> list[SightModel]:
    """Return models of the sights of a gallery that have enough photos, those of a sight with most photos first.

    Args:
        features: of each photo.
        graph: of verified pairs.
        sizes: (G, 2) width and height of the photos that keypoints were found in.
        enough: photos of a sight, and of a model, at least.
        seed: of everything random.

    Raises:
        UsageError: pycolmap is not installed.
    """
    colmap = _pycolmap()
    sight = connected_components(graph.neighbours(), directed=False)[1]
    large = np.flatnonzero(np.bincount(sight, minlength=1) >= enough)
    models: list[SightModel] = []
    for number in large.tolist():
        photos = np.flatnonzero(sight == number)
        with TemporaryDirectory() as folder:
            _fill(colmap, Path(folder) / "database.db", photos, features, graph, sizes, seed)
            (Path(folder) / "models").mkdir()
            found = colmap.incremental_mapping(
                Path(folder) / "database.db", Path(folder), Path(folder) / "models", _options(colmap, enough, seed)
            )
            models += sorted(map(_model, found.values()), key=lambda of: -len(of.photos))
    return [model for model in models if len(model.photos) >= enough]


def locate(
    pixels: NDArray[np.float64], points: NDArray[np.float64], size: NDArray[np.int64], error: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Return where a camera stood that saw points (n, 3) at pixels (n, 2), and which of them agree; None where none fits.

    Args:
        pixels: in the photo.
        points: in a model's world.
        size: width and height of the photo.
        error: of a point that agrees, pixels at most.
        seed: of RANSAC.
    """
    colmap = _pycolmap()
    if len(pixels) < 4:
        return None
    estimation, refinement = colmap.AbsolutePoseEstimationOptions(), colmap.AbsolutePoseRefinementOptions()
    estimation.ransac.max_error, estimation.ransac.random_seed = error, seed
    refinement.refine_focal_length = True
    found = colmap.estimate_and_refine_absolute_pose(pixels, points, _camera(colmap, 1, size), estimation, refinement)
    if found is None:
        return None
    return np.asarray(found["cam_from_world"].tgt_origin_in_src(), np.float64), np.asarray(found["inlier_mask"], bool)


def ground_of(model: SightModel, places: NDArray[np.float64], within_m: float) -> Ground | None:
    """Return how a model lies on the map; None where fewer than three photos agree, or stand too near to each other.

    Args:
        model: of a sight.
        places: (G, 2) latitude and longitude of the gallery, NaN where unknown.
        within_m: metres that a photo's place may be off.
    """
    known = ~np.isnan(places[model.photos]).any(axis=1)
    if known.sum() < 3:
        return None
    latitude, longitude = places[model.photos[known]].T
    origin = float(latitude[0]), float(longitude[0])
    east = ((longitude - origin[1] + 180) % 360 - 180) * np.cos(np.radians(origin[0]))
    there = 1000 * KM_PER_DEGREE * (east + 1j * (latitude - origin[0]))
    up = -model.downs.sum(axis=0)
    up /= max(float(np.linalg.norm(up)), 1e-12)
    across = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    across /= max(float(np.linalg.norm(across)), 1e-12)
    axes = np.stack([across, np.cross(up, across)])
    flat = model.centres[known] @ axes.T
    agreeing = _agreeing(flat[:, 0] + 1j * flat[:, 1], there, within_m)
    if agreeing.sum() < 3 or np.abs(there[agreeing] - there[agreeing].mean()).max() <= within_m:
        return None
    turn, shift = _similarity((flat[:, 0] + 1j * flat[:, 1])[agreeing], there[agreeing])
    return Ground(axes, turn, shift, origin)


def _agreeing(here: NDArray[np.complex128], there: NDArray[np.complex128], within: float) -> NDArray[np.bool_]:
    """Return which points (n,) the similarity through two of them brings to their places: the best of all pairs'."""
    best, chosen = (0, 0.0), np.zeros(len(here), bool)
    for a in range(min(len(here), _PAIRS_OF)):
        for b in range(a):
            if abs(here[a] - here[b]) < 1e-9:
                continue
            turn = (there[a] - there[b]) / (here[a] - here[b])
            errors = np.abs(turn * (here - here[a]) + there[a] - there)
            near = errors <= within
            if (score := (int(near.sum()), -float(errors[near].sum()))) > best:
                best, chosen = score, near
    return chosen


def _similarity(here: NDArray[np.complex128], there: NDArray[np.complex128]) -> tuple[complex, complex]:
    """Return turn and shift of least squares, there ≈ turn · here + shift."""
    mean, meant = here.mean(), there.mean()
    turn = ((here - mean).conj() * (there - meant)).sum() / max(float((np.abs(here - mean) ** 2).sum()), 1e-18)
    return complex(turn), complex(meant - turn * mean)


def _pycolmap() -> Any:
    try:
        import pycolmap
    except ModuleNotFoundError as error:
        raise UsageError("this needs pycolmap, of the extra sfm: pip install 't15[sfm]'") from error
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    return pycolmap


def _camera(colmap: Any, number: int, size: NDArray[np.int64]) -> Any:
    width, height = (int(length) for length in size)
    return colmap.Camera.create_from_model_name(number, "SIMPLE_RADIAL", _FOCAL * max(width, height), width, height)


def _fill(
    colmap: Any,
    path: Path,
    photos: NDArray[np.int64],
    features: Sequence[Features],
    graph: PhotoGraph,
    sizes: NDArray[np.int64],
    seed: int,
) -> None:
    """Write photos of a gallery, each with a camera of its own, and their verified pairs; numbers are positions and one."""
    database = colmap.Database.open(path)
    cameras = {}
    for row in photos.tolist():
        number = row + 1
        cameras[row] = camera = _camera(colmap, number, sizes[row])
        rig, frame = colmap.Rig(rig_id=number), colmap.Frame(frame_id=number, rig_id=number)
        image = colmap.Image(name=str(row), camera_id=number, image_id=number)
        rig.add_ref_sensor(camera.sensor_id)
        frame.add_data_id(image.data_id)
        database.write_camera(camera, use_camera_id=True)
        database.write_rig(rig, use_rig_id=True)
        database.write_image(image, use_image_id=True)
        database.write_frame(frame, use_frame_id=True)
        database.write_keypoints(number, features[row].points[:, :2])
    options = colmap.TwoViewGeometryOptions()
    options.ransac.random_seed, options.min_num_inliers = seed, _LEAST
    for (a, b), inliers in zip(graph.pairs.tolist(), graph.inliers, strict=True):
        if a in cameras:
            ends = [(cameras[row], features[row].points[:, :2].astype(np.float64)) for row in (a, b)]
            pairs = np.ascontiguousarray(inliers, np.uint32)
            geometry = colmap.estimate_two_view_geometry(*ends[0], *ends[1], pairs, options)
            database.write_matches(a + 1, b + 1, pairs)
            database.write_two_view_geometry(a + 1, b + 1, geometry)
    database.close()


def _options(colmap: Any, enough: int, seed: int) -> Any:
    options = colmap.IncrementalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed
    options.extract_colors, options.min_model_size, options.max_num_models = False, enough, _FEW_MODELS
    # Small photos with few pairs: what COLMAP asks of a first pair and of a new photo suits thousands of keypoints.
    options.mapper.init_min_num_inliers = options.mapper.abs_pose_min_num_inliers = _LEAST
    options.mapper.init_min_tri_angle = 4.0
    options.triangulation.ignore_two_view_tracks = False
    return options


def _model(found: Any) -> SightModel:
    numbers = sorted(found.reg_image_ids())
    poses = [found.images[number].cam_from_world() for number in numbers]
    of = sorted(found.points3D)
    seen = [
        (row, element.image_id - 1, element.point2D_idx)
        for row, point in enumerate(of)
        for element in found.points3D[point].track.elements
    ]
    return SightModel(
        photos=np.array(numbers, np.int64) - 1,
        centres=np.array([pose.tgt_origin_in_src() for pose in poses], np.float64).reshape(-1, 3),
        downs=np.array([pose.rotation.matrix()[1] for pose in poses], np.float64).reshape(-1, 3),
        points=np.array([found.points3D[point].xyz for point in of], np.float64).reshape(-1, 3),
        seen=np.array(seen, np.int64).reshape(-1, 3),
    )
