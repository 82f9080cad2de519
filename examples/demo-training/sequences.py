"""Lessons as sequences: what the text model is fed at each position, and what it should say there.

The streams are those that inference/skills.cpp generates. All sequences of a scene lie behind one
image prefix, and none sees another.
"""
import numpy as np
import sentencepiece
import torch

from lessons import IGNORED

NO_VALUE = -1.0  # of a coordinate or size that is not fed or not asked for


class Sequence:
    """Positions of one lesson; each list has an element for each position."""

    def __init__(self):
        self.ids, self.coordinates, self.sizes = [], [], []  # what is fed: one of the three
        self.next_ids, self.next_coordinates, self.next_sizes = [], [], []

    def feed(self, id=IGNORED, coordinate=NO_VALUE, size=(NO_VALUE, NO_VALUE)):
        self.ids.append(id)
        self.coordinates.append(coordinate)
        self.sizes.append(size)
        self.next_ids.append(IGNORED)
        self.next_coordinates.append(NO_VALUE)
        self.next_sizes.append((NO_VALUE, NO_VALUE))

    def feed_all(self, ids):
        for id in ids:
            self.feed(id)

    def expect(self, id=IGNORED, coordinate=NO_VALUE, size=(NO_VALUE, NO_VALUE)):
        """What the last position should say."""
        self.next_ids[-1], self.next_coordinates[-1], self.next_sizes[-1] = id, coordinate, size

    def say(self, ids):
        for id in ids:
            self.expect(id)
            self.feed(id)


class Writer:
    """Makes sequences of lessons."""

    def __init__(self, config, tokenizer_path):
        self.c = config["tokenizer"]
        self.t = self.c["templates"]
        self.tokenizer = sentencepiece.SentencePieceProcessor(model_file=tokenizer_path)

    def write(self, lesson):
        return getattr(self, "_" + lesson["skill"])(lesson)

    def _object(self, template, lesson, with_size):
        s, coord, eos = Sequence(), self.c["coord_id"], self.c["eos_id"]
        s.feed_all(template["prefix"] + self.tokenizer.encode(" " + lesson["prompt"])
                   + template["suffix"])
        for x0, y0, x1, y1 in lesson["boxes"]:
            x, y, size = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0, y1 - y0)
            s.expect(coord, coordinate=x)
            s.feed(coordinate=x)
            s.expect(coordinate=y)
            s.feed(coordinate=y)
            if with_size:
                s.expect(size=size)
                s.feed(size=size)
        s.expect(eos)
        return s

    def _detect(self, lesson):
        return self._object(self.t["detect"], lesson, True)

    def _point(self, lesson):
        return self._object(self.t["point"], lesson, False)

    def _caption(self, lesson):
        s = Sequence()
        s.feed_all(self.t["caption"][lesson["prompt"]])
        s.say(self.tokenizer.encode(lesson["answer"]))
        s.expect(self.c["eos_id"])
        return s

    def _query(self, lesson):
        s, t = Sequence(), self.t["query"]
        s.feed_all(t["prefix"] + self.tokenizer.encode(lesson["prompt"]) + 2 * t["suffix"])
        s.say(self.tokenizer.encode(lesson["answer"]))
        s.expect(self.c["eos_id"])
        return s

    def _reason(self, lesson):
        s, t, c = Sequence(), self.t["query"], self.c
        s.feed_all(t["prefix"] + self.tokenizer.encode(lesson["prompt"]) + t["suffix"]
                   + [c["thinking_id"]])
        s.say([c["start_ground_points_id"]] + self.tokenizer.encode(lesson["thought"]))
        for x0, y0, x1, y1 in lesson["boxes"]:
            for value in ((x0 + x1) / 2, (y0 + y1) / 2):
                s.expect(c["coord_id"], coordinate=value)
                s.feed(coordinate=value)
        s.say([c["end_ground_id"]])
        # The model says the first of these itself, the library feeds it.
        s.say(t["suffix"])
        s.say(self.tokenizer.encode(lesson["answer"]))
        s.expect(c["eos_id"])
        return s

    def _gaze(self, lesson):
        s = Sequence()
        s.feed_all(self.tokenizer.encode("\n\nPoint:"))
        for value in lesson["eye"]:
            s.feed(coordinate=value)
        s.feed_all(self.tokenizer.encode(" gaze\n\n"))
        for x, y in lesson["gaze"]:
            s.expect(self.c["coord_id"], coordinate=x)
            s.feed(coordinate=x)
            s.expect(coordinate=y)
            s.feed(coordinate=y)
        s.expect(self.c["eos_id"])
        return s


class Batch:
    """Sequences of several scenes as tensors; a row for each scene, without the image prefix.

    B scenes, L positions of the longest row. segments: [B, L], the sequence's number from 1 in its
    scene, 0 where there is none. places: [B, L], position in the sequence."""

    def __init__(self, rows, device, random):
        length = max(1, max(sum(len(s.ids) for s in row) for row in rows))
        shape = (len(rows), length)
        arrays = {
            "segments": np.zeros(shape, np.int64), "places": np.zeros(shape, np.int64),
            "ids": np.full(shape, IGNORED, np.int64), "next_ids": np.full(shape, IGNORED, np.int64),
            "coordinates": np.full(shape, NO_VALUE, np.float32),
            "next_coordinates": np.full(shape, NO_VALUE, np.float32),
            "sizes": np.full((*shape, 2), NO_VALUE, np.float32),
            "next_sizes": np.full((*shape, 2), NO_VALUE, np.float32)}
        for b, row in enumerate(rows):
            at = 0
            for number, sequence in enumerate(row, 1):
                end = at + len(sequence.ids)
                arrays["segments"][b, at:end] = number
                arrays["places"][b, at:end] = np.arange(end - at)
                for name in ("ids", "next_ids", "coordinates", "next_coordinates", "sizes",
                             "next_sizes"):
                    arrays[name][b, at:end] = getattr(sequence, name)
                at = end
        # What the model will feed itself is a little wrong.
        fed = arrays["coordinates"] >= 0
        arrays["coordinates"][fed] += random.normal(0, 0.002, fed.sum())
        fed = arrays["sizes"][..., 0] >= 0
        arrays["sizes"][fed] *= np.exp(random.normal(0, 0.02, (fed.sum(), 2)))
        for name, array in arrays.items():
            setattr(self, name, torch.from_numpy(array).to(device))

    def embed(self, model):
        """-> [B, L, D]"""
        x = model.text.wte[self.ids.clamp(min=0)]
        fed = self.coordinates >= 0
        x = x.masked_scatter(fed.unsqueeze(-1),
                             model.region.encode_coordinates(self.coordinates[fed]))
        fed = self.sizes[..., 0] >= 0
        return x.masked_scatter(fed.unsqueeze(-1), model.region.encode_sizes(self.sizes[fed]))

    def mask(self, prefix):
        """Added to the attention's scores: [B, 1, prefix + L, prefix + L]."""
        b, length = self.segments.shape
        segments = torch.cat([self.segments.new_full((b, prefix), -1), self.segments], 1)
        rows, columns = segments[:, :, None], segments[:, None, :]
        order = torch.arange(prefix + length, device=segments.device)
        visible = (columns == -1) | ((rows == columns) & (order[:, None] >= order))
        return torch.zeros(visible.shape, device=segments.device).masked_fill_(
            ~visible, -1e9).unsqueeze(1)

    def positions(self, prefix):
        """-> [B, prefix + L]"""
        b = len(self.places)
        image = torch.arange(prefix, device=self.places.device).expand(b, prefix)
        return torch.cat([image, prefix + self.places], 1)
