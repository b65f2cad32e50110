"""A network without memory: the names and shapes of the real one, at the price of neither weights nor a compiler."""

import subprocess
import sys

import pytest

from trivium.families import FAMILIES
from trivium.families.bodies import network, outline


@pytest.mark.parametrize("family", FAMILIES)
def test_an_outline_has_the_names_and_shapes_of_the_network(family: str) -> None:
    config = FAMILIES[family].size("tiny", 97)
    drawn, real = outline(config), network(config)
    assert {name: each.shape for name, each in drawn.state_dict().items()} == {
        name: each.shape for name, each in real.state_dict().items()
    }
    assert all(weight.is_meta for weight in drawn.parameters())


def test_opening_a_model_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys\n"
        "from trivium.families import LLAMA\n"
        "from trivium.families.bodies import outline\n"
        "outline(LLAMA.size('3-405b'))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
