"""The table of settings against the parser that takes them."""

from contextlib import suppress
from typing import Any

import pytest

from src.cli.fit import CLI
from src.launch.launcher import Launch
from src.launch.ranks import Ranks
from src.runs.recipe import POLICIES, dotted, plain, policy_of, recipe_of

GROUPS = {"data.distortion"}  # as one argument, which the parser has beside its parts


class ParsedError(Exception):
    """Ends a command line that was only to parse."""


class Request(CLI):
    def before_instantiate_classes(self) -> None:
        raise ParsedError


@pytest.fixture(scope="module")
def request_() -> Any:
    launch = Launch()
    cli = Request.__new__(Request)
    with suppress(ParsedError):
        cli.__init__(["fit", "--trainer.max_time", "{days: 1}"], launch, Ranks(launch))  # type: ignore[misc]
    return cli


def keys_of(request: Any) -> set[str]:
    """Return all settings of fit, those that follow from others too."""
    return {*request.parsers[0].get_defaults().keys(), *dotted(plain(request.request)), "config"}


def test_every_setting_of_fit_has_a_policy(request_: Any) -> None:
    assert {key for key in keys_of(request_) - GROUPS if policy_of(key) is None} == set()


def test_every_policy_is_of_a_setting(request_: Any) -> None:
    for name in POLICIES:
        # a class has arguments of its own below its key
        classes = {"optimizer.": "optimizer", "lr_scheduler.": "lr_scheduler", "model.loss.": "model.loss"}
        fits = classes.get(name, name)
        assert any(key.startswith(fits) if fits.endswith(".") else key == fits for key in keys_of(request_)), name


def test_a_setting_that_the_table_does_not_have_is_found() -> None:
    assert policy_of("model.width") is None
    assert policy_of("datax") is None
    assert policy_of("trainer.callbacks.monitor") == policy_of("trainer.logger") == POLICIES["trainer."]
    assert policy_of("trainer.max_time.days") == POLICIES["trainer.max_time"]


def test_a_recipe_has_what_checkpoints_keep_and_no_more(request_: Any) -> None:
    recipe = dotted(recipe_of(request_.request))

    assert recipe["trainer.max_time.days"] == 1
    assert recipe["model.hidden_units"] == [256]
    assert not {"model.seed", "data.seed", "trainer.callbacks", "trainer.devices", "ckpt_path"} & recipe.keys()
