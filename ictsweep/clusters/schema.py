"""What Ray itself says of a cluster file: its schema, and the checks of `ray up`."""

import contextlib
import copy
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jsonschema
import ray.autoscaler
from ray.autoscaler._private.util import prepare_config, validate_config

from ictsweep.problems import Problem, did_you_mean, shown


def of_schema(data: Mapping[str, Any]) -> list[Problem]:
    """All that Ray's schema refuses."""
    text = Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text()
    schema = json.loads(text)
    errors = jsonschema.Draft7Validator(schema).iter_errors(data)
    return [problem for error in errors for problem in _problems(error)]


def of_up(data: Mapping[str, Any]) -> list[Problem]:
    """The checks that Ray makes of the file with its own defaults filled in."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), _silence():
            validate_config(prepare_config(copy.deepcopy(dict(data))))
    except Exception as error:  # of many kinds
        return [Problem((), f"ray up would refuse it: {error}")]
    return []


def _problems(error: jsonschema.ValidationError) -> list[Problem]:
    path, schema = tuple(error.absolute_path), cast("Mapping[str, Any]", error.schema)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        allowed = list(schema.get("properties", {}))
        return [
            Problem((*path, key), f"unknown key{did_you_mean(key, allowed)}", at_key=True)
            for key in error.instance
            if key not in allowed
        ]
    if error.validator == "required":
        return [Problem(path, str(error.message).replace("'", ""), at_key=True)]
    if error.validator == "type":
        return [Problem(path, f"got {shown(error.instance)}; expected {error.validator_value}")]
    return [Problem(path, error.message)]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Ray logs what it fills in."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
