"""The hash of weights follows every change, and is computed once where nothing changes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from engines.backends import fingerprint
from engines.backends.eager import channels_last
from engines.backends.fingerprint import weights_hash
from engines.model.architecture import R50, ResNet
from engines.model.keypoint_rcnn import KeypointRCNN

TINY = replace(R50, body=ResNet((1, 1, 1, 1), width=8), channels=8, box_features=4, keypoint_features=(4,))


@pytest.fixture
def network() -> KeypointRCNN:
    torch.manual_seed(0)
    return KeypointRCNN(TINY).eval().requires_grad_(False)


def test_one_changed_weight_changes_the_hash_and_back(network: KeypointRCNN) -> None:
    before, bias = weights_hash(network), network.rpn.head.cls_logits.bias
    value = bias[1].item()
    bias[1] = value + 1e-6
    assert weights_hash(network) != before
    bias[1] = value
    assert weights_hash(network) == before


def test_weights_that_are_loaded_anew_have_another_hash(network: KeypointRCNN) -> None:
    before = weights_hash(network)
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    assert weights_hash(network) != before


def test_a_copy_and_another_layout_have_the_same_hash(network: KeypointRCNN) -> None:
    before = weights_hash(network)
    other = copy.deepcopy(network)
    assert weights_hash(other) == before
    assert weights_hash(channels_last(other)) == before
    other.rpn.head.cls_logits.bias[0] = 9
    assert weights_hash(other) != before
    assert weights_hash(network) == before


def test_it_is_computed_once(network: KeypointRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights_hash(network)
    monkeypatch.setattr(fingerprint, "_hash", lambda _: pytest.fail("computed again"))
    assert weights_hash(channels_last(network)) == before
