"""The shipped cluster files, with the little in them that must be otherwise for machines that are
made of one.
"""

from tests.cluster.rays import REPOSITORY

AWS = {
    # EC2 describes a g6.2xlarge as 8 CPUs and one L4, and Ray would count on them
    "resources: {}          # CPUs, GPUs and accelerator type": "resources: {CPU: 1, GPU: 0} #",
}
# a machine without work goes within a minute or so, not within ten or sixty
HASTY = {
    "idle_timeout_minutes: 10 ": "idle_timeout_minutes: 0.5 ",
    "autostop head --idle-minutes 60 ": "autostop head --idle-minutes 1 ",
    "autostop worker --idle-minutes 10 ": "autostop worker --idle-minutes 0.5 ",
}


def aws_file(changes: dict[str, str] | None = None) -> str:
    """clusters/aws.yaml, changed in its first worker type and where it is said."""
    return _changed("aws.yaml", AWS | (changes or {}))


def onprem_file(changes: dict[str, str]) -> str:
    """clusters/onprem.yaml, with machines put in."""
    return _changed("onprem.yaml", changes)


def _changed(name: str, changes: dict[str, str]) -> str:
    text = (REPOSITORY / "clusters" / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new, 1)
    return text
