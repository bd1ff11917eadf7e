"""A folder for the Hub: what transformers opens gives the same numbers, and its card says what the manifests say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.errors import RequestError
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.perplexity import Perplexity
from pipeline.models.llama import Llama
from pipeline.storage import Store, open_store
from pipeline.train.foreign import ForeignCheckpoint
from pipeline.train.gguf_file import check_gguf, in_order
from pipeline.train.hub_card import Card, hub_card
from pipeline.train.hub_folder import Form, HubFolder, check_form
from pipeline.train.making import Making
from pipeline.train.pretrain import Pretrain
from pipeline.train.saved_weights import Weight, _shards, weights_in
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Step, topological
from pipeline.workflow.unit import open_artifact
from tests.train.tiny import pretrain

TEXT = "The old fox 狐狸"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Pretrain, Evaluate]:
    """A root with a checkpoint and its evaluation."""
    store, step = open_store(str(tmp_path_factory.mktemp("root"))), pretrain(steps=6)
    evaluation = Evaluate(checkpoint=step, tasks=(Perplexity(),), tokens=step.mixture[0].tokens)
    run([evaluation], store, InlineExecutor())
    return store, step, evaluation


@pytest.fixture(scope="module")
def written(made: tuple[Store, Pretrain, Evaluate]) -> Callable[..., Path]:
    """The folder that is written of the checkpoint in some form."""
    store, step, evaluation = made

    def write(**fields: Any) -> Path:
        lineage = tuple(other for other in topological([step]) if other is not step)
        target = HubFolder(checkpoint=step, lineage=lineage, evaluations=(evaluation,), **fields)
        run([target], store, InlineExecutor())
        folder: Path = open_artifact(store, target).path
        return folder

    return write


def logits(folder: Path, **options: Any) -> torch.Tensor:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, **options), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model.eval()(torch.tensor([tokenizer(TEXT)["input_ids"]])).logits


def checkpoint(made: tuple[Store, Pretrain, Evaluate]) -> Path:
    store, step, _ = made
    folder: Path = open_artifact(store, step).folder("model")
    return folder


def test_a_person_opens_the_folder_and_gets_the_same_logits(made: tuple[Store, Pretrain, Evaluate], written: Callable[..., Path]) -> None:
    folder = written()
    assert torch.equal(logits(folder), logits(checkpoint(made)))
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} == {
        place.name for place in folder.iterdir()
    }


def test_weights_in_bf16_are_those_of_the_checkpoint_rounded(made: tuple[Store, Pretrain, Evaluate], written: Callable[..., Path]) -> None:
    folder = written(form=Form(precision="bf16"))
    opened = AutoModelForCausalLM.from_pretrained(folder)
    rounded = AutoModelForCausalLM.from_pretrained(checkpoint(made)).to(torch.bfloat16)
    assert opened.dtype == torch.bfloat16
    for name, weight in rounded.state_dict().items():
        assert torch.equal(opened.state_dict()[name], weight), name


def test_a_model_in_several_files_is_the_same_model(tmp_path: Path, made: tuple[Store, Pretrain, Evaluate]) -> None:
    from pipeline.train.saved_weights import write_weights

    source, folder = checkpoint(made), tmp_path / "sharded"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    facts = write_weights(weights_in(source), folder, None, 16_000)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == facts["files"] > 3
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    assert torch.equal(logits(folder), logits(source))
    assert [weight.name for weight in weights_in(folder)] == [weight.name for weight in weights_in(source)]


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 100))
def test_every_tensor_is_in_one_file_and_no_file_with_two_is_too_large(sizes: list[int], most: int) -> None:
    weights = [Weight(f"w{place:02d}", Path("x"), (size,), "I8") for place, size in enumerate(sizes)]
    shards = list(_shards(weights, None, most))
    assert [weight for shard in shards for weight in shard] == weights
    assert all(len(shard) == 1 or sum(weight.shape[0] for weight in shard) <= most for shard in shards)


def test_integers_and_quantized_numbers_keep_their_kind(tmp_path: Path) -> None:
    from pipeline.train.saved_weights import write_weights

    (tmp_path / "in").mkdir()
    save_file({"half": torch.ones(2, dtype=torch.float16), "places": torch.arange(3)}, tmp_path / "in" / "model.safetensors")
    write_weights(weights_in(tmp_path / "in"), tmp_path, "fp32", 1 << 20)
    assert [(weight.name, weight.kind) for weight in weights_in(tmp_path)] == [("half", "F32"), ("places", "I64")]


def test_a_tensor_that_two_files_hold_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"weight": torch.ones(2)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(RequestError, match=r"holds weight in a\.safetensors and in b\.safetensors: remove one"):
        weights_in(tmp_path)


def test_the_hub_reads_the_card_and_it_says_what_the_manifests_say(
    made: tuple[Store, Pretrain, Evaluate], written: Callable[..., Path]
) -> None:
    store, step, evaluation = made
    text = (written(card=Card(name="OWNER/fox", license="apache-2.0", languages=("en", "zh"))) / "README.md").read_text()
    data = ModelCard(text).data
    assert (data.license, data.language, data.library_name, data.pipeline_tag) == (
        "apache-2.0",
        ["en", "zh"],
        "transformers",
        "text-generation",
    )
    scores = open_artifact(store, evaluation).facts["scores"]["perplexity"]
    told = {result.metric_type: result.metric_value for result in data.eval_results}
    assert told == {name: scores[name] for name in ("loss", "perplexity", "bits_per_byte")}
    assert data.model_name == "OWNER/fox"
    facts = open_artifact(store, step).facts
    for words in (
        f"| steps | {facts['steps']:,} |",
        f"{facts['parameters']:,} parameters",
        f"| tokens | {facts['tokens']:,} |",
        step.address,
    ):
        assert words in text
    for other in topological([step]):
        assert other.address in text
    documents = open_artifact(store, step.mixture[0].tokens.documents)  # type: ignore[attr-defined]
    assert f"| {documents.address} | {documents.facts['read']:,} | {documents.facts['kept']:,} | – |" in text


def test_carbon_is_energy_times_intensity_and_else_said_to_be_unmeasured(written: Callable[..., Path]) -> None:
    assert "Energy and emissions were not measured." in (written() / "README.md").read_text()
    given_energy = (written(card=Card(energy_kwh=2.0)) / "README.md").read_text()
    assert "Training used 2 kWh, as given; emissions were not measured." in given_energy
    assert "co2_eq_emissions" not in given_energy
    text = (written(card=Card(energy_kwh=2.0, grams_per_kwh=450.0)) / "README.md").read_text()
    assert "0.9 kg CO₂eq: 2 kWh × 450 g CO₂eq/kWh, as given." in text
    assert ModelCard(text).data.to_dict()["co2_eq_emissions"]["emissions"] == 900


def manifest(step: str, recipe: dict[str, Any], facts: dict[str, Any]) -> Manifest:
    return Manifest(step, "0" * 20, recipe, {}, (), facts)


def test_sources_of_the_hub_dropped_documents_and_what_is_gone_are_told_and_hostile_names_stay_in_their_cells() -> None:
    hub = manifest("ingest", {"source": {"class": "HuggingFace", "dataset": "OWNER/NAME", "snapshot": "abc"}}, {"kept": 3})
    place = "docs|<script>alert(1)</script>\n# not a heading"
    files = manifest("ingest", {"source": {"class": "Files", "location": place, "snapshot": "def"}}, {"kept": 4})
    clean = manifest(
        "clean",
        {"filters": [{"class": "Language", "keep": ["en", "zh-Hans"]}]},
        {"read": 7, "kept": 2, "dropped": {"too-short": 1, "language": 4}},
    )
    making = Making(manifest("pretrain", {"note": "```"}, {}), [hub, files, clean], ["tokenize/1"], [])
    text = hub_card(Card(), making, {"architectures": ["GPT2LMHeadModel"]}, {"parameters": 1})
    data = ModelCard(text).data
    assert (data.datasets, data.language, data.license) == (["OWNER/NAME"], ["en", "zh"], "unknown")
    assert f"| clean/{'0' * 20} | 7 | 2 | language 4, too-short 1 |" in text
    assert "`tokenize/1` is no longer there" in text
    assert "<script>" not in text
    assert "\n# not a heading" not in text
    assert "It has not been evaluated." in text
    assert "````json" in text


def test_of_a_checkpoint_from_elsewhere_the_card_says_that_nothing_more_is_known(
    made: tuple[Store, Pretrain, Evaluate], tmp_path: Path, build: Callable[[Step[Any]], Any]
) -> None:
    text = (build(HubFolder(checkpoint=ForeignCheckpoint.at(str(checkpoint(made))))).path / "README.md").read_text()
    assert "It was trained elsewhere: what on is not known here." in text
    assert ModelCard(text).data.pipeline_tag == "text-generation"


def test_the_same_request_in_another_root_after_an_interruption_gives_the_same_bytes(
    made: tuple[Store, Pretrain, Evaluate], tmp_path: Path
) -> None:
    foreign = ForeignCheckpoint.at(str(checkpoint(made)))
    contents = []
    for name in ("one", "two"):
        store, step = open_store(str(tmp_path / name)), HubFolder(checkpoint=foreign, form=Form(gguf=True))
        if name == "two":
            with pytest.raises(KeyboardInterrupt):
                run([step], store, Dying())
            assert not (tmp_path / name / step.address / "manifest.json").exists()
        run([step], store, InlineExecutor())
        contents.append(open_artifact(store, step).manifest.content)
    assert contents[0] == contents[1]


class Dying(InlineExecutor):
    """Ends once the folder is written, before that is on record."""

    def units(self, tasks: Any) -> Any:
        for task in tasks:
            task.run()
            if task.work.__name__ == "write":
                raise KeyboardInterrupt
            yield from super().units([task])


def test_a_gguf_file_holds_every_tensor_in_the_order_of_llama_cpp_and_the_tokenizer(
    made: tuple[Store, Pretrain, Evaluate], written: Callable[..., Path]
) -> None:
    from gguf import GGUFReader

    folder = written(form=Form(gguf=True))
    reader = GGUFReader(folder / "model.gguf")
    config, tokenizer = json.loads((folder / "config.json").read_text()), json.loads((folder / "tokenizer.json").read_text())
    held = {tensor.name: tensor for tensor in reader.tensors}
    source = {weight.name: weight.read(None).numpy() for weight in weights_in(folder)}
    assert len(held) == len(source)
    np.testing.assert_array_equal(held["token_embd.weight"].data, source["model.embed_tokens.weight"])
    np.testing.assert_array_equal(held["blk.1.ffn_down.weight"].data, source["model.layers.1.mlp.down_proj.weight"])
    heads, width = config["num_attention_heads"], config["head_dim"]
    halves = source["model.layers.0.self_attn.q_proj.weight"].reshape(heads, 2, width // 2, -1)
    turned = held["blk.0.attn_q.weight"].data.reshape(heads, width // 2, 2, -1)
    np.testing.assert_array_equal(turned[:, :, 0], halves[:, 0])
    np.testing.assert_array_equal(turned[:, :, 1], halves[:, 1])
    words = [bytes(reader.fields["tokenizer.ggml.tokens"].parts[part]).decode() for part in reader.fields["tokenizer.ggml.tokens"].data]
    assert dict(zip(words, range(len(words)), strict=True)) == {**tokenizer["model"]["vocab"], "<|endoftext|>": 0}
    assert bytes(reader.fields["tokenizer.ggml.pre"].parts[-1]) == b"qwen2"


def test_rows_of_shared_keys_are_put_in_order_head_by_head() -> None:
    rows = np.arange(8 * 3).reshape(8, 3)
    config = {"num_attention_heads": 4, "num_key_value_heads": 2}
    assert in_order("model.layers.0.self_attn.k_proj.weight", rows, config)[:, 0].tolist() == [0, 6, 3, 9, 12, 18, 15, 21]
    assert in_order("model.layers.0.self_attn.v_proj.weight", rows, config) is rows


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", {"model_type": "gpt2"}, "this is gpt2"),
        ("config.json", {"attention_bias": True}, "biases"),
        ("config.json", {"rope_parameters": {"rope_type": "yarn"}}, "scaled rotary positions"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "ByteLevel"}}, "the tokenizer cuts texts"),
        ("tokenizer.json", {"normalizer": {"type": "NFKC"}}, "the tokenizer cuts texts"),
    ],
)
def test_a_gguf_file_is_refused_where_llama_cpp_would_read_another_model(
    made: tuple[Store, Pretrain, Evaluate], tmp_path: Path, file: str, change: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(checkpoint(made), folder)
    content = json.loads((folder / file).read_text()) | change
    (folder / file).unlink()
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(RequestError, match=words):
        check_form(folder, Form(gguf=True))
    check_form(folder, Form())


def test_a_checkpoint_of_ours_can_be_written_for_llama_cpp(made: tuple[Store, Pretrain, Evaluate]) -> None:
    check_gguf(checkpoint(made), weights_in(checkpoint(made)))


def test_a_checkpoint_with_normed_queries_and_keys_is_refused_for_llama_cpp_and_written_for_the_hub(tmp_path: Path) -> None:
    store, step = open_store(str(tmp_path)), pretrain(steps=2, model=Llama(dim=32, depth=2, heads=2, qk_norm=True))
    run([target := HubFolder(checkpoint=step)], store, InlineExecutor())
    folder = open_artifact(store, step).folder("model")
    assert torch.equal(logits(open_artifact(store, target).path), logits(folder))
    with pytest.raises(RequestError, match=r"is written of decoders of the Llama family, and this is qwen3: leave out --form\.gguf"):
        check_gguf(folder, weights_in(folder))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("license", "My Licence"),
        ("languages", ("english",)),
        ("name", "a\nb"),
        ("energy_kwh", -1.0),
        ("energy_kwh", float("nan")),
        ("grams_per_kwh", 400.0),
    ],
)
def test_what_the_hub_could_not_read_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=field):
        Card(**{field: value})


def test_a_precision_or_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(RequestError, match="precision is 'int3'"):
        Form(precision="int3")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="shard_mebibytes is 0"):
        Form(shard_mebibytes=0)
