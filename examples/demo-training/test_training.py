#!/usr/bin/python3
"""What the trainer makes of lessons. The model itself is compared with the library: see README.md.

Exits with 77 where PyTorch or sentencepiece is missing.
"""
import json
import os
import sys
import tempfile
import unittest

try:
    import numpy as np
    import sentencepiece  # that it is there is all that matters here
    import torch
except ImportError as error:
    print(error)
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lessons import IGNORED, DenseTargets, Scene, crop_windows
from model import Gelu, Linear, Model
from sequences import NO_VALUE, Batch, Writer
from tokenizer import CONTROLS, make_tokenizer
from teaching import Student, chosen_lessons, chosen_patches, size_bins, soft_loss, told, written
from train import rate_at
from views import Album, look

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "config.json")) as file:
    CONFIG = json.load(file)
TEXTS = ["How many red stars are there?", "Is there a face?", "red star", "Yes", "2"] * 20


def scene(*things):
    return Scene({"rows": 1, "columns": 1, "lessons": [],
                  "things": [{"kind": k, "color": c, "box": b} if c else {"kind": k, "box": b}
                             for k, c, b in things]}, None)


class Dense(unittest.TestCase):
    WHOLE = np.array([[0, 0, 1, 1]], np.float32)

    def test_patches_whose_middle_is_in_a_box_know_it(self):
        # The left half of a 4x4 grid.
        kinds, colors, boxes = DenseTargets.of_windows(
            scene(("star", "blue", [0, 0, 0.5, 1])), self.WHOLE, 4)
        self.assertEqual(kinds.reshape(4, 4).tolist(), [[4, 4, 0, 0]] * 4)
        self.assertEqual(colors.reshape(4, 4)[0].tolist(), [2, 2, IGNORED, IGNORED])
        # From the first patch, whose middle is (0.5, 0.5), to (1, 2), in units of four patches.
        np.testing.assert_allclose(boxes[0, 0], [0.125, 0.375, np.log(2), np.log(4)], atol=1e-6)

    def test_a_thing_smaller_than_a_patch_belongs_to_the_patch_of_its_middle(self):
        kinds, _, boxes = DenseTargets.of_windows(
            scene(("face", None, [0.26, 0.26, 0.34, 0.34])), self.WHOLE, 4)
        self.assertEqual(np.nonzero(kinds[0])[0].tolist(), [5])
        np.testing.assert_allclose(boxes[0, 5, 2:], np.log([0.32, 0.32]), atol=1e-5)

    def test_of_two_things_the_smaller_one_counts(self):
        kinds, _, _ = DenseTargets.of_windows(
            scene(("face", None, [0.25, 0.25, 0.5, 0.5]), ("square", "red", [0, 0, 1, 1])),
            self.WHOLE, 4)
        self.assertEqual(kinds[0, 5], 7)
        self.assertEqual(kinds[0, 0], 2)

    def test_slivers_at_a_window_s_edge_do_not_count(self):
        # A tenth of the square is inside the window, which is the right half.
        kinds, _, _ = DenseTargets.of_windows(
            scene(("square", "red", [0, 0, 0.556, 1])),
            np.array([[0.5, 0, 0.5, 1]], np.float32), 16)
        self.assertIn(IGNORED, kinds[0].tolist())
        self.assertNotIn(2, kinds[0].tolist())

    def test_windows_are_where_the_library_cuts(self):
        windows = crop_windows((2, 3), 168, 14, 1)  # of a picture of 448x308
        self.assertEqual(len(windows), 7)
        np.testing.assert_allclose(windows[0], [0, 0, 1, 1])
        np.testing.assert_allclose(windows[6], [280 / 448, 140 / 308, 168 / 448, 168 / 308])


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = os.path.join(cls.folder.name, "tokenizer.model")
        with open(path, "wb") as file:
            file.write(make_tokenizer(TEXTS))
        cls.writer = Writer(CONFIG, path)
        cls.t = cls.writer.tokenizer

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_control_pieces_have_the_ids_of_the_configuration(self):
        c = CONFIG["tokenizer"]
        for name, id in (("<answer>", c["answer_id"]), ("<thinking>", c["thinking_id"]),
                         ("<coord>", c["coord_id"]), ("<size>", c["size_id"]),
                         ("<ground>", c["start_ground_points_id"]),
                         ("<ground_end>", c["end_ground_id"])):
            self.assertEqual(self.t.piece_to_id(name), id)
        self.assertEqual(self.t.unk_id(), len(CONTROLS))
        self.assertEqual(self.t.decode(self.t.encode("red star")), "red star")

    def test_detect_alternates_places_and_sizes(self):
        s = self.writer.write({"skill": "detect", "prompt": "red star",
                               "boxes": [[0.1, 0.2, 0.3, 0.6]]})
        prompt = [11] + self.t.encode(" red star") + [3]
        n = len(prompt)
        self.assertEqual(s.ids, prompt + [IGNORED] * 3)
        self.assertEqual(s.next_ids, [IGNORED] * (n - 1) + [5, IGNORED, IGNORED, 0])
        np.testing.assert_allclose(s.coordinates[n:], [0.2, 0.4, NO_VALUE])
        np.testing.assert_allclose(s.next_coordinates[n - 1:n + 1], [0.2, 0.4])
        np.testing.assert_allclose(s.next_sizes[n + 1], [0.2, 0.4])
        np.testing.assert_allclose(s.sizes[n + 2], [0.2, 0.4])

    def test_what_is_not_there_ends_at_once(self):
        s = self.writer.write({"skill": "point", "prompt": "face", "boxes": []})
        self.assertEqual(s.next_ids[-1], 0)
        self.assertEqual(set(s.next_ids[:-1]), {IGNORED})

    def test_a_question_ends_with_the_suffix_twice(self):
        s = self.writer.write({"skill": "query", "prompt": "Is there a face?", "answer": "Yes"})
        answer = self.t.encode("Yes")
        self.assertEqual(s.ids, [10] + self.t.encode("Is there a face?") + [3, 3] + answer)
        self.assertEqual(s.next_ids[-len(answer) - 1:], answer + [0])

    def test_reasoning_is_grounded_and_then_answered(self):
        s = self.writer.write({"skill": "reason", "prompt": "How many red stars are there?",
                               "answer": "2", "thought": "red stars",
                               "boxes": [[0, 0, 0.2, 0.2], [0.4, 0.4, 0.6, 0.6]]})
        thought, answer = self.t.encode("red stars"), self.t.encode("2")
        said = [id for id in s.next_ids if id != IGNORED]
        self.assertEqual(said, [13] + thought + [5] * 4 + [14, 3] + answer + [0])
        np.testing.assert_allclose([x for x in s.next_coordinates if x >= 0],
                                   [0.1, 0.1, 0.5, 0.5], atol=1e-6)

    def test_only_what_is_nearly_above_each_other_is_told_in_any_order(self):
        def box(middle):
            return [middle - 0.05, 0.1, middle + 0.05, 0.2]

        boxes, random = [box(0.2), box(0.22), box(0.6)], np.random.default_rng(0)
        told_first = [told(boxes, random)[0] for _ in range(200)]
        # Half a standard deviation of the difference of two noises apart: 36 % of 200 in the mean.
        self.assertGreater(told_first.count(box(0.22)), 40)
        self.assertLess(told_first.count(box(0.22)), 100)
        self.assertEqual(told_first.count(box(0.6)), 0)
        self.assertEqual(sorted(told(boxes, random)), boxes)
        self.assertEqual(told([], random), [])

    def test_what_can_be_told_in_several_orders_is_asked_about_twice(self):
        boxes = [[0.1, 0.1, 0.2, 0.2], [0.4, 0.1, 0.5, 0.2]]
        lessons = [{"skill": "detect", "prompt": "star", "boxes": boxes},
                   {"skill": "point", "prompt": "face", "boxes": boxes[:1]},
                   {"skill": "detect", "prompt": "cross", "boxes": []},
                   {"skill": "query", "prompt": "Is there a face?", "answer": "Yes"}]
        asked = Scene({"rows": 1, "columns": 1, "lessons": lessons, "things": []}, None)
        taken = chosen_lessons(asked, np.random.default_rng(0), "places", 0)
        self.assertEqual(sorted(lesson["prompt"] for lesson in taken),
                         ["Is there a face?", "cross", "face", "star", "star"])
        for lesson in lessons:
            self.assertIn(lesson, taken)  # far apart: in order both times

    def test_a_row_has_the_first_lessons_that_fit(self):
        long = {"skill": "query", "prompt": "How many red stars are there?", "answer": "2"}
        short = {"skill": "detect", "prompt": "face", "boxes": []}
        room = len(self.writer.write(long).ids) + 2 * len(self.writer.write(short).ids) - 1
        row = written([short, long, long, short], self.writer, longest=room)
        self.assertEqual([s.ids for s in row],
                         [self.writer.write(lesson).ids for lesson in (short, long)])
        self.assertEqual(len(written([long, short, short], self.writer, longest=room + 1)), 3)

    def test_no_sequence_sees_another(self):
        rows = [[self.writer.write({"skill": "detect", "prompt": "face", "boxes": []}),
                 self.writer.write({"skill": "query", "prompt": "Is there a face?",
                                    "answer": "Yes"})]]
        batch = Batch(rows, torch.device("cpu"), np.random.default_rng(0))
        prefix = 3
        visible = batch.mask(prefix)[0, 0] == 0
        first = prefix + len(rows[0][0].ids)
        self.assertTrue(visible[:, :prefix].all())                # everybody sees the image
        self.assertFalse(visible[:prefix, prefix:].any())         # which sees only itself
        self.assertFalse(visible[first:, prefix:first].any())
        self.assertFalse(visible[prefix:first, first:].any())
        self.assertTrue(visible[prefix + 1, prefix])
        self.assertFalse(visible[prefix, prefix + 1])             # nor the future
        positions = batch.positions(prefix)[0]
        self.assertEqual(positions[first].item(), prefix)         # each begins behind the image

    def test_what_is_packed_is_computed_as_if_it_were_alone(self):
        torch.manual_seed(0)
        model, prefix = Model(CONFIG), 5
        lessons = [{"skill": "detect", "prompt": "red star", "boxes": [[0.1, 0.2, 0.3, 0.6]]},
                   {"skill": "query", "prompt": "Is there a face?", "answer": "Yes"}]
        image = torch.randn(1, prefix, CONFIG["text"]["dim"])

        def hidden(sequences):
            # Equal numbers of fed values: the same noise for all.
            batch = Batch([sequences], torch.device("cpu"), np.random.default_rng(0))
            batch.coordinates[batch.coordinates >= 0] = 0.25
            batch.sizes[batch.sizes >= 0] = 0.5
            x = torch.cat([image, batch.embed(model)], 1)
            with torch.no_grad():
                return model.text(x, batch.mask(prefix), batch.positions(prefix))[0, prefix:]

        first, second = (self.writer.write(lesson) for lesson in lessons)
        together = hidden([first, second])
        # float32 sums over rows of other lengths.
        torch.testing.assert_close(together[:len(first.ids)], hidden([first]), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together[len(first.ids):], hidden([second]), atol=1e-4,
                                   rtol=1e-4)


class Views(unittest.TestCase):
    class Drawer:
        """Scenes of two crops, black with one white pixel, each another."""

        def __init__(self):
            self.drawn = 0

        def take(self, count):
            size, scenes = CONFIG["vision"]["crop_size"], []
            for _ in range(count):
                crops = np.zeros((3, size, size, 3), np.uint8)
                crops[:, self.drawn // size, self.drawn % size] = 255
                scenes.append(Scene({"rows": 1, "columns": 2, "lessons": [], "things": []}, crops))
                self.drawn += 1
            return scenes

    def setUp(self):
        torch.manual_seed(0)
        self.student, self.drawer = Student(CONFIG), self.Drawer()
        self.random, self.device = np.random.default_rng(0), torch.device("cpu")

    def look(self, looks, count, stage):
        return looks(self.student, self.drawer, count, stage, 0.9, self.random, self.device)

    def test_an_album_s_views_are_taken_several_times(self):
        album, taken = Album(), []
        for _ in range(12):
            taken += self.look(album.look, 4, "places")
            self.assertEqual(len({id(view) for view in taken[-4:]}), 4)  # another each
        # Its first 32 views, then one for each take of four.
        self.assertEqual(self.drawer.drawn, 8 * 4 + 11 * round(4 / Album.TIMES))
        self.assertEqual(len(album.views), 32)
        self.assertGreater(len(taken), len({id(view) for view in taken}))
        self.assertFalse(any(view.features.requires_grad for view in taken))

    def test_a_view_is_of_its_own_scene(self):
        for view in self.look(look, 6, "together"):
            self.assertEqual(len(view.features), 1 if view.tiling == (1, 1) else 3)
            crops = torch.from_numpy(view.scene.crops[:len(view.features)])
            # float32 sums over batches of other sizes.
            torch.testing.assert_close(view.features, self.student.model.vision.encode(crops),
                                       atol=1e-4, rtol=1e-4)
            self.assertTrue(view.features.requires_grad)


class Numbers(unittest.TestCase):
    def test_a_small_thing_s_patch_is_chosen_as_often_as_all_of_a_large_one(self):
        kinds = torch.tensor([[1] * 10 + [0] * 6, [2] + [0] * 15])
        boxes = torch.zeros(2, 16, 4)
        boxes[0, :, 2:] = 0.5 * torch.log(torch.tensor(10.0))  # ten patches large
        random = np.random.default_rng(0)
        small = sum(chosen_patches(kinds, boxes, 1, random)[0].item() for _ in range(400))
        # Half of 400, and five of its standard deviations.
        self.assertLess(abs(small - 200), 50)
        pictures, places = chosen_patches(kinds, boxes, 100, random)
        self.assertEqual(pictures.tolist(), [0] * 10 + [1])
        self.assertEqual(places.tolist(), [*range(10), 0])

    def test_gelu_is_the_tanh_form_and_so_is_its_slope(self):
        x = torch.linspace(-6, 6, 101, requires_grad=True)
        Gelu.apply(x).sum().backward()
        slope, x.grad = x.grad, None
        torch.nn.functional.gelu(x, approximate="tanh").sum().backward()
        # float32 rounding of values up to 6.
        torch.testing.assert_close(Gelu.apply(x), torch.nn.functional.gelu(x, approximate="tanh"),
                                   atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(slope, x.grad, atol=2e-6, rtol=1e-5)

    def test_a_soft_loss_is_least_and_nothing_on_the_bell_itself(self):
        at, sigma = torch.arange(64.0), 3.0
        bell = -0.5 * ((at - 20) / sigma) ** 2
        loss, distance = soft_loss(bell[None], torch.tensor([20.0]), sigma)
        self.assertAlmostEqual(loss.item(), 0, places=5)
        self.assertEqual(distance.item(), 0)
        self.assertGreater(soft_loss(bell[None], torch.tensor([30.0]), sigma)[0].item(), 1)

    def test_size_bins_are_those_of_the_library(self):
        region = CONFIG["region"]
        bins = torch.tensor([0.0, 511.0, 1023.0])
        sizes = 2 ** (bins / 1023 * 10 - 10)  # RegionModel::size_of_bin
        torch.testing.assert_close(size_bins(sizes, region), bins, atol=1e-2, rtol=0)

    def test_products_in_bfloat16_have_gradients_near_the_exact_ones(self):
        torch.manual_seed(0)
        x, layer = torch.randn(8, 32, requires_grad=True), Linear(32, 16)
        found = {}
        for fast in (False, True):
            Linear.fast = fast
            layer.zero_grad()
            x.grad = None
            layer(x).square().sum().backward()
            found[fast] = x.grad.clone(), layer.weight.grad.clone()
        Linear.fast = False
        for exact, rounded in zip(found[False], found[True]):
            # Eight bits of a mantissa in three factors of each product.
            self.assertLess((exact - rounded).norm() / exact.norm(), 0.02)

    def test_the_learning_rate_rises_and_falls(self):
        stage = {"rate": 1.0}
        self.assertLess(rate_at(stage, 0), 0.01)
        self.assertGreater(rate_at(stage, 0.02), 0.99)
        self.assertLess(rate_at(stage, 1), 0.05)

    def test_the_model_is_small_enough_to_ship(self):
        parameters = sum(p.numel() for p in Model(CONFIG).parameters())
        self.assertLessEqual(2 * parameters, 12e6)  # bytes of bfloat16


if __name__ == "__main__":
    unittest.main()
