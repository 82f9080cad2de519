"""The losses: what a student is asked, and how wrong it is."""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lessons import COLORS, IGNORED, KINDS, DenseTargets, crop_windows
from model import Linear, Model
from sequences import Batch


class Probe(nn.Module):
    """What is asked of each patch in training only: kind, colour and box."""

    def __init__(self, dim):
        super().__init__()
        self.out = Linear(dim, len(KINDS) + len(COLORS) + 4)

    def forward(self, x):
        return self.out(x).split([len(KINDS), len(COLORS), 4], -1)


class Student(nn.Module):
    """The model and what only training needs."""

    def __init__(self, config):
        super().__init__()
        self.model = Model(config)
        self.crop_probe = Probe(config["vision"]["enc_dim"])
        self.frame_probe = Probe(config["text"]["dim"])
        # From a patch to what the coordinate and size heads would have to read there.
        self.to_heads = Linear(config["text"]["dim"], 3 * config["text"]["dim"])


def dense_loss(probe, features, kinds, colors, boxes):
    """features: [N, P, D]; targets: [N, P] and [N, P, 4]. -> loss, figures"""
    kind, color, box = probe(features)
    things, nothing = kinds > 0, kinds == 0
    count = max(1, int(things.sum()))
    found, true = box[things], boxes[things]
    size = true[:, 2:].exp()
    # Large things have many patches; small ones are to count, too.
    weight = size.prod(1).clamp(min=1).rsqrt()
    weight = weight / weight.mean().clamp(min=1e-6) / count

    def mean(loss):
        return (loss * weight).sum()

    # Most patches are of nothing, and soon known to be.
    kind_loss = (mean(F.cross_entropy(kind[things], kinds[things], reduction="none"))
                 + F.cross_entropy(kind[nothing], kinds[nothing]))
    color_loss = mean(F.cross_entropy(color[things], colors[things], ignore_index=IGNORED,
                                      reduction="none"))
    # Relative to the size: a quarter of a patch is much for a small thing.
    error = torch.cat([4 * (found[:, :2] - true[:, :2]) / size, found[:, 2:] - true[:, 2:]], 1)
    box_loss = mean(F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1,
                                     reduction="none").mean(1))
    with torch.no_grad():
        def sides(b):
            middle, half = 4 * b[:, :2], b[:, 2:].clamp(max=4).exp() / 2
            return middle - half, middle + half
        (al, ah), (bl, bh) = sides(found), sides(true)
        shared = (torch.minimum(ah, bh) - torch.maximum(al, bl)).clamp(min=0).prod(1)
        iou = shared / ((ah - al).prod(1) + (bh - bl).prod(1) - shared)
        hit = kind.argmax(-1) == kinds
        colored = colors >= 0
        figures = {
            "kind": kind_loss.item(), "color": color_loss.item(), "box": box_loss.item(),
            "kind_right": (hit & things).sum().item() / count,
            "nothing_right": (hit & nothing).sum().item() / max(1, nothing.sum().item()),
            "color_right": ((color.argmax(-1) == colors) & colored).sum().item()
                           / max(1, colored.sum().item()),
            "iou": iou.mean().item() if len(iou) else 0.0,
        }
    return kind_loss + 0.5 * color_loss + 3 * box_loss, figures


def vision_lesson(student, scenes, config, random, device):
    """Each crop is a picture of its own: the whole and two parts of each scene."""
    v = config["vision"]
    grid = v["crop_size"] // v["enc_patch_size"]
    crops, targets = [], []
    for scene in scenes:
        windows = crop_windows(scene.tiling, v["crop_size"], v["enc_patch_size"],
                               v["overlap_margin"])
        chosen = [0]
        if len(windows) > 1:
            # Parts with things in them are more to learn from.
            middles = (scene.boxes[None, :, :2] + scene.boxes[None, :, 2:]) / 2
            inside = np.all((middles >= windows[1:, None, :2])
                            & (middles < windows[1:, None, :2] + windows[1:, None, 2:]), -1)
            odds = 0.2 + np.minimum(inside.sum(1), 2)
            chosen += list(1 + random.choice(len(odds), 2, replace=False, p=odds / odds.sum()))
        crops.append(scene.crops[chosen])
        targets.append(DenseTargets.of_windows(scene, windows[chosen], grid))
    crops = torch.from_numpy(np.concatenate(crops)).to(device)
    kinds, colors, boxes = (torch.from_numpy(np.concatenate(t)).to(device) for t in zip(*targets))
    return dense_loss(student.crop_probe, student.model.vision.encode(crops), kinds, colors, boxes)


def soft_loss(logits, target, sigma):
    """Cross entropy with a bell around the target, less the bell's own entropy.
    logits: [N, bins]; target: [N], in bins. -> loss, [N] the distance of the best bin"""
    bins = logits.size(-1)
    at = torch.arange(bins, device=logits.device)
    bell = (-0.5 * ((at - target.clamp(0, bins - 1)[:, None]) / sigma) ** 2).exp()
    bell = bell / bell.sum(-1, keepdim=True)
    logs = logits.log_softmax(-1)
    own = (bell * bell.clamp(min=1e-12).log()).sum(-1)
    with torch.no_grad():
        distance = (logits.argmax(-1) - target).abs()
    return (own - (bell * logs).sum(-1)).mean(), distance


def coordinate_bins(x, region):
    return x * region["coord_out_dim"]


def size_bins(sizes, region):
    return (sizes.clamp(min=2 ** -10).log2() + 10) / 10 * (region["size_out_dim"] // 2 - 1)


def region_losses(model, config, hidden, at, sigma):
    """What a head says of `hidden`, [N, D]. at: x or y, [N], or width and height, [N, 2]"""
    region = config["region"]
    if at.dim() == 1:
        return soft_loss(model.region.coord_decoder(hidden), coordinate_bins(at, region), sigma)
    logits = model.region.size_decoder(hidden).view(2 * len(at), -1)
    return soft_loss(logits, size_bins(at, region).flatten(), sigma)


def chosen_patches(kinds, boxes, most, random):
    """Of the patches that are of things, as many of a small thing as of a large one.
    kinds: [B, P]; boxes: [B, P, 4]. -> their pictures, their places there, `most` at most"""
    b, p = (kinds > 0).nonzero(as_tuple=True)
    if len(b) > most:
        odds = 1 / boxes[b, p, 2:].exp().prod(-1).clamp(min=1).cpu().double().numpy()
        kept = random.choice(len(b), most, replace=False, p=odds / odds.sum())
        b, p = (at[torch.from_numpy(kept).to(at.device)] for at in (b, p))
    return b, p


def dense_region_loss(student, config, z, kinds, boxes, sigma, random):
    """The heads read a patch's thing from the patch itself, so that the decoder only has to look
    at the right one. z: [B, P, D], what the text model sees of the pictures."""
    grid = config["vision"]["crop_size"] // config["vision"]["enc_patch_size"]
    b, p = chosen_patches(kinds, boxes, 256, random)
    if len(b) == 0:
        return z.sum() * 0
    box = boxes[b, p]
    x = ((p % grid + 0.5) + 4 * box[:, 0]) / grid
    y = ((p // grid + 0.5) + 4 * box[:, 1]) / grid
    hx, hy, hs = student.to_heads(z[b, p]).chunk(3, -1)
    return sum(region_losses(student.model, config, h, at, sigma)[0]
               for h, at in ((hx, x), (hy, y), (hs, box[:, 2:].exp() / grid)))


def told(boxes, random):
    """From left to right, but for what is nearly above each other: the model cannot tell where one
    patch begins, and is to look back for what it has passed over."""
    middles = [(box[0] + box[2]) / 2 for box in boxes]
    return [boxes[i] for i in np.argsort(middles + random.normal(0, 0.04, len(boxes)))]


def chosen_lessons(scene, random, stage, done):
    """Detection comes before text, and of each skill there are only so many."""
    most = {"detect": 14, "point": 5, "query": 8, "caption": 2, "reason": 2, "gaze": 2}
    if stage == "decoder" and done < 0.3:
        most = {"detect": 14, "point": 5}
    taken = []
    for i in random.permutation(len(scene.lessons)):
        lesson = scene.lessons[i]
        if most.get(lesson["skill"], 0) > 0:
            most[lesson["skill"]] -= 1
            # What can be told in several orders is asked about twice.
            orders = [told(lesson["boxes"], random)
                      for _ in range(min(2, len(lesson.get("boxes", []))))]
            taken += [lesson | {"boxes": order} for order in orders] or [lesson]
    return taken


def written(lessons, writer, longest=256):
    """As sequences, as many as have room in a row: the longest row is how long all take."""
    row, length = [], 0
    for lesson in lessons:
        sequence = writer.write(lesson)
        if length + len(sequence.ids) <= longest:
            row.append(sequence)
            length += len(sequence.ids)
    return row


def text_lesson(student, views, config, random, device, done, stage, writer):
    """Whole pictures with all their crops, and sequences behind each."""
    model, v = student.model, config["vision"]
    grid, prefix = v["crop_size"] // v["enc_patch_size"], config["text"]["prefix_attn"]
    # Narrower than what is still unsure is slower to learn.
    sigma = 20.0 * (6.0 / 20.0) ** min(1, done / 0.7) if stage == "decoder" else 6.0

    scenes, tilings = [view.scene for view in views], [view.tiling for view in views]
    frame = np.array([[0, 0, 1, 1]], np.float32)
    targets = [DenseTargets.of_windows(scene, frame, grid) for scene in scenes]
    kinds, colors, boxes = (torch.from_numpy(np.concatenate(t)).to(device) for t in zip(*targets))
    features = torch.cat([view.features for view in views])
    z = model.vision.project(features, tilings)
    loss, figures = dense_loss(student.frame_probe, z, kinds, colors, boxes)
    loss = 0.3 * loss + 0.5 * dense_region_loss(student, config, z, kinds, boxes, sigma, random)
    if stage == "together":
        windows = [crop_windows(tiling, v["crop_size"], v["enc_patch_size"], v["overlap_margin"])
                   for tiling in tilings]
        dense = [DenseTargets.of_windows(s, w, grid) for s, w in zip(scenes, windows)]
        of_crops = (torch.from_numpy(np.concatenate(t)).to(device) for t in zip(*dense))
        loss = loss + 0.3 * dense_loss(student.crop_probe, features, *of_crops)[0]

    rows = [written(chosen_lessons(scene, random, stage, done), writer) for scene in scenes]
    batch = Batch(rows, device, random)
    first = model.text.wte[config["tokenizer"]["bos_id"]].expand(len(scenes), 1, -1)
    x = torch.cat([first, z, batch.embed(model)], 1)
    hidden = model.text(x, batch.mask(prefix), batch.positions(prefix))[:, prefix:]

    said = batch.next_ids != IGNORED
    logits = model.text.lm_head(model.text.post_ln(hidden[said]))
    wanted = batch.next_ids[said]
    word_loss = F.cross_entropy(logits, wanted)
    asked = batch.next_coordinates >= 0
    place_loss, place_error = region_losses(model, config, hidden[asked],
                                            batch.next_coordinates[asked], sigma)
    asked = batch.next_sizes[..., 0] >= 0
    size_loss, size_error = region_losses(model, config, hidden[asked], batch.next_sizes[asked],
                                          sigma)
    loss = loss + word_loss + place_loss + 0.5 * size_loss

    with torch.no_grad():
        right = logits.argmax(-1) == wanted
        c = config["tokenizer"]
        choice = (wanted == c["coord_id"]) | (wanted == c["eos_id"])
        words = ~choice

        def share(those):
            return those.float().mean().item() if len(those) else 0.0

        figures |= {
            "word": word_loss.item(), "place": place_loss.item(), "size": size_loss.item(),
            "choice_right": share(right[choice]), "word_right": share(right[words]),
            # Within 1 % of the frame, and of the size within 10 %.
            "place_near": share(place_error < 0.01 * config["region"]["coord_out_dim"]),
            "size_near": share(size_error < 0.01375 * config["region"]["size_out_dim"] / 2),
        }
    return loss, figures
