#!/usr/bin/env python3
"""Writes libtorch reference files: what torchvision's Inception-v3 computes in float64.

Inference: logits and every layer. With --train: losses, gradients of the first step, parameters and running statistics
after the last. Without arguments: the files kept beside this script. With --out: one file as asked, for checks with other
seeds, sizes and classes; --save-weights also writes the weights that were used. The format is described in README.md.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

import crops
import network as nets
import safetensors_file
import training
import weights as generator

HERE = Path(__file__).parent
SAMPLE_SEED = 7
# Values of a layer, and of a parameter, that are kept when it is larger.
SAMPLE = 1000
SAMPLE_TRAINED = 256

# Arguments of each kept file.
KEPT = {
    "eval-75x75": "--seed 1 --size 75 75 --batch 2",
    "eval-107x139-exclude": "--seed 2 --classes 3 --size 107 139 --batch 2 --avg-pool-padding exclude",
    "eval-299x299": "--seed 3 --classes 5",
    "train-logit-freeze3": "--train --seed 314 --input-seed 315 --size 107 139 --batch 6 --steps 2 --freeze 3 --lr 0.01 --momentum 0.9 "
                           "--weight-decay 1e-3 --lr-decay 0.5 --shift bn.bias=3 --shift fc.bias=-14",
    "train-classes-freeze0": "--train --seed 1 --input-seed 226 --classes 3 --size 107 107 --batch 6 --steps 3 --lr 1e-3 "
                             "--momentum 0.9 --weight-decay 1e-3 --lr-decay 0.5 --shift bn.bias=3",
    "train-classes-aux": "--train --seed 2 --input-seed 19 --classes 3 --size 299 347 --batch 2 --freeze 60 --lr 0.1 "
                         "--weight-decay 1e-3 --aux-weight 0.4 --shift bn.bias=2 --sample 96",
}


def keep(tensors, metadata, group, name, value, args, limit):
    """Stores a tensor whole, or a sample of it with its norm and shape."""
    dtype = torch.float64 if args.f64 else torch.float32
    if args.full or value.numel() <= limit:
        tensors[f"{group}.{name}"] = value.to(dtype).contiguous()
        return
    metadata["sample.seed"] = str(SAMPLE_SEED)
    index = generator.bits(SAMPLE_SEED, name, limit) % np.uint64(value.numel())
    tensors[f"sample.{group}.{name}"] = value.flatten()[torch.from_numpy(index.astype(np.int64))].to(dtype)
    tensors[f"norm.{group}.{name}"] = torch.linalg.vector_norm(value).reshape(1)
    tensors[f"shape.{group}.{name}"] = torch.tensor(value.shape)


def run(net, x):
    """Logits and the output of every BasicConv2d, block, pool and fc, by module name."""
    outputs, hooks = {}, []
    for name, module in net.named_modules():
        kind = type(module).__name__
        if kind == "BasicConv2d" or kind.startswith("Inception") and name or name in ("maxpool1", "maxpool2", "avgpool", "fc"):
            hook = lambda _, __, y, name=name: outputs.__setitem__(name, y.detach())
            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        logits = net(x)
    for hook in hooks:
        hook.remove()
    return logits, outputs


def weights_of(args):
    """The state_dict, and the metadata that says where it comes from."""
    if args.load:
        if args.shift:
            raise SystemExit("--shift belongs to random weights: leave it or --load out")
        return nets.state_of(args.load, bool(args.aux_weight)), {}
    about = {"weights.seed": str(args.seed), "weights.classes": str(args.classes)}
    about |= {f"weights.shift.{ending}": repr(by) for ending, by in args.shift}
    return nets.random_state(args.seed, args.classes, dict(args.shift), bool(args.aux_weight)), about


def inference(args):
    """Weights, tensors and metadata of a reference of inference."""
    state, about = weights_of(args)
    net, x = nets.network(state, args.avg_pool_padding), nets.images(args.seed, args.batch, *args.size)
    logits32, layers32 = run(net, x)
    logits, layers = run(net.double(), x.double())
    metadata = about | {
        "mode": "eval", "avg_pool_padding": args.avg_pool_padding,
        "f32_error.logits": repr(training.relative(logits32.double(), logits)),
        "f32_error.layer": repr(max(training.relative(layers32[name].double(), layers[name]) for name in layers)),
        "made_by": nets.made_by(),
    }
    tensors = {"input": x, "logits": logits.to(torch.float64 if args.f64 else torch.float32)}
    for name, value in layers.items():
        keep(tensors, metadata, "layer", name, value, args, args.sample or SAMPLE)
    return state, tensors, metadata


def job_of(args, state, seed):
    """What is trained with the inputs and labels of `seed`."""
    classes, (h, w), count = state["fc.weight"].shape[0], args.size, args.steps * args.batch
    if args.images:
        preprocess = crops.preprocess_of(args.load) if args.load else crops.Preprocess()
        preprocess.size = args.size
        inputs, labels = crops.folder(args.images, preprocess, count, seed)
        if labels.max() >= max(classes, 2):
            raise SystemExit(f"{args.images}: more classes than the {max(classes, 2)} of the weights")
    else:
        # In steps of 1/1024 they are exact in float16, in which they take half the space.
        inputs = torch.round(nets.images(seed, count, h, w) * 1024) / 1024
        drawn = generator.bits(seed, "labels", count) % np.uint64(max(classes, 2))
        labels = torch.from_numpy(drawn.astype(np.int64))
    rates = {name: getattr(args, name) for name in ("lr", "momentum", "weight_decay", "lr_decay", "aux_weight")}
    inputs, labels = inputs.reshape(args.steps, args.batch, 3, h, w), labels.reshape(args.steps, args.batch)
    return training.Job(state, args.avg_pool_padding, args.freeze, inputs, labels, **rates)


def search(args, state):
    """The first seed of inputs that makes a reference: its job, float64 result, float32 errors and metadata."""
    first = args.seed if args.input_seed is None else args.input_seed
    for seed in range(first, first + args.search):
        job = job_of(args, state, seed)
        margin = training.kink_margin(job)
        if margin < training.MARGIN:
            problem = f"a value lies {margin:.2f} float32 errors from a kink, nearer than {training.MARGIN}"
        else:
            truth = training.train(job, torch.float64)
            worst = training.float32_errors(job, truth)
            if not training.excess(worst):
                return job, truth, worst, {"input.seed": str(seed), "kink_margin": f"{margin:.2f}"}
            problem = f"PyTorch's own float32 errors are too large: {training.excess(worst)}"
        print(f"inputs of seed {seed}: {problem}", flush=True)
    raise SystemExit("no reference: choose another --input-seed, or have --search N try N of them")


def trained(args):
    """Weights, tensors and metadata of a reference of training."""
    state, about = weights_of(args)
    if args.only == "loss":
        job = job_of(args, state, args.seed if args.input_seed is None else args.input_seed)
        truth = training.train(job, torch.float64, progress=lambda s, loss: print(f"step {s}: loss {loss:.6f}", flush=True))
        single = training.train(job, torch.float32)
        worst = {"loss": training.relative(single.loss, truth.loss)}
    else:
        job, truth, worst, found = search(args, state)
        about |= found
    metadata = about | training.metadata(job) | {f"f32_error.{group}": repr(error) for group, error in worst.items()}
    metadata["made_by"] = nets.made_by()
    half = job.inputs.half()
    exact = torch.equal(half.float(), job.inputs)
    tensors = {"input": half if exact else job.inputs, "labels": job.labels, "loss": truth.loss}
    if args.only == "loss":
        tensors["f32.loss"] = single.loss
    else:
        for group in ("grad", "param", "buffer"):
            for name, value in getattr(truth, group).items():
                keep(tensors, metadata, group, name, value, args, args.sample or SAMPLE_TRAINED)
    return job.state, tensors, metadata


def save_weights(state, path, legacy):
    if path.suffix == ".safetensors":
        safetensors_file.save(path, {name: value.numpy() for name, value in state.items()}, {})
    else:
        state = nets.network(state, "include").state_dict()
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)


def shift(text):
    ending, _, by = text.partition("=")
    return ending, float(by)


def parser():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, help="write one reference here instead of the kept ones")
    options.add_argument("--seed", type=int, default=1, help="of weights and inputs")
    options.add_argument("--classes", type=int, default=1)
    options.add_argument("--size", type=int, nargs=2, default=(299, 299), metavar=("H", "W"))
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--avg-pool-padding", choices=("include", "exclude"), default="include")
    options.add_argument("--load", type=Path, help="these weights, .safetensors or .pth, instead of random ones")
    options.add_argument("--shift", type=shift, action="append", default=[], metavar="ENDING=X",
                         help="add X to the random weights whose names end so; may be repeated")
    options.add_argument("--full", action="store_true", help="keep every tensor whole")
    options.add_argument("--sample", type=int, metavar="N", help="values that are kept of each larger tensor")
    options.add_argument("--f64", action="store_true", help="store float64 instead of rounding to float32")
    options.add_argument("--save-weights", "--weights", type=Path, action="append", default=[], dest="save",
                         help=".safetensors or .pth; may be repeated")
    options.add_argument("--legacy", action="store_true", help="write .pth in the older form")
    train = options.add_argument_group("training")
    train.add_argument("--train", action="store_true", help="a reference of training")
    train.add_argument("--steps", type=int, default=1)
    train.add_argument("--freeze", type=int, default=0, help="convolutions that do not learn")
    train.add_argument("--lr", type=float, default=1e-3)
    train.add_argument("--momentum", type=float, default=0.0)
    train.add_argument("--weight-decay", type=float, default=0.0)
    train.add_argument("--lr-decay", type=float, default=0.0)
    train.add_argument("--aux-weight", type=float, default=0.0, metavar="X", help="an auxiliary head, and the weight of its loss")
    train.add_argument("--input-seed", type=int, help="of inputs and labels [default: --seed]")
    train.add_argument("--search", type=int, default=1, metavar="N", help="try up to N seeds from --input-seed on")
    train.add_argument("--only", choices=("loss",), help="keep the losses alone; any weights will do")
    train.add_argument("--images", type=Path, metavar="DIR", help="take inputs and labels from a folder a class")
    return options


def write(args):
    state, tensors, metadata = (trained if args.train else inference)(args)
    safetensors_file.save(args.out, {name: value.numpy() for name, value in tensors.items()}, metadata)
    for path in args.save:
        save_weights(state, path, args.legacy)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, " + ", ".join(f"{k} {v}" for k, v in metadata.items()))


def main():
    args = parser().parse_args()
    # One thread: the same bytes on every run.
    torch.set_num_threads(1)
    if args.out:
        return write(args)
    for name, line in KEPT.items():
        write(parser().parse_args(["--out", str(HERE / f"{name}.safetensors"), *line.split()]))


if __name__ == "__main__":
    main()
