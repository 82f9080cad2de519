"""Moondream 2 in PyTorch, to be trained: the arithmetic of inference/, with gradients.

Parameter names are those of the published checkpoints behind the prefix "model.".
Shapes: B pictures, C crops, P patches of a crop, E vision width, T positions, D text width.
"""
import json
import math
import struct

import torch
from torch import nn
from torch.nn import functional as F


def has_fast_bfloat16(device):
    if device.type == "cuda":
        return True
    try:
        with open("/proc/cpuinfo") as info:
            return "avx512_bf16" in info.read()
    except OSError:
        return False


class Bfloat16Product(torch.autograd.Function):
    """x @ w.T with factors rounded to bfloat16, summed in float32: twice as fast where the CPU
    has instructions for it."""

    @staticmethod
    def forward(ctx, x, w):
        x16, w16 = x.reshape(-1, x.size(-1)).bfloat16(), w.bfloat16()
        ctx.save_for_backward(x16, w16)
        return F.linear(x16, w16).float().view(*x.shape[:-1], w.size(0))

    @staticmethod
    def backward(ctx, grad):
        x16, w16 = ctx.saved_tensors
        g16 = grad.reshape(-1, grad.size(-1)).bfloat16()
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (g16 @ w16).float().view(*grad.shape[:-1], w16.size(1))
        return grad_x, (g16.t() @ x16).float()


class Gelu(torch.autograd.Function):
    """x sigmoid(2 u) is 0.5 x (1 + tanh(u)), and three times as fast on CPUs."""

    SCALE = 2 * math.sqrt(2 / math.pi)

    @staticmethod
    def forward(ctx, x):
        gate = x * x
        gate.mul_(0.044715 * Gelu.SCALE).add_(Gelu.SCALE).mul_(x).sigmoid_()
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx, grad):
        x, gate = ctx.saved_tensors
        slope = x * x
        slope.mul_(3 * 0.044715 * Gelu.SCALE).add_(Gelu.SCALE).mul_(x)
        slope.mul_(1 - gate).add_(1).mul_(gate)
        return slope.mul_(grad)


class Linear(nn.Linear):
    fast = False  # set once for all: multiply in bfloat16

    def forward(self, x):
        if Linear.fast:
            return Bfloat16Product.apply(x, self.weight) + self.bias
        return F.linear(x, self.weight, self.bias)


class Mlp(nn.Module):
    def __init__(self, dim_in, inner, dim_out):
        super().__init__()
        self.fc1, self.fc2 = Linear(dim_in, inner), Linear(inner, dim_out)

    def forward(self, x):
        return self.fc2(Gelu.apply(self.fc1(x)))


def attention(q, k, v, mask=None):
    """q, k, v: [B, H, T, head_dim]; mask: added to the scores, [B, 1, T, T]."""
    q = q * (1 / math.sqrt(q.size(-1)))
    if Linear.fast:
        q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
    scores = (q @ k.transpose(-2, -1)).float()
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)
    return (weights.to(v.dtype) @ v).float()


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = Linear(dim, 3 * dim), Linear(dim, dim)

    def forward(self, x, mask=None, rotate=None):
        b, t, dim = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        mixed = attention(q, k, v, mask)
        return self.proj(mixed.transpose(1, 2).reshape(b, t, dim))


class VisionBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(c["enc_dim"]), nn.LayerNorm(c["enc_dim"])
        self.attn = Attention(c["enc_dim"], c["enc_n_heads"])
        self.mlp = Mlp(c["enc_dim"], c["enc_ff_dim"], c["enc_dim"])

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


def grid_waves(grid, dim):
    """Sines and cosines of row and column: [1, grid^2, dim]. Positions need not be learnt."""
    waves = dim // 4
    rates = math.pi * torch.exp(torch.linspace(0, math.log(grid / 2), waves))
    at = (torch.arange(grid) + 0.5) / grid
    angles = at[:, None] * rates
    one = torch.cat([angles.sin(), angles.cos()], 1)
    rows = one[:, None].expand(grid, grid, -1)
    columns = one[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], 2).reshape(1, grid * grid, 4 * waves)


class Vision(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.grid = c, c["crop_size"] // c["enc_patch_size"]
        self.patch_emb = Linear(3 * c["enc_patch_size"] ** 2, c["enc_dim"])
        self.pos_emb = nn.Parameter(0.5 * grid_waves(self.grid, c["enc_dim"]))
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c["enc_n_layers"]))
        self.post_ln = nn.LayerNorm(c["enc_dim"])
        self.proj_mlp = Mlp(2 * c["enc_dim"], c["proj_inner_dim"], c["proj_out_dim"])

    def encode(self, crops):
        """crops: uint8 [C, size, size, 3] -> [C, P, E]."""
        n, grid, patch = crops.size(0), self.grid, self.c["enc_patch_size"]
        x = crops.view(n, grid, patch, grid, patch, 3).permute(0, 1, 3, 5, 2, 4)
        x = x.reshape(n, grid * grid, -1).float().div_(127.5).sub_(1)
        x = self.patch_emb(x) + self.pos_emb
        for block in self.blocks:
            x = block(x)
        return self.post_ln(x)

    def project(self, features, tilings):
        """features: of the crops of all pictures, [C, P, E]; tilings: rows and columns of each
        picture. -> [B, P, D]"""
        grid, margin, parts, at = self.grid, self.c["overlap_margin"], [], 0
        for rows, columns in tilings:
            whole = features[at]
            at += 1
            if rows * columns == 1:
                parts.append(torch.cat([whole, whole], -1))
                continue
            local = features[at:at + rows * columns].view(rows, columns, grid, grid, -1)
            at += rows * columns
            joined = torch.cat([
                torch.cat([
                    local[r, c,
                          0 if r == 0 else margin:grid if r == rows - 1 else grid - margin,
                          0 if c == 0 else margin:grid if c == columns - 1 else grid - margin]
                    for c in range(columns)], 1)
                for r in range(rows)], 0)
            pooled = F.adaptive_avg_pool2d(joined.permute(2, 0, 1), grid)
            parts.append(torch.cat([whole, pooled.permute(1, 2, 0).reshape(grid * grid, -1)], -1))
        return self.proj_mlp(torch.stack(parts))


class TextBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln = nn.LayerNorm(c["dim"])
        self.attn = Attention(c["dim"], c["n_heads"])
        self.mlp = Mlp(c["dim"], c["ff_dim"], c["dim"])

    def forward(self, x, mask, rotate):
        normed = self.ln(x)
        return x + self.attn(normed, mask, rotate) + self.mlp(normed)


class Text(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.wte = nn.Parameter(0.5 * torch.randn(c["vocab_size"], c["dim"]))
        self.blocks = nn.ModuleList(TextBlock(c) for _ in range(c["n_layers"]))
        self.post_ln = nn.LayerNorm(c["dim"])
        self.lm_head = Linear(c["dim"], c["vocab_size"])
        rotary = c["dim"] // c["n_heads"] // 2
        rates = 1 / 10000 ** (torch.arange(0, rotary, 2) / rotary)
        angles = torch.arange(c["max_context"])[:, None] * rates
        self.register_buffer("waves", torch.stack([angles.cos(), angles.sin()]), persistent=False)

    def forward(self, x, mask, positions):
        """x: [B, T, D]; mask: [B, 1, T, T]; positions: [B, T] -> raw outputs [B, T, D]."""
        cos, sin = self.waves[:, positions].unsqueeze(2)  # [B, 1, T, rotary / 2]
        half = cos.size(-1)

        def rotate(y):
            real, imag = y[..., :half], y[..., half:2 * half]
            turned = torch.stack([real * cos - imag * sin, real * sin + imag * cos], -1)
            return torch.cat([turned.flatten(-2), y[..., 2 * half:]], -1)

        for block in self.blocks:
            x = block(x, mask, rotate)
        return x


class Region(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        # Waves from half of one to many over the picture; widths and heights have their own.
        rates = torch.exp(torch.linspace(math.log(0.25), math.log(48), c["coord_feat_dim"] // 2))
        self.coord_features = nn.Parameter(rates[None], requires_grad=False)
        half = c["size_feat_dim"] // 4
        rates = torch.exp(torch.linspace(math.log(0.25), math.log(24), half))
        zeros = torch.zeros(half)
        self.size_features = nn.Parameter(
            torch.stack([torch.cat([rates, zeros]), torch.cat([zeros, rates])]),
            requires_grad=False)
        self.coord_encoder = Linear(c["coord_feat_dim"], c["dim"])
        self.size_encoder = Linear(c["size_feat_dim"], c["dim"])
        self.coord_decoder = Mlp(c["dim"], c["inner_dim"], c["coord_out_dim"])
        self.size_decoder = Mlp(c["dim"], c["inner_dim"], c["size_out_dim"])

    @staticmethod
    def fourier(x, w):
        f = 2 * math.pi * x @ w
        return torch.cat([f.cos(), f.sin()], -1)

    def encode_coordinates(self, x):
        """[N] -> [N, D]"""
        return self.coord_encoder(self.fourier(x[:, None], self.coord_features))

    def encode_sizes(self, sizes):
        """[N, 2] -> [N, D]"""
        return self.size_encoder(self.fourier(sizes, self.size_features))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.vision = Vision(config["vision"])
        self.text = Text(config["text"])
        self.region = Region(config["region"])


def safetensors(tensors):
    """The bytes of a safetensors file of bfloat16 tensors."""
    header, chunks, at = {}, [], 0
    for name, tensor in tensors.items():
        data = tensor.detach().cpu().bfloat16().contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(data)]}
        at += len(data)
        chunks.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(chunks)
