"""Text from a checkpoint."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from pipeline.errors import RequestError
from pipeline.evaluate.sample import Sample
from pipeline.inference.generation import Sampling, generate
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.evaluate.conftest import Trained

SHORT = Sampling(max_new_tokens=12)


def test_equal_seeds_draw_equal_texts_and_other_seeds_others(trained: Trained) -> None:
    once, again, other = (generate(trained.folder, ["The "], Sampling(max_new_tokens=12, seed=seed), 2) for seed in (1, 1, 2))
    assert once == again != other
    assert len(once[0]) == len(set(once[0])) == 2


def test_a_prompt_is_continued_alike_whatever_other_prompts_there_are(trained: Trained) -> None:
    together = generate(trained.folder, ["The old", "", "The fox"], SHORT)
    assert together == [
        *generate(trained.folder, ["The old"], SHORT),
        *generate(trained.folder, [""], SHORT),
        *generate(trained.folder, ["The fox"], SHORT),
    ]


def test_at_temperature_zero_the_likeliest_tokens_are_taken(trained: Trained) -> None:
    greedy = [generate(trained.folder, ["The small "], Sampling(max_new_tokens=8, temperature=0, seed=seed), 2) for seed in (0, 1)]
    single = generate(trained.folder, ["The small "], Sampling(max_new_tokens=8, top_k=1))
    assert greedy[0] == greedy[1] == [single[0] * 2]


def test_a_text_grows_to_the_asked_length_even_beyond_the_context(trained: Trained) -> None:
    lengths = (20, 60, 90)
    assert AutoConfig.from_pretrained(trained.folder).max_position_embeddings == 32
    short, longer, longest = (
        generate(trained.folder, ["The fox"], Sampling(max_new_tokens=count, temperature=0))[0][0] for count in lengths
    )
    assert longest.startswith(longer)
    assert longer.startswith(short)
    assert len(longest) > len(longer) > len(short)


def test_drawing_leaves_the_callers_randomness_alone(trained: Trained) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    generate(trained.folder, ["The"], SHORT)
    assert torch.equal(torch.rand(1), expected)


def test_samples_are_kept_with_their_prompts(trained: Trained) -> None:
    step = Sample(checkpoint=trained.step, prompts=("The fox", ""), sampling=SHORT)
    samples = run([step], trained.store, InlineExecutor()).manifests[step.address].facts["samples"]
    drawn = generate(trained.folder, ["The fox", ""], SHORT)
    assert samples == [{"prompt": "The fox", "text": drawn[0][0]}, {"prompt": "", "text": drawn[1][0]}]


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_new_tokens", 0), ("temperature", -1.0), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0.0), ("top_p", 1.1)],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(RequestError, match=f"{field} is {value}"):
        Sampling(**{field: value})  # type: ignore[arg-type]


def test_weights_that_are_no_safetensors_are_refused(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(trained.folder, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(RequestError, match="is no checkpoint that can be opened"):
        generate(folder, ["The"], SHORT)


def test_code_that_lies_beside_a_checkpoint_is_not_run(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(trained.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(RequestError, match="is no checkpoint that can be opened"):
        generate(folder, ["The"], SHORT)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_no_checkpoint_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"name a folder with config\.json"):
        generate(tmp_path, ["The"], SHORT)
