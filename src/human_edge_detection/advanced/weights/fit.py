"""Finds the weights of a network in what other programs saved, and says what was changed to make them fit.

A file may hold more than the network (a classifier's last layer, a decoder, a training state), under longer names
(``module.``, ``state_dict``, an exported ``_orig_mod.``), in half precision, or without counters of BatchNorm. All of
that is told by names and shapes alone. Nothing is guessed: a tensor that differs in name or shape is an error.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from human_edge_detection.advanced.weights.state_dict import mismatch
from human_edge_detection.advanced.weights.torch_archive import is_dense
from human_edge_detection.errors import CheckpointError
from human_edge_detection.experiments.schema.encoders import ENCODER_SIGNATURES
from human_edge_detection.files.weight_files import COUNTER, flat_names, is_counter, prefixes, prefixes_of

logger = logging.getLogger(__name__)

_MAX_WEIGHT: Final = 1e10
"""Largest plausible weight; one whose highest exponent bit was flipped is above it, and torch would load it."""
_LISTED: Final = 2


class Fit(NamedTuple):
    """A state dict for a network, as near as the file's content comes to one.

    Attributes:
        state: Its tensors by name.
        problem: Why it cannot be loaded; empty when it can.
        changes: What was done to the content, in words; empty when it is a state dict of this network as it stands.
    """

    state: dict[str, Tensor]
    problem: str
    changes: str


def fit_weights(content: Any, module: nn.Module) -> Fit:
    """The weights of ``module`` in ``content``.

    Args:
        content: What a file of weights holds: tensors by name, or dicts of such.
        module: The network; it is not changed.
    """
    tensors = flat_names(content, Tensor)
    expected = module.state_dict()
    needed = {name for name in expected if not is_counter(name)}
    found = _prefixes(tensors, needed)
    if not found:
        return Fit({}, _other_names(content, tensors, expected) or mismatch(tensors, module), "")
    complete = [prefix for prefix, number in found.items() if number == len(needed)]
    best = sorted(complete or [max(found, key=lambda prefix: found[prefix])], key=_rank)
    rivals = [prefix for prefix in best[1:] if _rank(prefix) == _rank(best[0])]
    if rivals and not _are_equal(tensors, [best[0], *rivals], needed):
        named = " and ".join(repr(prefix) for prefix in (best[0], *rivals))
        return Fit({}, f"several sets of these weights are there, under {named}; save one of them alone", "")
    prefix, *others = best
    state, left_out = _behind(tensors, prefix, expected)
    left_out = [name for name in left_out if not name.startswith(tuple(filter(None, others)))]
    state, casts, counters = _as_expected(state, expected)
    problem = mismatch(state, module) or _implausible(state)
    changes = [
        f"taken from behind {prefix!r}" if prefix else "",
        f"not {', '.join(map(repr, others))}" if others else "",
        *(f"{kind} converted to float32" for kind in sorted(casts)),
        f"{COUNTER} set to 0" if counters else "",
        f"left out {_listed(left_out)}" if left_out else "",
    ]
    return Fit(state, problem, ", ".join(filter(None, changes)))


def other_encoder(content: Any, encoder_name: str) -> str:
    """Which other encoder's weights these are, told by their sizes; an empty string when it is not another's."""
    sizes = {name: tuple(value.shape) for name, value in flat_names(content, Tensor).items()}
    owners = [name for name, signature in ENCODER_SIGNATURES.items() if prefixes_of(sizes, signature)]
    if not owners or encoder_name in owners:
        return ""
    return (
        f"these are {owners[0]}'s weights, and model.encoder is {encoder_name}; "
        f"give other weights, or --set model.encoder={owners[0]}"
    )


def load_fitted(module: nn.Module, content: Any, *, source: str, network: str, encoder: str) -> None:
    """Loads the weights of ``module`` in ``content``, all tensors or none, and warns of what had to be changed.

    Args:
        module: Changed in place.
        content: As for :func:`fit_weights`.
        source: Where it comes from, for messages: ``checkpoint PATH``.
        network: What it should be, for messages: ``a whole NAME``.
        encoder: The name of the encoder in ``module``.

    Raises:
        CheckpointError: It does not fit.
    """
    fit = fit_weights(content, module)
    if fit.problem:
        raise CheckpointError(f"{source}: not {network}: {other_encoder(content, encoder) or fit.problem}")
    if fit.changes:
        logger.warning("%s: saved by another program: %s", source, fit.changes)
    module.load_state_dict(fit.state)


def _prefixes(names: Iterable[str], needed: Collection[str]) -> Counter[str]:
    """How many of the ``needed`` names are there behind each prefix."""
    return Counter(prefix for name in names for prefix, rest in prefixes(name) if rest in needed)


def _rank(prefix: str) -> tuple[bool, int]:
    """Moving averages first, as who saves them means them to be used; then what lies higher up in the file."""
    return "ema" not in prefix.lower().replace(".", "_").split("_"), prefix.count(".")


def _are_equal(tensors: Mapping[str, Tensor], prefixes: list[str], needed: Iterable[str]) -> bool:
    first, *others = prefixes
    return all(torch.equal(tensors[first + name], tensors[other + name]) for other in others for name in needed)


def _behind(
    tensors: Mapping[str, Tensor], prefix: str, expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of the network, and the names of those of something else.

    A further tensor of a part of the network (a deeper ``layer1``) stays, so that another network's are refused.
    """
    parts = {name.partition(".")[0] for name in expected}
    state, left_out = {}, []
    for name, value in tensors.items():
        rest = name.removeprefix(prefix)
        if name.startswith(prefix) and (rest in expected or rest.partition(".")[0] in parts):
            state[rest] = value
        else:
            left_out.append(name)
    return state, left_out


def _as_expected(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], set[str], bool]:
    """``state`` with the precision and the counters of ``expected``; which were converted; whether counters were."""
    result, casts = dict(state), set()
    counters = False
    for name, wanted in expected.items():
        value = result.get(name)
        if is_counter(name):
            if value is None or value.dtype != wanted.dtype or value.shape != wanted.shape:
                result[name], counters = torch.zeros_like(wanted, device="cpu"), True
        elif value is not None and is_dense(value) and value.dtype != wanted.dtype and value.is_floating_point():
            result[name] = value.to(wanted.dtype)
            casts.add(str(value.dtype).removeprefix("torch."))
    return result, casts, counters


def _implausible(state: Mapping[str, Tensor]) -> str:
    """Values too large for weights, or variances below 0, are signs of flipped bits."""
    for name, value in state.items():
        if value.is_floating_point() and (
            bool((value.abs() > _MAX_WEIGHT).any()) or (name.endswith("running_var") and bool((value < 0.0).any()))
        ):
            return f"damaged, the values of {name} are no weights; get the file again"
    return ""


def _other_names(content: Any, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    if not tensors:
        kind = "a dict without tensors" if isinstance(content, Mapping) else type(content).__name__
        return f"expected a state dict of tensors, got {kind}"
    if not Counter(value.shape for value in expected.values() if value.ndim > 1) - Counter(
        value.shape for value in tensors.values()
    ):
        return (
            f"the shapes fit, and the names are those of another library ({next(iter(tensors))} ..., expected "
            f"{next(iter(expected))} ...); save the weights under the names of timm or torchvision"
        )
    return ""


def _listed(names: list[str]) -> str:
    more = " ..." if len(names) > _LISTED else ""
    return f"{len(names)} {'tensor' if len(names) == 1 else 'tensors'} ({', '.join(sorted(names)[:_LISTED])}{more})"
