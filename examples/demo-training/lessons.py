"""What `demo-lessons` draws, as tensors: crops, dense targets and packed sequences."""
import json
import queue
import subprocess
import threading

import numpy as np

KINDS = ["nothing", "circle", "square", "triangle", "star", "diamond", "cross", "face",
         "license plate"]
COLORS = ["red", "green", "blue", "yellow", "white", "black", "orange", "purple", "pink", "gray"]
IGNORED = -100  # as a target: not counted


class Scene:
    """One record: crops [count, size, size, 3], rows and columns, things, lessons."""

    def __init__(self, record, crops):
        self.crops, self.tiling = crops, (record["rows"], record["columns"])
        self.lessons = record["lessons"]
        things = record["things"]
        self.boxes = np.array([t["box"] for t in things], np.float32).reshape(-1, 4)
        self.kinds = np.array([KINDS.index(t["kind"]) for t in things], np.int64)
        self.colors = np.array(
            [COLORS.index(t["color"]) if "color" in t else IGNORED for t in things], np.int64)


class Drawer:
    """Scenes from a program of its own, which draws ahead."""

    def __init__(self, program, config_path, seed, crop_size):
        self.process = subprocess.Popen(
            [program, "--model", config_path, "--seed", str(seed)], stdout=subprocess.PIPE,
            bufsize=1 << 20)
        self.crop_size = crop_size
        self.ready = queue.Queue(maxsize=48)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        stream = self.process.stdout
        while True:
            line = stream.readline()
            if not line:
                self.ready.put(None)
                return
            record = json.loads(line)
            size = self.crop_size
            data = stream.read(record["crops"] * size * size * 3)
            crops = np.frombuffer(data, np.uint8).reshape(record["crops"], size, size, 3)
            self.ready.put(Scene(record, crops))

    def take(self, count):
        scenes = [self.ready.get() for _ in range(count)]
        if any(scene is None for scene in scenes):
            raise RuntimeError("demo-lessons ended: see its message")
        return scenes

    def close(self):
        self.process.kill()
        self.process.wait()


class DenseTargets:
    """What each patch should know: the kind, colour and box of the thing that it is a part of.
    Boxes are (dx, dy) from the patch's centre to the box's in units of four patches, and the
    logarithms of width and height in patches."""

    def __init__(self, kinds, colors, boxes):
        self.kinds, self.colors, self.boxes = kinds, colors, boxes

    @staticmethod
    def of_windows(scene, windows, grid):
        """windows: [W, 4], x, y, width and height of what `grid` patches see, as fractions of the
        frame. -> arrays of [W, grid^2]."""
        count = len(windows)
        kinds = np.zeros((count, grid * grid), np.int64)
        colors = np.full((count, grid * grid), IGNORED, np.int64)
        boxes = np.zeros((count, grid * grid, 4), np.float32)
        if len(scene.boxes) == 0:
            return kinds, colors, boxes
        scale = grid / windows[:, None, 2:]
        low = (scene.boxes[None, :, :2] - windows[:, None, :2]) * scale  # [W, N, 2]
        high = (scene.boxes[None, :, 2:] - windows[:, None, :2]) * scale
        area = np.prod(high - low, -1)
        low, high = np.clip(low, 0, grid), np.clip(high, 0, grid)
        size = high - low
        inside = np.prod(size, -1)
        seen = (inside > 0) & (inside >= 0.25 * area)
        middle = (low + high) / 2
        at = np.arange(grid) + 0.5
        centers = np.stack(np.meshgrid(at, at), -1).reshape(1, 1, -1, 2)  # x, y; [1, 1, P, 2]
        covers = np.all((centers >= low[:, :, None]) & (centers < high[:, :, None]), -1)
        covers |= np.all(np.abs(centers - middle[:, :, None]) <= 0.5, -1)  # of small things
        covers &= (inside > 0)[:, :, None]
        # The smallest of several, as it is in front or would not be seen at all.
        rank = np.where(covers, inside[:, :, None], np.inf)
        owner = rank.argmin(1)  # [W, P]
        owned = np.take_along_axis(covers, owner[:, None], 1)[:, 0]
        window, patch = np.nonzero(owned)
        thing = owner[window, patch]
        kinds[window, patch] = np.where(seen[window, thing], scene.kinds[thing], IGNORED)
        colors[window, patch] = np.where(seen[window, thing], scene.colors[thing], IGNORED)
        offset = (middle[window, thing] - centers[0, 0, patch]) / 4
        boxes[window, patch] = np.concatenate(
            [offset, np.log(np.maximum(size[window, thing], 0.05))], -1)
        return kinds, colors, boxes


def crop_windows(tiling, crop_size, patch, margin):
    """The windows of all crops of a picture: the whole, then the parts row by row."""
    rows, columns = tiling
    windows = [(0, 0, 1, 1)]
    if rows * columns > 1:
        step = crop_size - 2 * margin * patch
        width, height = columns * step + 2 * margin * patch, rows * step + 2 * margin * patch
        windows += [(c * step / width, r * step / height, crop_size / width, crop_size / height)
                    for r in range(rows) for c in range(columns)]
    return np.array(windows, np.float32)
