"""A text that fills a real model's context: memory goes by what is asked for, not by the number of heads."""

import subprocess
import sys

import pytest

from trivium.errors import DataError
from trivium.families.demo_models import find_model

CODE = """
import resource
from trivium import load
from trivium.verbs.inspect import inspect_text
model = load("smollm2-135m")
text = "The animal did not cross the street because it was too tired. " * 300
inspect_text(model, text[:200], layers=[1], summary="mean")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
weights = inspect_text(model, text, layers=[1], summary="mean").attention.weights
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(weights.shape[-1], weights.nbytes, (after - before) * 1024, abs(weights.sum(-1) - 1).max())
"""


@pytest.mark.slow
def test_a_mean_over_nine_heads_takes_the_memory_of_a_few() -> None:
    try:
        find_model("smollm2-135m")
    except DataError:
        pytest.skip("the demo model smollm2-135m is not on this machine")
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    tokens, size, taken, off = int(found[0]), int(found[1]), int(found[2]), float(found[3])
    assert tokens > 3800 and off < 1e-4
    assert taken < 6 * size  # all nine heads and their softmax would be 18 times as much
