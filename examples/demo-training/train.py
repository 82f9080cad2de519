#!/usr/bin/python3
"""Trains the demo model. See README.md for how to run, stop and resume it."""
import argparse
import json
import math
import os
import subprocess
import time

# OpenBLAS chooses the kernels when it is loaded: an environment may ask for older ones.
os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import multiprocessing as mp

from lessons import Drawer
from model import Linear, Model, has_fast_bfloat16, safetensors
from optimizer import Flat, Optimizer
from sequences import Writer
from teaching import Student, text_lesson, vision_lesson
from tokenizer import make_tokenizer
from views import Album, look

HERE = os.path.dirname(os.path.abspath(__file__))


# In scenes for each stage; the learning rate at its peak; the modules that learn.
DECODER = ["model.vision.proj_mlp", "model.text", "model.region", "frame_probe", "to_heads"]
STAGES = {
    "vision": dict(scenes=120_000, rate=1.2e-3, learn=["model.vision", "crop_probe"]),
    "decoder": dict(scenes=64_000, rate=1e-3, learn=DECODER),
    "together": dict(scenes=28_000, rate=2.5e-4, learn=["model.vision", "crop_probe"] + DECODER),
    "places": dict(scenes=170_000, rate=7e-4, learn=DECODER),
}


def rate_at(stage, done):
    """done: share of the stage, [0, 1]."""
    warm = 0.015
    if done < warm:
        return stage["rate"] * (done + 1e-4) / warm
    wave = math.cos(math.pi * (done - warm) / (1 - warm))
    return stage["rate"] * (0.04 + 0.96 * 0.5 * (1 + wave))


def export(optimizer, config, folder):
    """Writes what the library loads beside the tokenizer, with the averaged weights."""
    tensors = {name: optimizer.average[where].view(optimizer.shapes[name])
               for name, where in optimizer.flat.slices.items() if name.startswith("model.")}
    data = safetensors(tensors)
    with open(os.path.join(folder, "model.safetensors.part"), "wb") as file:
        file.write(data)
    os.replace(os.path.join(folder, "model.safetensors.part"),
               os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)


def work(rank, args, config, shared):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    Linear.fast = has_fast_bfloat16(device)
    student = Student(config).to(device)
    flat = Flat(student, shared["values"], shared["gradients"][rank])
    chief = rank == 0
    optimizer = Optimizer(student, flat) if chief else None
    progress = shared["progress"]  # stage, steps of it done, scenes drawn by each worker, stop
    names = list(STAGES)
    saved = os.path.join(args.folder, "checkpoint.pt")

    if chief:
        if os.path.exists(saved):
            checkpoint = torch.load(saved, map_location="cpu")
            optimizer.load(checkpoint["state"])
            progress[0] = names.index(checkpoint["stage"])
            progress[1], progress[2] = checkpoint["step"], checkpoint["scenes"]
            stage = STAGES[checkpoint["stage"]]
            if checkpoint["step"] >= int(stage["scenes"] * args.scale) // args.batch and (
                    checkpoint["stage"] != names[-1]):  # one that has been added since
                progress[0] += 1
                progress[1] = 0
                optimizer.begin(STAGES[names[int(progress[0])]]["learn"])
            else:
                optimizer.choose(stage["learn"])
        else:
            with torch.no_grad():
                flat.values.copy_(torch.cat([p.flatten() for p in Student(config).parameters()]))
            optimizer.average.copy_(flat.values)
            optimizer.choose(STAGES[names[0]]["learn"])
    shared["barrier"].wait()

    def save():
        torch.save({"stage": names[int(progress[0])], "step": int(progress[1]),
                    "scenes": int(progress[2]), "state": optimizer.state()}, saved + ".part")
        os.replace(saved + ".part", saved)
        export(optimizer, config, os.path.join(args.folder, "model"))

    drawer = Drawer(args.drawer, args.config, args.seed + 10 ** 9 * (1 + rank) + int(progress[2]),
                    config["vision"]["crop_size"])
    writer = Writer(config, os.path.join(args.folder, "model", "tokenizer.model"))
    share = args.batch // args.workers
    # A core's caches hold the activations of a few scenes: a third faster than all at once.
    part = share if device.type == "cuda" else math.gcd(share, 8)
    album = Album()
    sums, counted, clock, saved_at = {}, 0, time.time(), time.time()
    try:
        while not progress[3]:
            name = names[int(progress[0])]
            stage = STAGES[name]
            steps = int(stage["scenes"] * args.scale) // args.batch
            if int(progress[1]) >= steps:
                break  # of the last stage
            done = int(progress[1]) / steps
            random = np.random.default_rng((args.seed, rank, int(progress[0]), int(progress[1])))
            flat.gradients.zero_()
            figures = {}
            for _ in range(0, share, part):
                if name == "vision":
                    loss, new = vision_lesson(student, drawer.take(part), config, random, device)
                else:
                    views = (album.look if name == "places" else look)(
                        student, drawer, part, name, done, random, device)
                    loss, new = text_lesson(student, views, config, random, device, done, name,
                                            writer)
                weight = part / share
                (weight * loss).backward()
                for key, value in (new | {"loss": loss.item()}).items():
                    figures[key] = figures.get(key, 0) + weight * value
            shared["barrier"].wait()
            if chief:
                number = int(progress[1]) + 1
                gradient = shared["gradients"].mean(0)
                length = optimizer.step(gradient, rate_at(stage, done), number)
                progress[1] += 1
                progress[2] += share
                counted += 1
                for key, value in (figures | {"length": length}).items():
                    sums[key] = sums.get(key, 0) + value
                if counted == args.report:
                    line = {"stage": name, "step": number, "of": steps,
                            "scenes_per_second": counted * args.batch / (time.time() - clock),
                            "clock": int(time.time())}
                    line |= {key: value / counted for key, value in sums.items()}
                    with open(os.path.join(args.folder, "log.jsonl"), "a") as log:
                        log.write(json.dumps({k: round(v, 4) if isinstance(v, float) else v
                                              for k, v in line.items()}) + "\n")
                    sums, counted, clock = {}, 0, time.time()
                if number >= steps and name != names[-1]:
                    progress[0] += 1
                    progress[1] = 0
                    optimizer.begin(STAGES[names[int(progress[0])]]["learn"])
                progress[3] = int(os.path.exists(args.stop))
                if time.time() - saved_at > args.save_every:
                    save()
                    saved_at = time.time()
            shared["barrier"].wait()
    finally:
        drawer.close()
    if chief:
        save()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="of the checkpoint, the log and the exported model; resumes")
    parser.add_argument("--config", default=os.path.join(HERE, "config.json"))
    parser.add_argument("--drawer", default=os.path.join(
        HERE, "../../build/examples/demo-training/demo-lessons"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, help="processes; default: one for each core")
    parser.add_argument("--batch", type=int, default=32, help="scenes in a step")
    parser.add_argument("--scale", type=float, default=1, help="of the scenes in each stage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=float, default=240, help="seconds")
    parser.add_argument("--report", type=int, default=50, help="steps in a line of the log")
    args = parser.parse_args()
    args.stop = os.path.join(args.folder, "STOP")
    cuda = args.device.startswith("cuda")
    args.workers = args.workers or (1 if cuda else len(os.sched_getaffinity(0)))
    args.batch -= args.batch % args.workers
    os.makedirs(args.folder, exist_ok=True)
    with open(args.config) as file:
        config = json.load(file)
    tokenizer = os.path.join(args.folder, "model", "tokenizer.model")
    if not os.path.exists(tokenizer):
        texts = subprocess.run([args.drawer, "--texts"], check=True, capture_output=True, text=True)
        os.makedirs(os.path.dirname(tokenizer), exist_ok=True)
        with open(tokenizer, "wb") as file:
            file.write(make_tokenizer(texts.stdout.splitlines()))

    count = sum(p.numel() for p in Student(config).parameters())
    exported = sum(p.numel() for p in Model(config).parameters())
    print(f"{exported / 1e6:.2f} M parameters, {args.workers} workers", flush=True)
    shared = {"values": torch.zeros(count, device=args.device),
              "gradients": torch.zeros(args.workers, count, device=args.device),
              "progress": torch.zeros(4, dtype=torch.int64)}
    if not cuda:
        for tensor in shared.values():
            tensor.share_memory_()
    # One that waits for so long waits for a process that has failed.
    shared["barrier"] = mp.Barrier(args.workers, timeout=1800)
    others = [mp.Process(target=work, args=(rank, args, config, shared), daemon=True)
              for rank in range(1, args.workers)]
    for process in others:
        process.start()
    work(0, args, config, shared)
    for process in others:
        process.join()


if __name__ == "__main__":
    main()
