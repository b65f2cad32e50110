"""Published figures of training, the computed value exactly and the printed one after its rounding."""

import pytest

from trivium.errors import SettingsError
from trivium.lab.cost import PETAFLOP_DAY, bill, disk, epochs, given_sources, six_n_d
from trivium.lab.devices import DEVICES, Machines, find_device
from trivium.lab.published import GPT3_MIXTURE
from trivium.transformer.lora import Lora
from trivium.verbs.plan import plan


def test_gpt3():
    """Brown et al. 2020, tables 2.1 and D.1: 175.0 B, 3.14e23 FLOPs, 3.64e3 petaflop/s-days."""
    found = plan("gpt3")
    assert found.parameters == 174_604_259_328 and round(found.parameters, -9) == 175 * 10**9
    assert found.training.tokens == 300 * 10**9
    assert found.training.rule == 6 * 174_604_259_328 * 300 * 10**9 and f"{found.training.rule:.3g}" == "3.14e+23"
    assert found.training.petaflop_days == pytest.approx(3637.5887, abs=1e-4)  # 6 * 174,604,259,328 * 300e9 / 8.64e19
    assert f"{found.training.petaflop_days:.2e}" == "3.64e+03"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("gpt3-small", "2.6"), ("gpt3-medium", "7.42"), ("gpt3-large", "15.8"), ("gpt3-2.7b", "55.2"),
        ("gpt3-6.7b", "139"), ("gpt3-13b", "268"), ("roberta-large", "49.3"),
    ],
)  # fmt: skip
def test_petaflop_days_of_table_d1(name, printed):
    """GPT-3 3B and RoBERTa-large both took about 50."""
    assert plan(name).training.petaflop_days == pytest.approx(float(printed), rel=4e-3)


def test_llama_3():
    """Dubey et al. 2024, section 3: 3.8e25 FLOPs on 15.6 trillion tokens."""
    rule = plan("llama-3.1-405b").training.rule
    assert rule == 6 * 405_853_388_800 * 15_600_000_000_000 and f"{rule:.2g}" == "3.8e+25"


def test_full_fine_tuning_of_gpt3_beside_adapters():
    """Hu et al. 2021 print 1.2 TB against 350 GB; weights and two moments in 16 bits would be 1.05 TB."""
    found = plan("gpt3", lora=Lora(4), tasks=100)
    assert found.training_bytes == {"float32": 2_793_668_149_248, "bfloat16": 3_142_876_667_904}
    assert 3 * found.bytes["bfloat16"] < 1.2e12 < 4 * found.bytes["bfloat16"]
    assert found.adapters.parameters == 18_874_368 and found.parameters // found.adapters.parameters == 9250
    assert round(found.parameters / found.adapters.parameters) == 9251
    assert found.adapters.bytes["bfloat16"] == 37_748_736
    assert found.adapters.kept_bytes == 2 * 174_604_259_328 + 100 * 37_748_736
    assert found.adapters.copied_bytes == 200 * 174_604_259_328
    base = 350 * 10**9  # with the paper's own rounded figures
    assert round((base + 100 * 35 * 10**6) / 1e9, 1) == 353.5 and base * 100 == 35 * 10**12


def test_the_mixture_of_gpt3_follows_from_its_weights():
    found = epochs(GPT3_MIXTURE, 300 * 10**9)
    assert [round(each.epochs, 3) for each in found] == [0.439, 3.474, 2.0, 0.436, 3.0]
    assert sum(each.tokens for each in found) == 499 * 10**9
    assert round(sum(each.share for each in found), 2) == 1.01
    printed = [0.44, 2.9, 1.9, 0.43, 3.4]
    off = [each.name for each, value in zip(found, printed, strict=True) if abs(each.epochs / value - 1) > 0.1]
    assert off == ["WebText2", "Wikipedia"]


def test_sources_as_given():
    by_size = given_sources(["a=1e9", "b=3e9"])
    assert [each.share for each in by_size] == [0.25, 0.75]
    assert [each.epochs for each in epochs(by_size, 8 * 10**9)] == [2.0, 2.0]
    assert [each.share for each in given_sources(["a=10@1", "b=10@3"])] == [0.25, 0.75]
    for wrong in ("a", "a=x", "=3", "a=0", "a=3@0", "a=3@-1", "a=inf", "a=nan"):
        with pytest.raises(SettingsError, match="must look like"):
            given_sources([wrong])
    with pytest.raises(SettingsError, match="give each one, or none"):
        given_sources(["a=3@1", "b=3"])


def test_bills_and_disks():
    assert bill(7200, 8, 500, 2.0, 0.25) == bill(7200.0, 8, 500.0, 2.0, 0.25)
    found = bill(7200, 8, 500, 2.0, 0.25)
    assert (found.hours, found.energy, found.cost) == (2.0, 8.0, 34.0)
    assert bill(3600, 1, None, None, None).energy is None
    with pytest.raises(SettingsError, match="--watts"):
        bill(3600, 1, None, None, 0.2)
    assert disk(10, 80, 2).checkpoint == 120 and disk(10, 80, 2).most == 400
    assert six_n_d(2, 3) == 36 and PETAFLOP_DAY == 8.64e19


def test_devices_by_name():
    assert find_device("A100").name == "a100-80gb" and find_device("RTX 4090") is DEVICES["rtx-4090"]
    with pytest.raises(SettingsError, match="did you mean h100"):
        find_device("h1000")
    with pytest.raises(SettingsError, match="no bfloat16 units"):
        find_device("v100").peak("bfloat16")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": "h100", "devices": 0}, "at least 1"),
        ({"device": "h100", "price": -1.0}, "not negative"),
        ({"device": "h100", "watts": float("nan")}, "not negative"),
        ({"device": "h100", "mfu": 0.0}, "share of the peak"),
        ({"device": "here", "devices": 2}, "one device"),
        ({"price": 2.0}, "need a device"),
        ({"device": "gpu"}, "no device 'gpu'"),
    ],
)
def test_what_machines_cannot_be(fields, message):
    with pytest.raises(SettingsError, match=message):
        Machines(**fields)
