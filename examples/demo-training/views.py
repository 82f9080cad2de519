"""What the encoder makes of scenes, once for several lessons where it no longer learns."""
import numpy as np
import torch


class View:
    """A scene that the encoder has looked at. features: of its crops, [C, P, E]"""

    def __init__(self, scene, tiling, features):
        self.scene, self.tiling, self.features = scene, tiling, features


def look(student, drawer, count, stage, done, random, device):
    """-> views of the drawer's next scenes"""
    scenes = drawer.take(count)
    # Of some only the whole is looked at, as of small pictures: that is faster, and enough to
    # learn most of what a decoder has to do, but not where small things are.
    whole_share = {"decoder": 0.75 if done < 0.5 else 0.3, "together": 0.3, "places": 0.15}[stage]
    whole = random.random(len(scenes)) < whole_share
    tilings = [(1, 1) if w else scene.tiling for w, scene in zip(whole, scenes)]
    crops = [scene.crops[:1 if w else None] for w, scene in zip(whole, scenes)]
    with torch.set_grad_enabled(stage == "together"):
        features = student.model.vision.encode(torch.from_numpy(np.concatenate(crops)).to(device))
    return [View(*view) for view in zip(scenes, tilings, features.split([len(c) for c in crops]))]


class Album:
    """The latest views of an encoder that no longer learns. To look costs more than to be asked:
    each is taken a few times, and asked about other things."""

    TAKES, TIMES = 8, 2.7  # it has the views of so many takes; each is taken so often

    def __init__(self):
        self.views = []

    def look(self, student, drawer, count, stage, done, random, device):
        """As look(), of which the new ones are."""
        size = self.TAKES * count
        missing = max(round(count / self.TIMES), size - len(self.views))
        for at in range(0, missing, count):
            self.views += look(student, drawer, min(count, missing - at), stage, done, random,
                               device)
        self.views = self.views[-size:]
        return [self.views[i] for i in random.choice(size, count, replace=False)]
