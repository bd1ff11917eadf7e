"""The process that speaks with W&B. It takes messages, a line of JSON each, from stdin until that ends, and says on stdout what went wrong.

Arguments: FOLDER PROJECT MODE. Where the server cannot be reached, runs are kept in the folder, from which `wandb sync` sends
them later. An input is declared as a draft artifact with the same content as the one that the input's own
run logged, which the server then takes for the same version; so no server is needed to name it.
"""

import json
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

REACH_SECONDS = 3.0
START_SECONDS = 10.0
DESCRIBED = "manifest.json"


class Recorder:
    """One W&B run at a time."""

    def __init__(self, folder: str, project: str, mode: str) -> None:
        self.folder, self.project = folder, project
        self.mode: Any = self._reachable(mode)
        self.run: Any = None

    def take(self, message: dict[str, Any]) -> None:
        match message:
            case {"do": "start"}:
                self._start(message)
            case {"do": "log", "metrics": metrics}:
                self.run.log(metrics)
            case {"do": "make"}:
                self.run.log_artifact(described(message))
            case {"do": "use"}:  # what use_artifact does with a draft, but for its refusal offline and its wait online
                self.run._log_artifact(described(message), is_user_created=True, use_after_commit=True)
            case {"do": "finish", "code": code, "summary": summary}:
                self.run.summary.update(summary)
                self.run.finish(exit_code=code)

    def _reachable(self, mode: str) -> str:
        """The mode to begin with: W&B itself would try for much longer, and again when it ends."""
        if mode == "online":
            try:
                server = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
                with urllib.request.urlopen(server, timeout=REACH_SECONDS):  # noqa: S310 - the user's own setting
                    return mode
            except urllib.error.HTTPError:
                return mode  # it answers
            except (OSError, ValueError) as problem:
                return self._offline(problem)
        return mode

    def _offline(self, problem: Exception) -> str:
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        say(f"W&B cannot be reached ({reason}): it is kept in {self.folder}, and `wandb sync` sends it from there")
        return "offline"

    def _start(self, message: dict[str, Any]) -> None:
        try:
            self.run = self._init(message)
        except Exception as problem:
            if self.mode != "online":
                raise
            self.mode = self._offline(problem)
            self.run = self._init(message)
        self.run.define_metric("*", step_metric="step")

    def _init(self, message: dict[str, Any]) -> Any:
        import wandb

        return wandb.init(
            project=self.project,
            name=message["name"],
            job_type=message["job_type"],
            group=message["group"],
            config=message["config"],
            dir=self.folder,
            mode=self.mode,
            reinit="create_new",
            settings=wandb.Settings(
                x_disable_meta=True,  # else arguments, host and user are recorded
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                console="off",
                silent=True,
                init_timeout=START_SECONDS,
            ),
        )


def described(message: dict[str, Any]) -> Any:
    """An artifact that holds one small file."""
    import wandb

    artifact = wandb.Artifact(message["name"], type=message["kind"], metadata=message["metadata"])
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        place = Path(folder, DESCRIBED)
        place.write_text(message["text"], encoding="utf-8")
        artifact.add_file(str(place))  # which W&B copies
    return artifact


def say(words: str) -> None:
    print(words, flush=True)


def main(folder: str, project: str, mode: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", folder)  # where the files of artifacts wait
    os.environ.setdefault("WANDB_CACHE_DIR", folder)
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # else it reports on itself to its makers, and waits for that at the end
    try:
        recorder = Recorder(folder, project, mode)
        for line in sys.stdin:
            recorder.take(json.loads(line))
    except Exception as problem:
        say(f"nothing more is recorded, since {' '.join(f'{type(problem).__name__}: {problem}'.split())[:300]}")
        os._exit(1)  # without W&B's own wait for a server


if __name__ == "__main__":
    main(*sys.argv[1:])
