"""The optimizer on a command line."""

import pytest

from jobs.command import parse
from jobs.optimizers import optimizers_help
from jobs.recipe import CorpusRecipe, PretrainRecipe
from pipeline.errors import RequestError
from pipeline.train.engine import AdamW, Update
from pipeline.train.muon import Muon


def update(*arguments: str, recipe: str = "tiny") -> Update:
    return parse("pretrain", PretrainRecipe, [recipe, *arguments], "tiny").recipe.update


def test_a_name_takes_the_place_of_the_recipes_optimizer_and_leaves_the_rest_of_the_update() -> None:
    assert update() == Update()
    assert update("--update.optimizer", "muon", "--update.clip", "0.5") == Update(optimizer=Muon(), clip=0.5)
    assert update("--update.optimizer=adamw", recipe="characters") == Update(optimizer=AdamW())


def test_its_settings_follow_the_name_or_are_given_with_dots() -> None:
    expected = Update(optimizer=Muon(momentum=0.9, rest=AdamW(beta2=0.99)))
    assert update("--update.optimizer", "muon:momentum=0.9:rest.beta2=0.99") == expected
    assert update("--update.optimizer.rest.beta2", "0.99", "--update.optimizer", "muon", "--update.optimizer.momentum", "0.9") == expected
    assert update("--update.optimizer.beta2", "0.99") == Update(optimizer=AdamW(beta2=0.99))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--update.optimizer", "mouse"), "there is no optimizer 'mouse': write one of adamw, muon"),
        (("--update.optimizer",), "there is no optimizer ''"),
        (("--update.optimizer", "muon:speed=3"), "muon has no setting 'speed': choose from momentum, weight-decay, rest.beta1"),
        (("--update.optimizer", "muon:momentum=fast"), "muon:momentum is 'fast': give a number"),
        (("--update.optimizer", "muon", "--update.optimizer.beta1", "0.9"), "beta1"),
    ],
)
def test_what_is_no_optimizer_or_no_setting_of_it_is_refused(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        update(*arguments)


def test_a_recipe_that_trains_nothing_has_no_optimizer() -> None:
    with pytest.raises(RequestError, match=r"update\.optimizer"):
        parse("corpus", CorpusRecipe, ["--update.optimizer", "muon"])


def test_help_tells_of_all_with_their_settings() -> None:
    told = optimizers_help(100)
    assert "--update.optimizer" in told
    assert "momentum=0.95 weight-decay=0.1 rest.beta1=0.9" in told
    assert "adamw" in told
