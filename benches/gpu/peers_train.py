"""Times a training step of PyTorch and of nodal alternately on one GPU and writes one JSON file; run.py makes ratios of it.

A step is forward, loss of one logit, backward and update by SGD with momentum, the first convolutions frozen in inference
mode, nothing dropped. Same weights, same rounds and the same two clocks as in peers.py, from which the rest comes.
"""
import contextlib
import copy
import functools
import tempfile

import torch

import peers

WHAT = {
    "device_ms": "PyTorch, CUDA events around a training step, inputs and labels on the device",
    "wall_ms": "PyTorch, host clock: a pinned batch to the device, a training step, the loss read back; labels on the device",
    "nodal": "nodal bench --train, step_ms: images and targets to the device, a training step, the loss read back; float32",
    "amp": "float16 by autocast, with a gradient scaler",
}


class Step(peers.Peer):
    """PyTorch's training step in one memory layout and precision; `forward` is all of it and gives the loss."""

    mode = torch.enable_grad

    def __init__(self, name, net, device, batch, size, precision, layout, freeze):
        self.begin(name, device, batch, size, torch.float32, layout)
        self.net = copy.deepcopy(net).to(device).to(memory_format=layout).train()
        self.net.dropout.p = 0.0
        convolutions = [module for module in self.net.modules() if type(module).__name__ == "BasicConv2d"]
        for convolution in convolutions[:freeze]:
            convolution.eval().requires_grad_(False)
        learned = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(learned, lr=1e-6, momentum=0.9)
        self.labels = (torch.arange(batch, device=device) % 2).float()
        self.logits = torch.empty((), pin_memory=self.cuda)
        # PyTorch before 2.3 has no torch.amp.GradScaler.
        self.scaler = getattr(torch.amp, "GradScaler", torch.cuda.amp.GradScaler)() if precision == "amp" else None

    def forward(self, x):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.float16) if self.scaler else contextlib.nullcontext():
            logits = self.net(x)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), self.labels)
        if self.scaler:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self.optimizer.step()
        return loss.detach()


def main():
    options = peers.options_of(__doc__, rounds=3)
    options.add_argument("--freeze", type=int, default=3, help="convolutions that do not learn, from the first one on")
    args = options.parse_args()
    args.size, args.seconds, args.rounds = (75, 0.0, 1) if args.quick else (299, 0.8, args.rounds)
    device = torch.device(args.device)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    precisions = ["fp32", "tf32", "amp"] if device.type == "cuda" else ["fp32"]
    facts = dict(peers.about(args, WHAT), freeze=args.freeze)
    layouts = {"eager": torch.contiguous_format, "eager channels_last": torch.channels_last}

    with tempfile.TemporaryDirectory() as folder:
        ours, state = peers.weights_of(args.nodal, folder)
        net = peers.network(state)

        def measure(batch, name):
            peers.precision(name)
            makers = {title: functools.partial(Step, title, net, device, batch, args.size, name, layout, args.freeze)
                      for title, layout in layouts.items()}

            def nodal():
                if device.type == "cuda":
                    torch.cuda.empty_cache()  # nodal's process needs the card's memory too
                return peers.nodal_turn(args, batch, ours, "--train", "--freeze", args.freeze)["step_ms"]

            return peers.group(args, makers, nodal, batch, name)

        peers.groups(args, facts, precisions, [2] if args.quick else [64, 16], measure)


if __name__ == "__main__":
    main()
