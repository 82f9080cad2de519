#!/usr/bin/python3
"""Writes what the model in training computes, for the parity test to compare the library with:

    golden.py MODEL_FOLDER OUT_FOLDER/NAME    pictures are taken from OUT_FOLDER/pictures

MODEL_FOLDER is what train.py exports, and so are the weights that are compared.
"""
import argparse
import glob
import json
import math
import os
import shutil
import struct

import numpy as np
import sentencepiece
import torch
from PIL import Image

from model import Linear, Model


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size, = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        raw = np.frombuffer(data[begin:end], np.int16).copy()
        tensors[name] = torch.from_numpy(raw).view(torch.bfloat16).float().view(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    header, chunks, at = {}, [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array).tobytes()
        kind = {"uint8": "U8", "float32": "F32"}[str(array.dtype)]
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [at, at + len(data)]}
        at += len(data)
        chunks.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def tiling_of(height, width, window, most):
    if height <= window or width <= window:
        return 1, 1
    rows, columns = -(-height // window), -(-width // window)
    if rows * columns > most:
        ratio = math.sqrt(most / (rows * columns))
        return max(1, math.floor(rows * ratio)), max(1, math.floor(columns * ratio))
    rows = max(math.floor(math.sqrt(most * height / width)), rows)
    columns = max(math.floor(math.sqrt(most * width / height)), columns)
    if rows * columns > most:
        if columns > rows:
            columns = most // rows
        else:
            rows = most // columns
    return max(1, rows), max(1, columns)


def cut(picture, v):
    """-> tiling, crops with Pillow's own filter: the whole, then the parts"""
    size, margins = v["crop_size"], 2 * v["overlap_margin"] * v["enc_patch_size"]
    step = size - margins
    rows, columns = tiling_of(picture.height - margins, picture.width - margins, step,
                              v["max_crops"])
    crops = [np.array(picture.resize((size, size), Image.LANCZOS))]
    if rows * columns > 1:
        large = np.array(picture.resize((columns * step + margins, rows * step + margins),
                                        Image.LANCZOS))
        crops += [large[r * step:r * step + size, c * step:c * step + size]
                  for r in range(rows) for c in range(columns)]
    return (rows, columns), torch.from_numpy(np.stack(crops))


class Reader:
    """Greedy generation, one whole pass of the text model for each token."""

    def __init__(self, model, config, tokenizer, image):
        self.m, self.c, self.t, self.image = model, config, tokenizer, image
        self.fed, self.margin, self.first = [], math.inf, None

    def feed(self, ids):
        self.fed += [self.m.text.wte[i][None] for i in ids]

    def hidden(self):
        x = torch.cat([self.image] + self.fed)[None]
        count, prefix = x.size(1), len(self.image)
        order = torch.arange(count)
        visible = (order[:, None] >= order) | ((order[:, None] < prefix) & (order < prefix))
        mask = torch.zeros(count, count).masked_fill(~visible, -1e9)[None, None]
        return self.m.text(x, mask, order[None])[0, -1:]

    def best(self, logits):
        two = logits.topk(2).values
        self.margin = min(self.margin, (two[0] - two[1]).item())
        return logits.argmax().item()

    def logits(self, hidden, forbidden=()):
        logits = self.m.text.lm_head(self.m.text.post_ln(hidden))[0]
        if self.first is None:
            self.first = logits.numpy().copy()
        for id in forbidden:
            logits[id] = -math.inf
        return logits

    def text(self, ids, limit=16):
        c = self.c["tokenizer"]
        known = {c[k] for k in ("eos_id", "answer_id", "thinking_id", "coord_id", "size_id",
                                "start_ground_points_id", "end_ground_id")}
        pieces = self.t.get_piece_size()
        unspoken = [i for i in range(self.c["text"]["vocab_size"])
                    if i not in known and i >= pieces]
        self.feed(ids)
        said, forbidden = [], unspoken
        while True:
            token = self.best(self.logits(self.hidden(), forbidden))
            said.append(token)
            forbidden = unspoken + [c["answer_id"]]
            if token == c["eos_id"] or len(said) > limit:
                break
            self.feed([token])
        shown = said[:limit]
        return {"token_ids": said, "min_margin": self.margin,
                "text": self.t.decode([i for i in shown if i != c["eos_id"] and i < pieces])}

    def objects(self, ids, with_size, most=6):
        c, region = self.c["tokenizer"], self.m.region
        bins = self.c["region"]["coord_out_dim"]
        self.feed(ids)
        found, places, sizes = [], [], []
        while True:
            hidden = self.hidden()
            if self.best(self.logits(hidden)) == c["eos_id"] or len(found) == most:
                break
            at = []
            for _ in range(2):
                at.append(self.best(region.coord_decoder(self.hidden())[0]))
                self.fed.append(region.encode_coordinates(torch.tensor([at[-1] / bins])))
            places += at
            x, y = (np.float32(a) / np.float32(bins) for a in at)
            if not with_size:
                found.append({"x": float(x), "y": float(y)})
                continue
            logits = region.size_decoder(self.hidden())[0].view(2, -1)
            size = [self.best(row) for row in logits]
            sizes.append(size)
            scale = np.float32(logits.size(1) - 1)
            w, h = (float(np.exp2(np.float32(s) / scale * np.float32(10) - np.float32(10)))
                    for s in size)
            self.fed.append(region.encode_sizes(torch.tensor([[w, h]])))
            found.append({"x_min": float(x) - w / 2, "y_min": float(y) - h / 2,
                          "x_max": float(x) + w / 2, "y_max": float(y) + h / 2})
        result = {"max_objects": most, "min_margin": self.margin}
        if with_size:
            return result | {"objects": found, "x_then_y_bins": places, "w_h_bins": sizes}
        return result | {"points": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    Linear.fast = False
    with open(os.path.join(args.model, "config.json")) as file:
        config = json.load(file)
    model = Model(config)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in
                           read_safetensors(os.path.join(args.model, "model.safetensors")).items()})
    tokenizer = sentencepiece.SentencePieceProcessor(
        model_file=os.path.join(args.model, "tokenizer.model"))
    os.makedirs(args.out, exist_ok=True)
    for name in ("config.json", "model.safetensors", "tokenizer.model"):
        shutil.copy(os.path.join(args.model, name), args.out)

    pictures, tensors, t = [], {}, config["tokenizer"]["templates"]
    for path in sorted(glob.glob(os.path.join(args.out, "../pictures/*.png"))):
        picture = Image.open(path).convert("RGB")
        stem = os.path.splitext(os.path.basename(path))[0]
        tiling, crops = cut(picture, config["vision"])
        features = model.vision.encode(crops)
        z = model.vision.project(features, [tiling])[0]
        image = torch.cat([model.text.wte[config["tokenizer"]["bos_id"]][None], z])
        tensors |= {f"{stem}.crops": crops.numpy(), f"{stem}.vit_first": features[0].numpy(),
                    f"{stem}.vit_last": features[-1].numpy(),
                    f"{stem}.image_embedding": z.numpy()}
        results = {}

        def run(name, generate):
            reader = Reader(model, config, tokenizer, image)
            results[name] = generate(reader)
            tensors[f"{stem}.{name}.first_logits"] = reader.first

        for length in ("short", "normal", "long"):
            run(f"caption.{length}", lambda r: r.text(t["caption"][length]))
        question = "How many red circles are there?"
        run(f"query:{question}", lambda r: r.text(
            t["query"]["prefix"] + tokenizer.encode(question) + 2 * t["query"]["suffix"]))
        for thing in ("face", "license plate", "red circle"):
            for skill in ("detect", "point"):
                run(f"{skill}:{thing}", lambda r: r.objects(
                    t[skill]["prefix"] + tokenizer.encode(" " + thing) + t[skill]["suffix"],
                    skill == "detect"))
        pictures.append({"file": os.path.basename(path), "tiling": list(tiling),
                         "crops": 1 + tiling[0] * tiling[1],
                         "prefix_length": config["text"]["prefix_attn"], "results": results})
        if tiling == (1, 1):
            del tensors[f"{stem}.crops"]  # the vectors count the one crop twice
    with open(os.path.join(args.out, "expected.json"), "w") as file:
        json.dump({"name": os.path.basename(args.out), "pictures": pictures}, file, indent=1)
    write_safetensors(os.path.join(args.out, "expected.safetensors"), tensors)


if __name__ == "__main__":
    main()
