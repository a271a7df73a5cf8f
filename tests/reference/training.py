"""Training references: some steps of torchvision's Inception-v3 with torch.optim.SGD in float64.

The first `freeze` convolutions run in inference mode and do not learn; there is no dropout, and an auxiliary head
only where its loss has a weight. PyTorch's own float32 error is the worst of several runs: with one and two threads, both memory
layouts, oneDNN on and off. Gradients pass through kinks, where ReLU or a maximum tips over: two results that are both right may
differ there. A reference therefore counts only where all those runs stay near float64 and no value lies so near a kink that
another order of the sums could push it over.
"""
import itertools
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

import network as nets

# What the worst error of PyTorch's own float32 runs must stay below: half of what nodal may have, or less.
LIMITS = {"loss": 5e-6, "grad": 5e-4, "param": 5e-5, "update": 5e-3, "buffer": 5e-5}
# How far from a kink every value must lie, in units of PyTorch's float32 error of its channel.
MARGIN = 3.5
# A gradient's error counts relative to its norm, or to this share of all gradients' together where that is more.
GRAD_FLOOR = 1e-4
# The error of a parameter's way counts relative to it, or to this share of the parameter, below which float32 keeps none of it.
UPDATE_FLOOR = 2e-5


@dataclass
class Job:
    """What is trained, on what, and how."""
    state: dict
    padding: str
    freeze: int
    inputs: torch.Tensor
    """[steps, N, 3, H, W]"""
    labels: torch.Tensor
    """[steps, N]"""
    lr: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_decay: float = 0.0
    aux_weight: float = 0.0
    """Of the auxiliary head's loss; the state has that head where it is not 0."""


@dataclass
class Result:
    """Float64 copies of what a run gave."""
    loss: torch.Tensor
    grad: dict = field(default_factory=dict)
    param: dict = field(default_factory=dict)
    buffer: dict = field(default_factory=dict)


def prepare(job):
    """The network in training mode, what is frozen in inference mode."""
    net = nets.network(job.state, job.padding).train()
    net.dropout.p = 0.0
    names = nets.convolutions(net)
    if job.freeze > len(names):
        raise SystemExit(f"--freeze {job.freeze}: there are {len(names)} convolutions")
    for name in names[:job.freeze]:
        net.get_submodule(name).eval().requires_grad_(False)
    return net


def loss_of(logits, labels):
    """Mean over the batch: binary cross-entropy of one logit, softmax cross-entropy of more."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


def total_loss(job, outputs, labels):
    """The loss of the logits, and of an auxiliary head's, which come with them, its share."""
    if not job.aux_weight:
        return loss_of(outputs, labels)
    return loss_of(outputs.logits, labels) + job.aux_weight * loss_of(outputs.aux_logits, labels)


def train(job, dtype, channels_last=False, progress=lambda step, loss: None):
    """Runs all steps."""
    net = prepare(job).to(dtype)
    form = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=form)
    learned = {name: p for name, p in net.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(learned.values(), lr=job.lr, momentum=job.momentum, weight_decay=job.weight_decay)
    copy = lambda value: value.detach().double().contiguous().clone()
    losses, result = [], Result(loss=None)
    for step, (x, labels) in enumerate(zip(job.inputs, job.labels)):
        optimizer.param_groups[0]["lr"] = job.lr / (1 + job.lr_decay * step)
        optimizer.zero_grad()
        loss = total_loss(job, net(x.to(dtype).contiguous(memory_format=form)), labels)
        loss.backward()
        if step == 0:
            result.grad = {name: copy(p.grad) for name, p in learned.items()}
        optimizer.step()
        losses.append(copy(loss))
        progress(step, losses[-1].item())
    result.loss = torch.stack(losses)
    result.param = {name: copy(p) for name, p in learned.items()}
    moving = {name[:-len(".bn.weight")] for name in learned if name.endswith(".bn.weight")}
    result.buffer = {name: copy(value) for name, value in net.named_buffers()
                     if ".running_" in name and name.split(".bn.")[0] in moving}
    return result


def relative(ours, truth, floor=0.0):
    """L2 norm of the difference, relative to that of the truth or to `floor` where that is more."""
    difference, norm = (torch.linalg.vector_norm(x).item() for x in (ours - truth, truth))
    return difference / max(norm, floor) if difference else 0.0


def errors(ours, truth, job):
    """The worst relative L2 error of each group; `update` is that of the way a parameter has moved."""
    norms = torch.stack([torch.linalg.vector_norm(g) for g in truth.grad.values()])
    floor = GRAD_FLOOR * torch.linalg.vector_norm(norms).item()
    before = {name: job.state[name].double() for name in truth.param}
    least = {name: UPDATE_FLOOR * torch.linalg.vector_norm(p).item() for name, p in truth.param.items()}
    return {
        "loss": relative(ours.loss, truth.loss),
        "grad": max(relative(ours.grad[name], g, floor) for name, g in truth.grad.items()),
        "param": max(relative(ours.param[name], p) for name, p in truth.param.items()),
        "update": max(relative(ours.param[name] - before[name], p - before[name], least[name])
                      for name, p in truth.param.items()),
        "buffer": max(relative(ours.buffer[name], b) for name, b in truth.buffer.items()),
    }


def float32_errors(job, truth):
    """The worst error of each group over PyTorch's float32 runs; stops early where one is too large for a reference."""
    worst, threads = {}, torch.get_num_threads()
    # Threads, channels_last, oneDNN.
    for threads_now, channels_last, onednn in itertools.product((1, 2), (False, True), (True, False)):
        torch.set_num_threads(threads_now)
        with torch.backends.mkldnn.flags(enabled=onednn):
            found = errors(train(job, torch.float32, channels_last), truth, job)
        worst = {group: max(error, worst.get(group, 0.0)) for group, error in found.items()}
        if excess(worst):
            break
    torch.set_num_threads(threads)
    return worst


def excess(worst):
    """What is too large in `worst`, in words; empty where nothing is."""
    return ", ".join(f"{group} {error:.1e} of {LIMITS[group]}" for group, error in worst.items() if error >= LIMITS[group])


def kinks(job, dtype):
    """Of the first step, everything that a gradient passes and that can tip over: before ReLU, and into a maximum."""
    net, values = prepare(job).to(dtype), {}
    note = lambda name, value: values.__setitem__(name, value.detach().double()) if value.requires_grad else None
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, y, name=name: note(f"relu {name}", y.clone()))
        elif name in ("maxpool1", "maxpool2", "Mixed_6a", "Mixed_7a"):
            module.register_forward_pre_hook(lambda _, x, name=name: note(f"max {name}", x[0]))
    net(job.inputs[0].to(dtype))
    return values


def kink_margin(job):
    """The smallest distance to a kink at the first step, in units of PyTorch's float32 error of the channel."""
    theirs, margin = kinks(job, torch.float32), float("inf")
    for name, value in kinks(job, torch.float64).items():
        squares = (theirs[name] - value) ** 2
        noise = torch.maximum(squares.mean(dim=(0, 2, 3), keepdim=True), squares.mean()).sqrt()
        if name.startswith("relu"):
            distance = value.abs() / noise
        else:
            two = value.unfold(2, 3, 2).unfold(3, 3, 2).flatten(4).topk(2).values
            # Where the largest is what ReLU cut off, no gradient goes on.
            distance = ((two[..., 0] - two[..., 1]) / noise)[two[..., 0] > 0]
        margin = min(margin, distance.min().item() if distance.numel() else margin)
    return margin


def metadata(job):
    names = ("lr", "momentum", "weight_decay", "lr_decay")
    return {
        "mode": "train", "avg_pool_padding": job.padding, "freeze": str(job.freeze), "steps": str(len(job.inputs)),
        "head": "logit" if job.state["fc.weight"].shape[0] == 1 else "classes",
    } | {name: repr(getattr(job, name)) for name in names} | ({"aux_weight": repr(job.aux_weight)} if job.aux_weight else {})
