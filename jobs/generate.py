"""Text from a checkpoint: an address in the root, a folder that transformers opens, or the newest one."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import dataclass

from jobs.checkpoints import checkpoint_folder
from jobs.command import Invocation, Result, execute
from pipeline.inference.generation import Sampling, generate


@dataclass(frozen=True, kw_only=True)
class GenerateRecipe:
    """Text from a checkpoint."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, or a folder with config.json and safetensors; None: the newest in the root."""
    prompt: tuple[str, ...] = ("",)
    """What the text begins with; several give several texts."""
    sequences: int = 1
    """Texts a prompt."""
    sampling: Sampling = Sampling()


def run_generate(invocation: Invocation[GenerateRecipe]) -> Result:
    """Print one text a prompt and sequence."""
    recipe = invocation.recipe
    folder = checkpoint_folder(recipe.checkpoint, invocation.options.root)
    texts = generate(folder, recipe.prompt, recipe.sampling, recipe.sequences)
    samples = [{"prompt": prompt, "text": text} for prompt, drawn in zip(recipe.prompt, texts, strict=True) for text in drawn]
    return {"built": [], "skipped": [], "checkpoint": str(folder), "samples": samples}


def show(result: Result) -> str:
    """The texts, apart."""
    return "\n\n".join(sample["prompt"] + sample["text"] for sample in result["samples"])


if __name__ == "__main__":
    raise SystemExit(execute("generate", GenerateRecipe, run_generate, show))
